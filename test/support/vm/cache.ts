// SPDX-License-Identifier: Apache-2.0
// Everything that is fetched or built for guests lives outside the tree, in directories that are complete or absent.

import { mkdir, readdir, rename, rm, stat, utimes } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'

const UNUSED_AFTER_MS = 7 * 24 * 3600 * 1000
const running = new Map<string, Promise<string>>()

export function cacheDirectory(): string {
  const base = process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache')
  return join(base, 'merlon')
}

/**
 * The directory `<kind>-<key>` of the cache, built first when it is absent. `build` fills an empty directory, which
 * takes its name only when it is complete, so that an interrupted build leaves nothing that looks finished.
 */
export function cached(kind: string, key: string, build: (into: string) => Promise<void>, unusedAfterMs = UNUSED_AFTER_MS): Promise<string> {
  const path = join(cacheDirectory(), `${kind}-${key}`)
  const current = running.get(path) ?? provide(path, build, { kind, unusedAfterMs })
  running.set(path, current)
  current.finally(() => running.delete(path)).catch(() => {})
  return current
}

interface Others {
  readonly kind: string
  readonly unusedAfterMs: number
}

async function provide(path: string, build: (into: string) => Promise<void>, others: Others): Promise<string> {
  if (await exists(path)) {
    const now = new Date()
    await utimes(path, now, now)
    return path
  }
  const partial = `${path}.partial-${process.pid}`
  await rm(partial, { recursive: true, force: true })
  await mkdir(partial, { recursive: true })
  try {
    await build(partial)
    await rename(partial, path)
  } catch (error) {
    await rm(partial, { recursive: true, force: true })
    // Another process was first: its result has the same key, hence the same content.
    if (!(await exists(path))) throw error
  }
  await dropUnused(path, others)
  return path
}

/** Old images are large: those of the same kind that nobody has used for long go. */
async function dropUnused(keep: string, { kind, unusedAfterMs }: Others): Promise<void> {
  const directory = cacheDirectory()
  for (const name of await readdir(directory)) {
    const path = join(directory, name)
    if (!name.startsWith(`${kind}-`) || path === keep) continue
    const found = await stat(path).catch(() => undefined)
    if (found !== undefined && Date.now() - found.mtimeMs > unusedAfterMs) await rm(path, { recursive: true, force: true })
  }
}

export async function exists(path: string): Promise<boolean> {
  return (await stat(path).catch(() => undefined)) !== undefined
}
