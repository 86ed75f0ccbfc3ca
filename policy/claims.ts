// SPDX-License-Identifier: Apache-2.0
// What a table says of its object and subject classes, held against the clauses of a plan: everything that does not depend on the path.
import { acceptAt, nextState } from './cells.ts'
import { ARGUMENTS, CASES, reservedClauses } from './planes.ts'
import { DECISION, HEADER, PAGE, setWords } from './table.ts'
import { VERDICTS, type Clause, type Plan, type Section } from './types.ts'

/** `wrong`: no path can make it right. `needs`: clauses, 0-based, that have to match every path of the object; after the clauses the argument sets. */
export interface Claim {
  readonly wrong: boolean
  readonly needs: readonly number[]
}

/** What is known of conditions. */
type Known = ReadonlyMap<number, boolean>

interface Leaf {
  readonly word: number
  readonly known: Known
}

export class Claims {
  /** Of the automata of paths. */
  readonly starts: readonly number[]
  readonly keyStart: number
  readonly classOf: Uint8Array
  private readonly columnOf: Uint8Array
  private readonly words: Uint32Array
  private readonly sections: { readonly cells: number; readonly accepts: number; readonly decisions: number; readonly rows: number; readonly choices: number; readonly conditions: number }
  private readonly plan: Plan
  private readonly claims = new Map<number, Claim>()
  private readonly covered = new Map<string, boolean>()
  /** Clauses whose sources each subject class is said to be among. */
  private readonly sourced = new Map<number, Set<number>>()

  /** Takes a verified table. */
  constructor(plan: Plan, bytes: Uint8Array) {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.words = Uint32Array.from({ length: bytes.length / 4 }, (_, i) => view.getUint32(i * 4, true))
    this.classOf = bytes.slice(HEADER.classOf, HEADER.classOf + 256)
    this.columnOf = bytes.slice(HEADER.columnOf, HEADER.end)
    const at = (offset: number): number => this.header(offset) * (PAGE / 4)
    this.sections = { cells: at(HEADER.cellsPage), accepts: at(HEADER.acceptsPage), decisions: at(HEADER.decisionsPage), rows: at(HEADER.rowsPage), choices: at(HEADER.choicesPage), conditions: at(HEADER.conditionsPage) }
    this.starts = Array.from({ length: this.header(HEADER.automata) }, (_, i) => this.header(i === 0 ? HEADER.start : HEADER.starts + (i - 1) * 4))
    this.keyStart = this.header(HEADER.keyStart)
    this.plan = plan
    for (let object = 0; object < this.header(HEADER.objects); object++) this.claims.set(object, this.readClaim(object))
  }

  private header(offset: number): number {
    return this.words[offset / 4]!
  }

  step(state: number, byte: number): number {
    return nextState(this.words, this.sections.cells, state, this.classOf[byte]!)
  }

  objectAt(state: number): number {
    return this.words[this.sections.accepts + this.acceptAt(state) * 2]!
  }

  subjectAt(state: number): number {
    return this.words[this.sections.accepts + this.acceptAt(state) * 2 + 1]!
  }

  private acceptAt(state: number): number {
    return acceptAt(this.words, this.sections.cells, state)
  }

  private indexWord(plane: number, object: number): number {
    return this.words[this.sections.decisions + this.columnOf[plane]! * this.header(HEADER.objects) + object]!
  }

  private rowWord(index: number, subject: number): number {
    const row = index - DECISION.bySubject
    const cell = this.sections.rows + (row + subject) * 2
    return this.words[cell + 1] === row + 1 ? this.words[cell]! : this.words[this.sections.rows + row * 2]!
  }

  /** Clauses whose sources every executable of a subject class has to be among. */
  sourcesOf(subject: number): ReadonlySet<number> {
    return this.sourced.get(subject) ?? new Set()
  }

  claimOf(object: number): Claim {
    return this.claims.get(object)!
  }

  private readClaim(object: number): Claim {
    const needs = new Set<number>(this.membersOf(object).map(set => this.plan.clauses.length + set))
    let wrong = false
    for (const { plane, section } of CASES) {
      for (const { leaf, subject } of this.said(this.indexWord(plane, object))) {
        if (leaf.word === this.fallback(section)) continue
        const clause = (leaf.word & DECISION.clause) - 1
        if (subject !== undefined) this.noteSource(clause, subject)
        if (this.isFounded(leaf, plane, section) && (subject !== undefined || isUnsourced(this.plan.clauses[clause]!))) needs.add(clause)
        else wrong = true
      }
    }
    return { wrong, needs: [...needs] }
  }

  /** All that an index word comes to; without a subject: for every one. */
  private said(index: number): readonly { readonly leaf: Leaf; readonly subject: number | undefined }[] {
    if (index < DECISION.bySubject) return this.leaves(index, new Map()).map(leaf => ({ leaf, subject: undefined }))
    return Array.from({ length: this.header(HEADER.subjects) }, (_, subject) => this.leaves(this.rowWord(index, subject), new Map()).map(leaf => ({ leaf, subject }))).flat()
  }

