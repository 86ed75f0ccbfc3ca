// SPDX-License-Identifier: Apache-2.0
// Scratch copies of the tree, in which bugs are seeded: the working tree is never written to.
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { seed, type Mutant } from './mutant.ts'

export const TREE = join(import.meta.dirname, '../..')

/** Not copied: what is built, fetched, or no source. */
const LEFT_OUT: ReadonlySet<string> = new Set(['node_modules', 'build', '.git'])

export class ScratchTree {
  readonly directory = mkdtempSync(join(tmpdir(), 'merlon-mutants-'))
  private readonly originals = new Map<string, string>()

  constructor() {
    for (const part of readdirSync(TREE).filter((name) => !LEFT_OUT.has(name))) cpSync(join(TREE, part), join(this.directory, part), { recursive: true, filter: (path) => !LEFT_OUT.has(basename(path)) })
    symlinkSync(join(TREE, 'node_modules'), join(this.directory, 'node_modules'))
  }

  /** One bug, in the tree as it was copied. */
  seed(mutant: Mutant): void {
    writeFileSync(join(this.directory, mutant.file), seed(mutant, this.original(mutant)))
  }

  /** As many bugs at once as do not touch each other, for what looks at sources and does not run them. Returns the others. */
  seedMany(mutants: readonly Mutant[]): readonly Mutant[] {
    const texts = new Map<string, string>()
    const others: Mutant[] = []
    for (const mutant of mutants) {
      const text = texts.get(mutant.file) ?? this.original(mutant)
      if (text.includes(mutant.find)) texts.set(mutant.file, seed(mutant, text))
      else others.push(mutant)
    }
    for (const [file, text] of texts) writeFileSync(join(this.directory, file), text)
    return others
  }

  restore(mutant: Mutant): void {
    writeFileSync(join(this.directory, mutant.file), this.original(mutant))
  }

  private original({ file }: Mutant): string {
    let text = this.originals.get(file)
    if (text === undefined) this.originals.set(file, (text = readFileSync(join(this.directory, file), 'utf8')))
    return text
  }

  remove(): void {
    rmSync(this.directory, { recursive: true })
  }
}
