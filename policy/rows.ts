// SPDX-License-Identifier: Apache-2.0
// Decisions that depend on the subject or on a condition, placed: rows interleave like the states of the automaton, so that their cost is
// what they say and not the number of subjects (docs/table.md, "Rows").
import type { Choice, DecisionVector, Row } from './objects.ts'
import { DECISION } from './table.ts'

export interface Rows {
  /** The section: word and check by turns. */
  readonly words: Uint32Array
  /** In order: each refers to those before it only. */
  readonly choices: readonly Choice[]
  /** The word of the index for a decision. */
  readonly wordOf: (decision: number | Row) => number
}

/** Equal rows lie in one place; those that say most are placed first, then in the order in which the index needs them. Of the choices only those that are needed. */
export function placeRows(vectors: readonly DecisionVector[], choices: readonly Choice[], subjects: number): Rows {
  const chosen = new Choices(choices)
  const rows = new Map<string, Row>()
  for (const vector of vectors) {
    for (let column = 0; column < vector.length; column++) {
      const decision = vector[column]!
      if (typeof decision === 'number') chosen.wordOf(decision)
      else rows.set(rowKey(decision), decision)
    }
  }
  const comb = new RowComb()
  const bySize = [...rows].sort(([, a], [, b]) => b.others.length - a.others.length)
  const places = new Map(bySize.map(([key, row]) => [key, comb.place(row, (word) => chosen.wordOf(word))]))
  return {
    words: comb.words(subjects),
    choices: chosen.placed,
    wordOf: (decision) => (typeof decision === 'number' ? chosen.wordOf(decision) : places.get(rowKey(decision))! + DECISION.bySubject),
  }
}

function rowKey(row: Row): string {
  return `${row.base}:${row.others.join()}`
}

class Choices {
  readonly placed: Choice[] = []
  private readonly all: readonly Choice[]
  private readonly numbers = new Map<number, number>()

  constructor(all: readonly Choice[]) {
    this.all = all
  }

  /** A word as the table has it. */
  wordOf(word: number): number {
    if (word < DECISION.choice) return word
    const old = word - DECISION.choice
    let number = this.numbers.get(old)
    if (number === undefined) {
      const { condition, yes, no, unknown } = this.all[old]!
      const [first, second] = [this.wordOf(yes), this.wordOf(no)]
      number = this.placed.push({ condition, yes: first, no: second, unknown }) - 1
      this.numbers.set(old, number)
    }
    return DECISION.choice + number
  }
}

/** So many words of the map are looked at for a row's place before it goes behind all others: a row that fits nowhere else would cost a search of everything. */
const PATIENCE = 1024

/**
 * Cell `row + subject` has the subject's word, and the row's number plus one as its check; where it is somebody else's, the row's own cell has
 * the word. First fit on a bit map of the cells, 32 candidates at a time (comb.ts does the same for states).
 */
class RowComb {
  private cells = new Uint32Array(2048)
  private free = new Uint32Array(32).fill(0xffffffff)
  /** The first word of the map with a free cell. */
  private first = 0
  private last = -1
  private end = 0

  place(row: Row, wordOf: (word: number) => number): number {
    const at = this.find(row)
    this.put(at, wordOf(row.base), at)
    for (const [subject, word] of row.others) this.put(at + subject, wordOf(word), at)
    this.last = Math.max(this.last, at)
    return at
  }

  private find({ others }: Row): number {
    while (this.free[this.first] === 0) this.reserve(++this.first * 32)
    for (let word = this.first; word < this.first + PATIENCE && word * 32 < this.end; word++) {
      let candidates = this.free[word]!
      for (let i = 0; i < others.length && candidates !== 0; i++) candidates &= this.window(word * 32 + others[i]![0])
      if (candidates !== 0) return word * 32 + 31 - Math.clz32(candidates & -candidates)
    }
    return this.end
  }

  /** 32 bits of the map from any cell on; beyond its end all is free. */
  private window(cell: number): number {
    const [low, high] = [this.free[cell >> 5] ?? 0xffffffff, this.free[(cell >> 5) + 1] ?? 0xffffffff]
    const shift = cell & 31
    return shift === 0 ? low : (low >>> shift) | (high << (32 - shift))
  }

  private put(cell: number, word: number, row: number): void {
    this.reserve(cell)
    this.cells[cell * 2] = word
    this.cells[cell * 2 + 1] = row + 1
    this.free[cell >> 5]! &= ~(1 << (cell & 31))
    this.end = Math.max(this.end, cell + 1)
  }

  private reserve(cell: number): void {
    while (cell >= this.free.length * 32) {
      this.free = grown(this.free, 0xffffffff)
      this.cells = grown(this.cells, 0)
    }
  }

  /** With room behind the last row for every subject. */
  words(subjects: number): Uint32Array {
    const words = new Uint32Array(this.last < 0 ? 0 : (this.last + subjects) * 2)
    words.set(this.cells.subarray(0, Math.min(words.length, this.end * 2)))
    return words
  }
}

function grown(array: Uint32Array<ArrayBuffer>, filling: number): Uint32Array<ArrayBuffer> {
  const larger = new Uint32Array(array.length * 2).fill(filling)
  larger.set(array)
  return larger
}
