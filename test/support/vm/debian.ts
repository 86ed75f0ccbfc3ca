// SPDX-License-Identifier: Apache-2.0
// Packages of any of Debian's suites, fetched into the cache. The system's apt configuration is only read.

import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { cacheDirectory } from './cache.ts'
import { command } from './command.ts'

const KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg'

export interface Apt {
  /** Names of packages that begin so. */
  namesOf(prefix: string): Promise<string[]>
  /** The package's file, into a directory. */
  download(name: string, into: string): Promise<void>
}

/** An apt of our own: its lists, its sources and its state are in the cache. */
export async function aptFor(suite: string): Promise<Apt> {
  const mirror = await systemMirror()
  const directory = join(cacheDirectory(), `apt-${suite}`)
  await mkdir(join(directory, 'lists/partial'), { recursive: true })
  await mkdir(join(directory, 'archives/partial'), { recursive: true })
  await writeFile(join(directory, 'sources.list'), `deb [signed-by=${KEYRING}] ${mirror} ${suite} main\n`)
  await writeFile(join(directory, 'status'), '')
  const settings = [
    `Dir::State "${directory}";`, `Dir::State::Lists "${directory}/lists";`, `Dir::State::status "${directory}/status";`,
    `Dir::Cache "${directory}";`, `Dir::Etc::sourcelist "${directory}/sources.list";`, 'Dir::Etc::sourceparts "/dev/null";',
    'APT::Architecture "amd64";', 'APT::Sandbox::User "";', 'Acquire::Languages "none";',
    'Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";', 'Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled "false";',
  ]
  await writeFile(join(directory, 'apt.conf'), `${settings.join('\n')}\n`)
  const env = { ...process.env, APT_CONFIG: join(directory, 'apt.conf') }
  await command('apt-get', ['update'], { env })
  return {
    namesOf: async (prefix) => (await command('apt-cache', ['pkgnames', prefix], { env })).split('\n'),
    download: async (name, into) => void (await command('apt-get', ['download', name], { cwd: into, env })),
  }
}

/** The Debian mirror that this machine itself uses, so that its proxies and its policy are ours as well. */
async function systemMirror(): Promise<string> {
  const chosen = process.env['MERLON_DEBIAN_MIRROR']
  if (chosen !== undefined) return chosen
  const targets = await command('apt-get', ['indextargets', '--format', '$(REPO_URI) $(RELEASE)', 'Created-By: Packages'])
  const suites = /^(bullseye|bookworm|trixie|forky|sid|oldstable|stable|testing|unstable)$/
  const line = targets.split('\n').find((each) => suites.test(each.split(' ')[1] ?? ''))
  if (line === undefined) {
    throw new Error('MERLON_TEST_KERNEL: This machine has no Debian source in its apt configuration: set MERLON_DEBIAN_MIRROR to the address of one')
  }
  return line.split(' ')[0] ?? ''
}
