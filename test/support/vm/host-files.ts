// SPDX-License-Identifier: Apache-2.0
// A root directory made from the packages of this Debian machine: quicker than debootstrap, and it needs no network.

import { lstat, mkdir, readlink, realpath, symlink } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { command } from './command.ts'

const UNWANTED = /^\/usr\/share\/(doc|man|locale|info|lintian|bash-completion|bug|menu|doc-base)\/|\/gconv\/|^\/usr\/lib\/(systemd|udev)\//

/** Links of a merged-usr root; they are made here, since no package owns them. */
const MERGED = ['bin', 'sbin', 'lib', 'lib64']

/**
 * Copies the files of installed packages, with all the libraries that their programs need, into a new merged-usr root.
 * Packages that are not installed are an error, unless their name ends in "?". `others` are programs that the caller
 * copies by itself: only their libraries are copied here.
 */
export async function copyPackages(packages: readonly string[], into: string, others: readonly string[] = []): Promise<void> {
  const files = new Set<string>()
  for (const name of await installed(packages)) {
    for (const path of (await command('dpkg', ['-L', name])).split('\n')) {
      if (path.startsWith('/') && !UNWANTED.test(path)) await addFile(path, files)
    }
  }
  const programs = [...files].filter((each) => /^\/usr\/(s?bin|lib|libexec)\//.test(each) && !/\.(a|h|o|py|sh|hwdb)$/.test(each))
  for (const each of await libraries([...programs, ...others])) await addFile(each, files)
  for (const each of MERGED) {
    await mkdir(join(into, 'usr', each), { recursive: true })
    await symlink(`usr/${each}`, join(into, each))
  }
  const list = [...files].map((each) => each.slice(1)).sort().join('\n')
  await command('bash', ['-o', 'pipefail', '-c', 'tar -C / -c -T - | tar -C "$1" -x', 'copy', into], { input: list })
}

/** Which versions of these packages this machine has, as one text. */
export async function versionsOf(packages: readonly string[]): Promise<string> {
  const wanted = new Set(packages.map((each) => each.replace('?', '')))
  const all = await command('dpkg-query', ['-W', '-f', '${Package} ${Version} ${db:Status-Status}\n'])
  return all.split('\n').filter((line) => wanted.has(line.split(' ')[0] ?? '')).sort().join('\n')
}

async function installed(packages: readonly string[]): Promise<string[]> {
  const status = await command('dpkg-query', ['-W', '-f', '${Package} ${db:Status-Status}\n'])
  const present = new Set(status.split('\n').filter((line) => line.endsWith(' installed')).map((line) => line.split(' ')[0]))
  const missing = packages.filter((each) => !each.endsWith('?') && !present.has(each))
  if (missing.length > 0) {
    throw new Error(`MERLON_TEST_PACKAGES: Guests are built from packages that this machine lacks: ${missing.join(' ')}: run make setup`)
  }
  return packages.map((each) => each.replace('?', '')).filter((each) => present.has(each))
}

/** Adds a file under its canonical directory, and with it every link on the way to its content. Directories are left out. */
async function addFile(path: string, files: Set<string>): Promise<void> {
  let next = path
  for (let depth = 0; depth < 8; depth++) {
    const found = await lstat(next).catch(() => undefined)
    if (found === undefined || found.isDirectory()) return
    const canonical = join(await realpath(dirname(next)), next.slice(next.lastIndexOf('/')))
    files.add(canonical)
    if (!found.isSymbolicLink()) return
    next = resolve(dirname(canonical), await readlink(canonical))
  }
}

async function libraries(files: readonly string[]): Promise<string[]> {
  // ldd fails as a whole when one of its files is a script, and still prints the rest.
  const output = await command('sh', ['-c', 'xargs ldd 2>/dev/null; true'], { input: files.join('\n') })
  return [...new Set([...output.matchAll(/(?:=> |^\t)(\/[^ \n]+) \(0x/gm)].map((match) => match[1] ?? ''))]
}
