// SPDX-License-Identifier: Apache-2.0
// Everything compiled, written down as docs/table.md says.
import { sha256 } from '@noble/hashes/sha2.js'
import type { Alphabet } from './alphabet.ts'
import type { Comb } from './comb.ts'
import type { Accept } from './layers.ts'
import type { Choice, Columns, DecisionVector } from './objects.ts'
import { CASES } from './planes.ts'
import { placeRows, type Rows } from './rows.ts'
import { CHOICES_PER_PAGE, FLAGS, HEADER, MAGIC, MAX_PAGES, PAGE, PAIRS_PER_PAGE, QUOTA_WORDS, setWords, VERSION, WORDS_PER_PAGE, pagesFor } from './table.ts'
import { SECTIONS, type Quota } from './types.ts'

export interface TableParts {
  readonly alphabet: Alphabet
  readonly comb: Comb
  /** Of each automaton of paths, at least one: a state of the comb, before placement. */
  readonly starts: readonly number[]
  readonly keyStart: number
  /** Whether some key of an invoked name leads anywhere. */
  readonly invoked: boolean
  readonly accepts: readonly Accept[]
  readonly columns: Columns
  readonly vectors: readonly DecisionVector[]
  readonly choices: readonly Choice[]
  readonly memberships: readonly (readonly number[])[]
  /** How many argument sets there are. */
  readonly sets: number
  readonly quotas: readonly Quota[]
  readonly subjects: number
  readonly clauses: number
  /** Of each section, in their order. */
  readonly undecidable: readonly number[]
}

export interface Encoded {
  readonly table: Uint8Array
  /** SHA-256, 64 hexadecimal digits. */
  readonly hash: string
}

interface Layout {
  readonly rows: Rows
  readonly conditions: number
  readonly acceptsPage: number
  readonly decisionsPage: number
  readonly rowsPage: number
  readonly choicesPage: number
  readonly conditionsPage: number
  readonly pages: number
}

/** The table, or the number of pages that it would have where that is too many. */
export function encode(parts: TableParts, hash: (bytes: Uint8Array) => Uint8Array = sha256): Encoded | { readonly pages: number } {
  const layout = layOut(parts)
  if (layout.pages > MAX_PAGES) return { pages: layout.pages }
  const table = new Uint8Array(layout.pages * PAGE)
  const view = new DataView(table.buffer)
  writeHeader(view, parts, layout)
  table.set(parts.alphabet.classOf.map(c => c + 1), HEADER.classOf)
  table.set(parts.columns.of, HEADER.columnOf)
  writeCells(table, parts.comb)
  for (const [i, { object, subject }] of parts.accepts.entries()) {
    view.setUint32(layout.acceptsPage * PAGE + i * 8, object, true)
    view.setUint32(layout.acceptsPage * PAGE + i * 8 + 4, subject, true)
  }
  writeDecisions(view, layout.decisionsPage * PAGE, parts, layout.rows)
  for (const [i, word] of layout.rows.words.entries()) if (word !== 0) view.setUint32(layout.rowsPage * PAGE + i * 4, word, true)
  writeChoices(view, layout.choicesPage * PAGE, layout.rows)
  writeConditions(view, layout.conditionsPage * PAGE, parts)
  const digest = hash(table)
  table.set(digest, HEADER.hash)
  return { table, hash: toHex(digest) }
}

export function toHex(bytes: Uint8Array): string {
  return Array.from(bytes, byte => byte.toString(16).padStart(2, '0')).join('')
}

const LITTLE_ENDIAN = new Uint8Array(new Uint32Array([1]).buffer)[0] === 1

function writeCells(table: Uint8Array, { words, cells }: Comb): void {
  if (LITTLE_ENDIAN) new Int32Array(table.buffer, PAGE, cells).set(words)
  else for (const [i, word] of words.entries()) new DataView(table.buffer).setInt32(PAGE + i * 4, word, true)
}

/** Sections follow each other, each on pages of its own; an empty one has none. */
function layOut(parts: TableParts): Layout {
  const rows = placeRows(parts.vectors, parts.choices, parts.subjects)
  const conditions = parts.memberships.length * setWords(parts.sets) + parts.quotas.length * QUOTA_WORDS
  const acceptsPage = 1 + pagesFor(parts.comb.cells, WORDS_PER_PAGE)
  const decisionsPage = acceptsPage + pagesFor(parts.accepts.length, PAIRS_PER_PAGE)
  const rowsPage = decisionsPage + pagesFor(parts.columns.count * parts.vectors.length, WORDS_PER_PAGE)
  const choicesPage = rowsPage + pagesFor(rows.words.length / 2, PAIRS_PER_PAGE)
  const conditionsPage = choicesPage + pagesFor(rows.choices.length, CHOICES_PER_PAGE)
  return { rows, conditions, acceptsPage, decisionsPage, rowsPage, choicesPage, conditionsPage, pages: conditionsPage + pagesFor(conditions, WORDS_PER_PAGE) }
}

