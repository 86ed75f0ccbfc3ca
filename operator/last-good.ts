// SPDX-License-Identifier: Apache-2.0
// The text of each file's last version without errors, kept outside the process: an operator that starts while a file is broken would otherwise
// take away what was in force, and a typing error and a crash together would end enforcement.
import { createHash } from 'node:crypto'
import { mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'

export class LastGood {
  readonly #directory: string

  constructor(directory: string) {
    this.#directory = directory
  }

  async keep(path: string, text: string): Promise<void> {
    await mkdir(this.#directory, { recursive: true, mode: 0o700 })
    const kept = this.#fileOf(path)
    // Complete or absent: half a policy is another policy.
    await writeFile(`${kept}.new`, text, { mode: 0o600 })
    await rename(`${kept}.new`, kept)
  }

  /** Undefined where nothing is kept. */
  async recall(path: string): Promise<string | undefined> {
    return readFile(this.#fileOf(path), 'utf8').catch(() => undefined)
  }

  /** Drops what belongs to none of these paths: a file that somebody has removed must not come back. */
  async retain(paths: Iterable<string>): Promise<void> {
    const wanted = new Set([...paths].map(nameOf))
    const names = await readdir(this.#directory).catch(() => [])
    await Promise.all(names.filter((name) => !wanted.has(name)).map((name) => rm(join(this.#directory, name), { force: true })))
  }

  #fileOf(path: string): string {
    return join(this.#directory, nameOf(path))
  }
}

function nameOf(path: string): string {
  return createHash('sha256').update(path).digest('hex')
}
