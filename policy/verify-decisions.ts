// SPDX-License-Identifier: Apache-2.0
// The part of verification that is about decisions: index, rows, choices, conditions and the flags that sum them up. Everything
// before them in the table has been checked.
import { nextState } from './cells.ts'
import { KEY } from './keys.ts'
import { ARGUMENTS, CASES } from './planes.ts'
import { DECISION, FLAGS, HEADER, QUOTA_WORDS, setWords, WORDS_PER_PAGE } from './table.ts'
import { SECTIONS } from './types.ts'

type Problem = string | undefined

/** What some words of decisions say, summed up. */
interface Sum {
  ruled: boolean
  bySubject: boolean
}

export class DecisionChecker {
  private readonly bytes: Uint8Array
  private readonly words: Uint32Array
  private readonly rows: number
  private readonly choices: number

  constructor(bytes: Uint8Array, words: Uint32Array) {
    this.bytes = bytes
    this.words = words
    this.rows = this.header(HEADER.rowsPage) * WORDS_PER_PAGE
    this.choices = this.header(HEADER.choicesPage) * WORDS_PER_PAGE
  }

  problem(): Problem {
    return this.checkChoices() ?? this.checkRows() ?? this.checkIndex() ?? this.checkUndecidable() ?? this.checkConditions()
  }

  private header(offset: number): number {
    return this.words[offset / 4]!
  }

  /** Each refers to those before it only, so that following them ends. */
  private checkChoices(): Problem {
    const conditions = this.header(HEADER.sets) + this.header(HEADER.quotas)
    for (let i = 0; i < this.header(HEADER.choices); i++) {
      const [condition, yes, no, unknown] = this.words.subarray(this.choices + i * 4, this.choices + i * 4 + 4) as unknown as readonly [number, number, number, number]
      if (condition >= conditions) return `Choice ${i} asks for condition ${condition}, and there are ${conditions}`
      const problem = this.word(yes, i) ?? this.word(no, i)
      if (problem !== undefined) return `Choice ${i} ${problem}`
      const expected = no < DECISION.choice ? no : this.words[this.choices + (no - DECISION.choice) * 4 + 3]!
      if (unknown !== expected) return `Choice ${i} gives ${unknown} where no condition holds, and its parts give ${expected}`
    }
    return undefined
  }

  /** A direct word, or a choice below `choices`. */
  private word(word: number, choices: number): Problem {
    if (word >= DECISION.bySubject) return 'has a row where none can be'
    if (word >= DECISION.choice) return word - DECISION.choice < choices ? undefined : `has choice ${word - DECISION.choice}, and ${choices} come before it`
    return this.direct(word)
  }

  private direct(word: number): Problem {
    if (word > DECISION.all) return 'has unknown bits'
    const clause = word & DECISION.clause
    const verdict = (word >>> DECISION.verdictShift) & DECISION.verdictMask
    if (verdict > 2) return `has verdict ${verdict}`
    if (clause > this.header(HEADER.clauses)) return `has clause ${clause}, and ${this.header(HEADER.clauses)} is the highest`
    if (clause === 0 && word !== 0) return 'has a verdict and no clause'
    return undefined
  }

  /** A cell is a row's own, a subject's of a row before it, or empty. */
  private checkRows(): Problem {
    const [rows, subjects] = [this.header(HEADER.rows), this.header(HEADER.subjects)]
    for (let cell = 0; cell < rows; cell++) {
      const [word, check] = [this.words[this.rows + cell * 2]!, this.words[this.rows + cell * 2 + 1]!]
      if (check === 0) {
        if (word !== 0) return `Row cell ${cell} belongs to nobody and is not zero`
        continue
      }
      const row = check - 1
      if (row > cell || cell - row >= subjects || !this.isRow(row)) return `Row cell ${cell} is a subject of row ${row}, which cannot be`
      const problem = this.word(word, this.header(HEADER.choices))
      if (problem !== undefined) return `Row cell ${cell} ${problem}`
    }
    return undefined
  }

  private isRow(row: number): boolean {
    return row + this.header(HEADER.subjects) <= this.header(HEADER.rows) && this.words[this.rows + row * 2 + 1] === row + 1
  }