function writeDecisions(view: DataView, at: number, { vectors }: TableParts, rows: Rows): void {
  // Counted loops here and in flagsOf: with thousands of rules, iterators would be most of what this step allocates.
  for (let object = 0; object < vectors.length; object++) {
    const vector = vectors[object]!
    for (let column = 0; column < vector.length; column++) view.setUint32(at + (column * vectors.length + object) * 4, rows.wordOf(vector[column]!), true)
  }
}

function writeChoices(view: DataView, at: number, { choices }: Rows): void {
  for (const [i, { condition, yes, no, unknown }] of choices.entries()) {
    for (const [word, value] of [condition, yes, no, unknown].entries()) view.setUint32(at + i * 16 + word * 4, value, true)
  }
}

const LEVELS = ['pod', 'policy']

function writeConditions(view: DataView, at: number, { memberships, sets, quotas }: TableParts): void {
  const width = setWords(sets)
  for (const [row, members] of memberships.entries()) {
    for (const set of members) {
      const word = at + (row * width + (set >> 5)) * 4
      view.setUint32(word, view.getUint32(word, true) | (1 << (set & 31)), true)
    }
  }
  const first = at + memberships.length * width * 4
  for (const [i, { limit, seconds, level }] of quotas.entries()) {
    view.setBigUint64(first + i * 16, BigInt(limit), true)
    view.setUint32(first + i * 16 + 8, seconds, true)
    view.setUint32(first + i * 16 + 12, LEVELS.indexOf(level), true)
  }
}

function writeHeader(view: DataView, parts: TableParts, layout: Layout): void {
  const words: readonly (readonly [keyof typeof HEADER, number])[] = [
    ['magic', MAGIC],
    ['version', VERSION],
    ['pages', layout.pages],
    ['flags', flagsOf(parts)],
    ['classes', parts.alphabet.count],
    ['cellsPage', 1],
    ['cells', parts.comb.cells],
    ['start', parts.comb.place[parts.starts[0]!]!],
    ['acceptsPage', layout.acceptsPage],
    ['accepts', parts.accepts.length],
    ['decisionsPage', layout.decisionsPage],
    ['decisions', parts.columns.count * parts.vectors.length],
    ['objects', parts.vectors.length],
    ['subjects', parts.subjects],
    ['clauses', parts.clauses],
    ['columns', parts.columns.count],
    ['automata', parts.starts.length],
    ['keyStart', parts.comb.place[parts.keyStart]!],
    ['rowsPage', layout.rowsPage],
    ['rows', layout.rows.words.length / 2],
    ['choicesPage', layout.choicesPage],
    ['choices', layout.rows.choices.length],
    ['conditionsPage', layout.conditionsPage],
    ['conditions', layout.conditions],
    ['sets', parts.sets],
    ['quotas', parts.quotas.length],
  ]
  for (const [name, value] of words) view.setUint32(HEADER[name], value, true)
  for (const [i, start] of parts.starts.slice(1).entries()) view.setUint32(HEADER.starts + i * 4, parts.comb.place[start]!, true)
  for (const [i, word] of parts.undecidable.entries()) view.setUint32(HEADER.undecidable + i * 4, word, true)
}

function flagsOf({ vectors, columns, sets, invoked }: TableParts): number {
  let flags = (sets > 0 ? FLAGS.arguments : 0) | (invoked ? FLAGS.invoked : 0)
  const [ruled, bySubject] = [new Set<number>(), new Set<number>()]
  for (const vector of vectors) {
    for (let column = 0; column < vector.length; column++) {
      if (vector[column] !== 0) ruled.add(column)
      if (typeof vector[column] !== 'number') bySubject.add(column)
    }
  }
  for (const { section, plane, tty, owner, operation } of CASES) {
    const column = columns.of[plane]!
    const number = SECTIONS.indexOf(section)
    if (ruled.has(column)) flags |= FLAGS.rules << number
    if (bySubject.has(column)) flags |= FLAGS.subjects << number
    if (tty && column !== columns.of[CASES.find(each => each.operation === operation && each.owner === owner && !each.tty)!.plane]) flags |= FLAGS.terminal
  }
  return flags
}

