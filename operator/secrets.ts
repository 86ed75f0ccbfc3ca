// SPDX-License-Identifier: Apache-2.0
// Where the operator's authorities are kept: a Secret in a cluster, a file on a host. Several replicas may write: the second one loses, and reads.
import { createHash, randomUUID } from 'node:crypto'
import { link, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'

export interface StoredSecret {
  readonly data: Readonly<Record<string, string>>
  /** Names this content, for write(). */
  readonly version: string
}

export interface SecretStore {
  /** Undefined: there is none yet. Throws where that cannot be told. */
  read(): Promise<StoredSecret | undefined>
  /** Replaces what had `version`; undefined: what was not there. False: somebody else has written since. */
  write(data: Readonly<Record<string, string>>, version: string | undefined): Promise<boolean>
}

/** JSON, for its owner alone. */
export class FileSecretStore implements SecretStore {
  readonly #path: string

  constructor(path: string) {
    this.#path = path
  }

  async read(): Promise<StoredSecret | undefined> {
    let text
    try {
      text = await readFile(this.#path, 'utf8')
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
      throw error
    }
    return { data: JSON.parse(text) as Record<string, string>, version: versionOf(text) }
  }

  /** The first write is atomic between processes; later ones are for the one operator of a host. */
  async write(data: Readonly<Record<string, string>>, version: string | undefined): Promise<boolean> {
    await mkdir(dirname(this.#path), { recursive: true, mode: 0o700 })
    const fresh = `${this.#path}.${randomUUID()}`
    await writeFile(fresh, JSON.stringify(data), { mode: 0o600 })
    try {
      if (version === undefined) {
        await link(fresh, this.#path)
        return true
      }
      if ((await this.read())?.version !== version) return false
      await rename(fresh, this.#path)
      return true
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false
      throw error
    } finally {
      await rm(fresh, { force: true })
    }
  }
}

function versionOf(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}
