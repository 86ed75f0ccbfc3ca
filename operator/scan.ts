// SPDX-License-Identifier: Apache-2.0
// One walk over a directory of manifests: which files there are now, and which directories have to be watched to hear of changes.
import { statSync } from 'node:fs'
import { lstat, readdir, realpath, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'

export interface FoundFile {
  readonly path: string
  /** Changes whenever the content may have changed. */
  readonly fingerprint: string
  readonly modifiedMs: number
  readonly bytes: number
}

export interface Scan {
  /** By path, in the order of paths. */
  readonly files: ReadonlyMap<string, FoundFile>
  /** Those that hold the files, and those that symbolic links lead to. */
  readonly directories: ReadonlySet<string>
  /** What could not be looked into; what was known below it stays. */
  readonly unreadable: readonly { readonly path: string; readonly message: string }[]
}

/** Tests of policies lie beside them and are none. */
const MANIFEST = /(?<!\.policytest)\.(ya?ml|json)$/
const DEPTH_MAX = 32
/** While the root is another one at the end of each: there are file systems whose numbers of inodes do not stay. */
const WALKS_MAX = 5

/**
 * Follows symbolic links, which is how Kubernetes mounts a ConfigMap: names lead through `..data`, which is replaced at once. Names
 * that begin with a dot are left out: editors' temporary files, `..data` itself, .git. `onDirectory` is called before a directory is read, so
 * that a watch set there misses nothing. Throws where the root cannot be read, or is gone when the walk ends: what went with it was not removed.
 */
export async function scan(root: string, onDirectory: (path: string) => void, walks = WALKS_MAX): Promise<Scan> {
  const walk = new Walk(onDirectory)
  const top = await realpath(root)
  const before = identityOf(top)
  await walk.enter(root, top, 0)
  const problem = walk.unreadable.find((entry) => entry.path === root)
  if (problem) throw new Error(problem.message)
  if (identityOf(await realpath(root)) !== before && walks > 1) return scan(root, onDirectory, walks - 1)
  return { files: new Map([...walk.files].toSorted(([a], [b]) => (a < b ? -1 : 1))), directories: walk.directories, unreadable: walk.unreadable }
}

/** Of a directory, as long as it is the same one. A new directory often gets the number of the one that was removed. */
export function identityOf(path: string): string {
  const found = statSync(path, { bigint: true, throwIfNoEntry: false })
  return `${found?.dev}:${found?.ino}:${found?.birthtimeNs}`
}

class Walk {
  readonly files = new Map<string, FoundFile>()
  readonly directories = new Set<string>()
  readonly unreadable: { path: string; message: string }[] = []
  readonly #onDirectory: (path: string) => void
  readonly #entered = new Set<string>()

  constructor(onDirectory: (path: string) => void) {
    this.#onDirectory = onDirectory
  }

  /** `real` is the directory without links: each is entered once, so that a link to a parent ends. */
  async enter(path: string, real: string, depth: number): Promise<void> {
    if (depth > DEPTH_MAX || this.#entered.has(real)) return
    this.#entered.add(real)
    this.#watch(real)
    try {
      const entries = await readdir(path)
      for (const name of entries.toSorted()) if (!name.startsWith('.')) await this.#look(join(path, name), depth)
    } catch (error) {
      this.#fail(path, error)
    }
  }

  async #look(path: string, depth: number): Promise<void> {
    try {
      const link = (await lstat(path)).isSymbolicLink()
      const found = await stat(path, { bigint: true })
      if (found.isDirectory()) return await this.enter(path, await realpath(path), depth + 1)
      if (!found.isFile() || !MANIFEST.test(path)) return
      if (link) this.#watch(dirname(await realpath(path)))
      const fingerprint = [found.dev, found.ino, found.size, found.mtimeNs, found.ctimeNs].join(':')
      this.files.set(path, { path, fingerprint, modifiedMs: Number(found.mtimeMs), bytes: Number(found.size) })
    } catch (error) {
      // Gone between readdir and stat, or a link that leads nowhere: not there.
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') this.#fail(path, error)
    }
  }

  #watch(real: string): void {
    if (this.directories.has(real)) return
    this.directories.add(real)
    this.#onDirectory(real)
  }

  #fail(path: string, error: unknown): void {
    // A directory that was removed while it was read is gone, not unreadable.
    if ((error as NodeJS.ErrnoException).code === 'ENOENT' && this.files.size + this.directories.size > 1) return
    this.unreadable.push({ path, message: (error as Error).message })
  }
}
