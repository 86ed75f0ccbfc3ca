// SPDX-License-Identifier: Apache-2.0
// Everything compiled, written down as docs/table.md says.
import { sha256 } from '@noble/hashes/sha2.js'
import type { Alphabet } from './alphabet.ts'
import type { Comb } from './comb.ts'
import type { Accept } from './layers.ts'
import type { DecisionVector, Row } from './objects.ts'
import { DECISION, FLAGS, HEADER, MAGIC, MAX_PAGES, PAGE, PAIRS_PER_PAGE, PLANES, VERSION, WORDS_PER_PAGE, pagesFor } from './table.ts'

export interface TableParts {
  readonly alphabet: Alphabet
  readonly comb: Comb
  /** Of each automaton, at least one: a state of the comb, before placement. */
  readonly starts: readonly number[]
  readonly accepts: readonly Accept[]
  readonly vectors: readonly DecisionVector[]
  readonly subjects: number
  readonly clauses: number
  readonly undecidable: { readonly exec: number; readonly file: number }
}

export interface Encoded {
  readonly table: Uint8Array
  /** SHA-256, 64 hexadecimal digits. */
  readonly hash: string
}

/** The table, or the number of pages that it would have where that is too many. */
export function encode(parts: TableParts, hash: (bytes: Uint8Array) => Uint8Array = sha256): Encoded | { readonly pages: number } {
  const rows = placeRows(parts.vectors, parts.subjects)
  const acceptsPage = 1 + pagesFor(parts.comb.cells, WORDS_PER_PAGE)
  const decisionsPage = acceptsPage + pagesFor(parts.accepts.length, PAIRS_PER_PAGE)
  const pages = decisionsPage + pagesFor(rows.words, WORDS_PER_PAGE)
  if (pages > MAX_PAGES) return { pages }
  const table = new Uint8Array(pages * PAGE)
  const view = new DataView(table.buffer)
  writeHeader(view, parts, { pages, acceptsPage, decisionsPage, decisions: rows.words })
  table.set(parts.alphabet.classOf.map(c => c + 1), HEADER.classOf)
  writeCells(table, parts.comb)
  for (const [i, { object, subject }] of parts.accepts.entries()) {
    view.setUint32(acceptsPage * PAGE + i * 8, object, true)
    view.setUint32(acceptsPage * PAGE + i * 8 + 4, subject, true)
  }
  writeDecisions(view, decisionsPage * PAGE, parts, rows)
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

interface Rows {
  readonly places: ReadonlyMap<string, number>
  readonly distinct: readonly Row[]
  /** Of the whole section: index and rows. */
  readonly words: number
}

/** Equal rows lie in one place, in the order in which the index first needs them. */
function placeRows(vectors: readonly DecisionVector[], subjects: number): Rows {
  const places = new Map<string, number>()
  const distinct: Row[] = []
  let words = PLANES * vectors.length
  for (const vector of vectors) {
    for (const decision of vector) {
      if (typeof decision === 'number' || places.has(rowKey(decision))) continue
      places.set(rowKey(decision), words)
      distinct.push(decision)
      words += subjects
    }
  }
  return { places, distinct, words }
}

function rowKey(row: Row): string {
  return `${row.base}:${row.others.join()}`
}

function writeDecisions(view: DataView, at: number, parts: TableParts, rows: Rows): void {
  const objects = parts.vectors.length
  for (const [object, vector] of parts.vectors.entries()) {
    for (const [plane, decision] of vector.entries()) {
      const word = typeof decision === 'number' ? decision : rows.places.get(rowKey(decision))! + DECISION.bySubject
      view.setUint32(at + (plane * objects + object) * 4, word, true)
    }
  }
  let place = at + PLANES * objects * 4
  for (const row of rows.distinct) {
    for (let subject = 0; subject < parts.subjects; subject++) view.setUint32(place + subject * 4, row.base, true)
    for (const [subject, word] of row.others) view.setUint32(place + subject * 4, word, true)
    place += parts.subjects * 4
  }
}

interface Layout {
  readonly pages: number
  readonly acceptsPage: number
  readonly decisionsPage: number
  readonly decisions: number
}

function writeHeader(view: DataView, parts: TableParts, layout: Layout): void {
  const put = (offset: number, value: number): void => view.setUint32(offset, value, true)
  put(HEADER.magic, MAGIC)
  put(HEADER.version, VERSION)
  put(HEADER.pages, layout.pages)
  put(HEADER.flags, flagsOf(parts.vectors))
  put(HEADER.classes, parts.alphabet.count)
  put(HEADER.cellsPage, 1)
  put(HEADER.cells, parts.comb.cells)
  put(HEADER.start, parts.comb.place[parts.starts[0]!]!)
  put(HEADER.acceptsPage, layout.acceptsPage)
  put(HEADER.accepts, parts.accepts.length)
  put(HEADER.decisionsPage, layout.decisionsPage)
  put(HEADER.decisions, layout.decisions)
  put(HEADER.objects, parts.vectors.length)
  put(HEADER.subjects, parts.subjects)
  put(HEADER.clauses, parts.clauses)
  put(HEADER.undecidableExec, parts.undecidable.exec)
  put(HEADER.undecidableFile, parts.undecidable.file)
  put(HEADER.automata, parts.starts.length)
  for (const [i, start] of parts.starts.slice(1).entries()) put(HEADER.starts + i * 4, parts.comb.place[start]!)
}

function flagsOf(vectors: readonly DecisionVector[]): number {
  let flags = 0
  for (const vector of vectors) {
    for (const [plane, decision] of vector.entries()) {
      const exec = plane < 2
      if (typeof decision !== 'number') flags |= exec ? FLAGS.execSubjects : FLAGS.fileSubjects
      if (decision !== 0) flags |= exec ? FLAGS.execRules : FLAGS.fileRules
    }
  }
  return flags
}
