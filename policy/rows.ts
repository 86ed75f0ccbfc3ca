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

/** Places tried for a row before it goes behind all others. */
const MOST_TRIES = 512

/** Equal rows lie in one place, in the order in which the index first needs them; of the choices only those that are needed. */
export function placeRows(vectors: readonly DecisionVector[], choices: readonly Choice[], subjects: number): Rows {
  const chosen = new Choices(choices)
  const comb = new RowComb()
  const places = new Map<string, number>()
  for (const vector of vectors) {
    for (const decision of vector) {
      if (typeof decision === 'number') chosen.wordOf(decision)
      else if (!places.has(rowKey(decision))) places.set(rowKey(decision), comb.place(decision, (word) => chosen.wordOf(word)))
    }
  }
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

/** Cell `row + subject` has the subject's word, and the row's number plus one as its check; where it is somebody else's, the row's own cell has the word. */
class RowComb {
  private readonly cells: ([word: number, check: number] | undefined)[] = []
  private free = 0
  private last = -1

  place(row: Row, wordOf: (word: number) => number): number {
    while (this.isTaken(this.free)) this.free++
    let at = this.free
    for (let tries = 0; !this.fits(at, row); tries++) at = tries < MOST_TRIES ? at + 1 : Math.max(at + 1, this.cells.length)
    this.cells[at] = [wordOf(row.base), at + 1]
    for (const [subject, word] of row.others) this.cells[at + subject] = [wordOf(word), at + 1]
    this.last = Math.max(this.last, at)
    return at
  }

  private isTaken(cell: number): boolean {
    return this.cells[cell] !== undefined
  }

  private fits(at: number, row: Row): boolean {
    return !this.isTaken(at) && row.others.every(([subject]) => !this.isTaken(at + subject))
  }

  /** With room behind the last row for every subject. */
  words(subjects: number): Uint32Array {
    const words = new Uint32Array(this.last < 0 ? 0 : (this.last + subjects) * 2)
    for (const [i, cell] of this.cells.entries()) if (cell !== undefined) words.set(cell, i * 2)
    return words
  }
}
