// SPDX-License-Identifier: Apache-2.0
// The files that trials in a container meet, the same in both roots.
import { chmodSync, chownSync, copyFileSync, linkSync, mkdirSync, realpathSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { Container } from '../support/container.ts'
import type { World } from './expect.ts'
import { PROGRAM, TRIAL } from './trial.ts'

const OWNER = 1000
const PROGRAMS = ['/t/bin/one', '/t/bin/two', '/t/bin/deep/er/three', '/bin/linked', '/usr/bin/plain', '/t/agents/a', '/t/agents/b']
const FILES = ['/t/data/a.txt', '/t/data/b.log', '/t/data/sub/c.txt', '/t/data/sub/sub/d.txt', '/t/data/é.txt', '/t/data.txt']
const OWNED = ['/t/data/own.txt', '/t/bin/own']

/** Fills a container's root before it starts. Owned files belong to uid 1000, and everyone may do everything with all of them. */
export function furnish({ rootfs }: Container): void {
  for (const path of [...PROGRAMS, ...FILES, ...OWNED]) mkdirSync(join(rootfs, dirname(path)), { recursive: true })
  const first = join(rootfs, '/t/bin/one')
  for (const path of PROGRAMS) {
    const target = join(rootfs, path)
    if (target === first) copyFileSync(PROGRAM, first)
    else linkSync(first, target)
  }
  for (const path of FILES) writeFileSync(join(rootfs, path), path)
  copyFileSync(PROGRAM, join(rootfs, '/t/bin/own'))
  writeFileSync(join(rootfs, '/t/data/own.txt'), '')
  for (const path of [...PROGRAMS, ...FILES, ...OWNED]) chmodSync(join(rootfs, path), 0o777)
  for (const path of OWNED) chownSync(join(rootfs, path), OWNER, OWNER)
}

/** The same files as the container's kernel sees them. Only links that stay below the root are followed. */
export function worldOf({ rootfs }: Container): World {
  return {
    resolve: (path) => (path === TRIAL ? path : realpathSync(join(rootfs, path)).slice(rootfs.length)),
    owner: (path) => (path === TRIAL ? 0 : statSync(join(rootfs, path)).uid),
  }
}
