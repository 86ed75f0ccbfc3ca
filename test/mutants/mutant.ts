// SPDX-License-Identifier: Apache-2.0
// A seeded bug: one change of one file, anchored by its text, so that a change that no longer applies is an error and never a silent pass.

export interface Mutant {
  /** Kebab case; unique. */
  readonly name: string
  /** What the bug does, in one line. */
  readonly bug: string
  /** Path in the tree. */
  readonly file: string
  /** Occurs exactly once in the file. */
  readonly find: string
  readonly replace: string
  /** The tests most likely to kill it, first; all others follow where these do not. */
  readonly tests: readonly string[]
}

/** The file's text with the bug in it. Throws where the anchor is not there exactly once, or the change is none. */
export function seed(mutant: Mutant, text: string): string {
  const { name, file, find, replace } = mutant
  const parts = text.split(find)
  if (parts.length !== 2) throw new Error(`Mutant ${name} does not apply: its anchor occurs ${parts.length - 1} times in ${file}, and must occur once: ${JSON.stringify(find)}`)
  if (find === replace) throw new Error(`Mutant ${name} changes nothing`)
  return parts.join(replace)
}
