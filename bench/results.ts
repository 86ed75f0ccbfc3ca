// SPDX-License-Identifier: Apache-2.0
// The page of results: each bench writes its section, between marks of its name, and leaves the others alone.
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

export const RESULTS = join(import.meta.dirname, 'RESULTS.md')

/** Throws where the page has no such section. */
export function writeSection(name: string, text: string, page = RESULTS): void {
  const [begin, end] = [`<!-- ${name}: begin -->`, `<!-- ${name}: end -->`]
  const before = readFileSync(page, 'utf8')
  const [from, to] = [before.indexOf(begin), before.indexOf(end)]
  if (from < 0 || to < from) throw new Error(`Cannot write results: ${page} has no section "${name}"`)
  writeFileSync(page, `${before.slice(0, from)}${begin}\n\n${text.trim()}\n\n${before.slice(to)}`)
}