  private noteSource(clause: number, subject: number): void {
    const known = this.plan.clauses[clause]
    if (known === undefined || isUnsourced(known)) return
    if (!this.sourced.has(subject)) this.sourced.set(subject, new Set())
    this.sourced.get(subject)!.add(clause)
  }

  /** All that a word comes to, and when. */
  private leaves(word: number, known: Known): readonly Leaf[] {
    if (word < DECISION.choice) return [{ word, known }]
    const [condition, yes, no] = this.choiceAt(word)
    const branch = (holds: boolean): readonly Leaf[] => (known.get(condition) === !holds ? [] : this.leaves(holds ? yes : no, new Map([...known, [condition, holds]])))
    return [...branch(true), ...branch(false)]
  }

  private choiceAt(word: number): readonly [condition: number, yes: number, no: number] {
    const at = this.sections.choices + (word - DECISION.choice) * 4
    return [this.words[at]!, this.words[at + 1]!, this.words[at + 2]!]
  }

  /** Whether a word says what its clause says, of an operation that it is about, where its condition is met. */
  private isFounded({ word, known }: Leaf, plane: number, section: Section): boolean {
    const clause = this.plan.clauses[(word & DECISION.clause) - 1]
    if (clause === undefined) return false
    const verdict = VERDICTS[(word >>> DECISION.verdictShift) & DECISION.verdictMask]
    const applies = word >>> 26 === 0 && verdict === clause.verdict && clause.section === section && ((clause.planes >> plane) & 1) === 1
    return applies && (clause.condition === undefined || known.get(clause.condition.index) === clause.condition.holds)
  }

  private membersOf(object: number): readonly number[] {
    const member = this.indexWord(ARGUMENTS, object)
    if (member === 0) return []
    const sets = this.header(HEADER.sets)
    const base = this.sections.conditions + (member - 1) * setWords(sets)
    return Array.from({ length: sets }, (_, set) => set).filter(set => ((this.words[base + (set >> 5)]! >>> (set & 31)) & 1) === 1)
  }

  private fallback(section: Section): number {
    const fallback = this.plan.defaults[section]
    if (fallback === undefined) return 0
    return reservedClauses(this.plan, section).fallback | (VERDICTS.indexOf(fallback.verdict) << DECISION.verdictShift) | DECISION.default
  }

  /** Whether paths of these objects, one of each automaton, get that clause or a stronger one wherever it applies; `subjects`: those of its sources. */
  covers(objects: readonly number[], index: number, subjects: readonly number[]): boolean {
    const key = `${index}:${objects.join()}`
    let result = this.covered.get(key)
    if (result === undefined) this.covered.set(key, (result = this.readCover(objects, index, subjects)))
    return result
  }

  private readCover(objects: readonly number[], index: number, subjects: readonly number[]): boolean {
    const clause = this.plan.clauses[index]
    if (clause === undefined) return objects.some(object => this.membersOf(object).includes(index - this.plan.clauses.length))
    const known: Known = new Map(clause.condition === undefined ? [] : [[clause.condition.index, clause.condition.holds]])
    const among = isUnsourced(clause) ? Array.from({ length: this.header(HEADER.subjects) }, (_, i) => i) : subjects
    for (const { plane, section } of CASES) {
      if (((clause.planes >> plane) & 1) === 0 || section !== clause.section) continue
      const words = objects.map(object => this.indexWord(plane, object))
      const [direct, rows] = [words.filter(word => word < DECISION.bySubject), words.filter(word => word >= DECISION.bySubject)]
      if (this.isStrong(direct, index, known)) continue
      if (!among.every(subject => this.isStrong([...direct, ...rows.map(row => this.rowWord(row, subject))], index, known))) return false
    }
    return true
  }

  /** Whether, however the conditions turn out, one of the words is the clause or a stronger one. */
  private isStrong(words: readonly number[], index: number, known: Known): boolean {
    if (words.some(word => word < DECISION.choice && ((word & DECISION.clause) - 1) >>> 0 <= index)) return true
    const open = words.find(word => word >= DECISION.choice)
    if (open === undefined) return false
    const [condition, yes, no] = this.choiceAt(open)
    const rest = words.filter(word => word !== open)
    const holds = known.get(condition)
    const branch = (value: boolean): boolean => this.isStrong([...rest, value ? yes : no], index, new Map([...known, [condition, value]]))
    return holds === undefined ? branch(true) && branch(false) : branch(holds)
  }
}

export function isUnsourced({ sources, sourceDirectories }: Clause): boolean {
  return sources.length === 0 && sourceDirectories.length === 0
}
