// SPDX-License-Identifier: Apache-2.0
// The two root file systems that container tests run in: /bin as a link to /usr/bin, and one program with many names.

import { copyFile, mkdir, symlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { command } from './command.ts'
import { copyPackages } from './host-files.ts'

/** What buildDebianRoot() copies. */
export const DEBIAN = ['libc6', 'libc-bin', 'dash', 'bash', 'coreutils', 'grep', 'sed', 'mawk', 'findutils', 'util-linux', 'procps', 'base-files']

/** Like an image of Debian: merged-usr, /bin/sh is dash. */
export async function buildDebianRoot(into: string): Promise<void> {
  await copyPackages(DEBIAN, into)
  await furnish(into)
}

/** Like an image of Alpine or BusyBox: /bin is a directory, every program is a link to /bin/busybox. */
export async function buildBusyboxRoot(into: string): Promise<void> {
  await mkdir(join(into, 'bin'), { recursive: true })
  await copyFile('/bin/busybox', join(into, 'bin/busybox'))
  for (const path of (await command('/bin/busybox', ['--list-full'])).split('\n')) {
    if (path === '' || path === 'bin/busybox') continue
    await mkdir(join(into, dirname(path)), { recursive: true })
    await symlink('/bin/busybox', join(into, path))
  }
  await furnish(into)
}

async function furnish(root: string): Promise<void> {
  for (const each of ['proc', 'sys', 'dev', 'tmp', 'root', 'run', 'var', 'etc', 'home', 'opt']) await mkdir(join(root, each), { recursive: true })
  await symlink('../run', join(root, 'var/run')).catch(ignoreExisting)
  await writeFile(join(root, 'etc/passwd'), 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n')
  await writeFile(join(root, 'etc/group'), 'root:x:0:\nnogroup:x:65534:\n')
  await writeFile(join(root, 'etc/hosts'), '127.0.0.1 localhost\n')
}

function ignoreExisting(error: NodeJS.ErrnoException): void {
  if (error.code !== 'EEXIST') throw error
}
