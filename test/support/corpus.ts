// SPDX-License-Identifier: Apache-2.0
// The policies that others wrote, with the verdicts of a real API server. They are not part of the project: MERLON_CORPUS names the directory
// that holds them, or they are in shared/corpus beside the checkout. What depends on them is skipped elsewhere, loudly.
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

export interface Expected {
  readonly file: string
  readonly document: number
  readonly kind: string | null
  /** With strict field validation. */
  readonly verdict: 'accept' | 'reject' | 'yaml-error'
  readonly lenient: 'accept' | 'reject' | 'yaml-error'
  readonly message: string
}

export type Corpus = { readonly ok: true; readonly directory: string; readonly expected: readonly Expected[] } | { readonly ok: false; readonly why: string }

export function corpus(): Corpus {
  const beside = join(import.meta.dirname, '../../../shared/corpus')
  const directory = process.env['MERLON_CORPUS'] ?? (existsSync(beside) ? beside : undefined)
  if (directory === undefined) {
    const why = 'no corpus: set MERLON_CORPUS to the directory that holds expected.jsonl'
    console.warn(`SKIPPED: ${why}`)
    return { ok: false, why }
  }
  const lines = readFileSync(join(directory, 'expected.jsonl'), 'utf8').trim().split('\n')
  return { ok: true, directory, expected: lines.map((line): Expected => JSON.parse(line)) }
}
