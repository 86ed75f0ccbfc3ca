// SPDX-License-Identifier: Apache-2.0
// Compiled code for guests. An emulated processor takes five seconds to get Node's TypeScript stripper (WebAssembly) going and ten more for the
// modules of one test; with Node's compile cache, filled on this machine, one and three. The stripper's WebAssembly is also what made V8
// abort now and then in guests of two processors ("Check failed: it->second.Size() > offset").

import { spawnSync } from 'node:child_process'
import { mkdir, readdir, rename } from 'node:fs/promises'
import { join, resolve } from 'node:path'

const TREE = resolve(import.meta.dirname, '../../..')
const CACHE = 'build/compiled'
/** Where the tree is in a guest. Entries name modules relative to the cache (portable), so that here and there are the same. */
const GUEST_TREE = '/src'

/** Compiles modules of the tree, and all that they import, for guests. Returns the environment that makes a guest's Node use it. */
export async function provideCompiled(modules: readonly string[]): Promise<Record<string, string>> {
  await mkdir(join(TREE, CACHE), { recursive: true })
  const env = { ...process.env, NODE_COMPILE_CACHE: join(TREE, CACHE), NODE_COMPILE_CACHE_PORTABLE: '1' }
  const { status, stderr } = spawnSync(process.execPath, [join(import.meta.dirname, 'precompile.ts'), ...modules], { cwd: TREE, env, encoding: 'utf8' })
  // Without it guests are slower and right all the same, but nobody would know why they are slow.
  if (status !== 0) throw new Error(`MERLON_TEST_COMPILED: Cannot compile for guests: ${stderr}`)
  await giveToRoot()
  // V8's helper threads only take turns with its main thread on one processor: without them the same work takes an eighth less.
  return { NODE_COMPILE_CACHE: join(GUEST_TREE, CACHE), NODE_COMPILE_CACHE_PORTABLE: '1', NODE_OPTIONS: '--v8-pool-size=0' }
}

/** Node keeps the caches of users apart by a suffix; in guests everything runs as root. */
async function giveToRoot(): Promise<void> {
  const uid = process.getuid?.() ?? 0
  if (uid === 0) return
  for (const name of await readdir(join(TREE, CACHE))) {
    if (!name.endsWith(`-${uid}`)) continue
    const [from, target] = [join(TREE, CACHE, name), join(TREE, CACHE, name.replace(/\d+$/, '0'))]
    await mkdir(target, { recursive: true })
    // File by file: another test may be doing the same, and a guest may be reading.
    for (const file of await readdir(from)) await rename(join(from, file), join(target, file)).catch(ignoreGone)
  }
}

function ignoreGone(error: NodeJS.ErrnoException): void {
  if (error.code !== 'ENOENT') throw error
}