  private checkIndex(): Problem {
    const objects = this.header(HEADER.objects)
    const base = this.header(HEADER.decisionsPage) * WORDS_PER_PAGE
    const membership = this.bytes[HEADER.columnOf + ARGUMENTS]!
    const sums = Array.from({ length: this.header(HEADER.columns) }, (): Sum => ({ ruled: false, bySubject: false }))
    const members = this.header(HEADER.sets) === 0 ? 0 : (this.header(HEADER.conditions) - this.header(HEADER.quotas) * QUOTA_WORDS) / setWords(this.header(HEADER.sets))
    for (const [column, sum] of sums.entries()) {
      for (let object = 0; object < objects; object++) {
        const word = this.words[base + column * objects + object]!
        if (word === 0) continue
        const problem = column === membership ? this.member(word, members) : this.indexWord(word)
        if (problem !== undefined) return `Index word ${column * objects + object} ${problem}`
        sum.ruled = true
        sum.bySubject ||= word >= DECISION.bySubject
      }
    }
    return this.checkFlags(sums, membership)
  }

  private member(word: number, members: number): Problem {
    return word <= members ? undefined : `names the sets ${word} of an argument, and there are ${members}`
  }

  private indexWord(word: number): Problem {
    if (word < DECISION.bySubject) return this.word(word, this.header(HEADER.choices))
    return this.isRow(word - DECISION.bySubject) ? undefined : `names a row at ${word - DECISION.bySubject}, and there is none`
  }

  private checkFlags(sums: readonly Sum[], membership: number): Problem {
    const columnOf = (plane: number): number => this.bytes[HEADER.columnOf + plane]!
    let flags = this.header(HEADER.sets) > 0 ? FLAGS.arguments : 0
    if (this.invokedState() !== 0) flags |= FLAGS.invoked
    for (const { section, plane, tty, owner, operation } of CASES) {
      const column = columnOf(plane)
      if (column === membership && sums[column]!.ruled) return `Plane ${plane} has the column of arguments`
      const number = SECTIONS.indexOf(section)
      if (sums[column]!.ruled) flags |= FLAGS.rules << number
      if (sums[column]!.bySubject) flags |= FLAGS.subjects << number
      const without = CASES.find((each) => each.operation === operation && each.owner === owner && !each.tty)!
      if (tty && column !== columnOf(without.plane)) flags |= FLAGS.terminal
    }
    return flags === this.header(HEADER.flags) ? undefined : `Flags are ${this.header(HEADER.flags)}, and the table says ${flags}`
  }

  /** The state after the byte that keys of invoked names begin with. */
  private invokedState(): number {
    const start = this.header(HEADER.keyStart)
    if (start === 0) return 0
    return nextState(this.words, WORDS_PER_PAGE, start, this.bytes[HEADER.classOf + KEY.invoked]!)
  }

  private checkUndecidable(): Problem {
    for (const [index, section] of SECTIONS.entries()) {
      const problem = this.direct(this.header(HEADER.undecidable + index * 4))
      if (problem !== undefined) return `Undecidable word of ${section} ${problem}`
    }
    return undefined
  }

  /** Bits beyond the last set are clear. Quotas may have any numbers. */
  private checkConditions(): Problem {
    const sets = this.header(HEADER.sets)
    const width = setWords(sets)
    const base = this.header(HEADER.conditionsPage) * WORDS_PER_PAGE
    const beyond = sets % 32 === 0 ? 0 : ~((1 << (sets % 32)) - 1)
    const words = this.header(HEADER.conditions) - this.header(HEADER.quotas) * QUOTA_WORDS
    for (let last = width - 1; last < words && width > 0; last += width) {
      if ((this.words[base + last]! & beyond) !== 0) return `Condition word ${last} has bits of sets that do not exist`
    }
    for (let i = 0; i < this.header(HEADER.quotas); i++) {
      if (this.words[base + words + i * QUOTA_WORDS + 3]! > 1) return `Quota ${i} is counted at an unknown level`
    }
    return undefined
  }
}
