// SPDX-License-Identifier: Apache-2.0
// What a table says of its object classes, held against the clauses of a plan: everything that does not depend on the path.
import { acceptAt, nextState } from './cells.ts'
import { DECISION, HEADER, PAGE, PLANES } from './table.ts'
import { OPERATIONS, VERDICTS, type Clause, type Plan, type PathSection } from './types.ts'

/** `wrong`: no path can make it right. `needs`: clauses, 0-based, that have to match every path of the object. */
export interface Claim {
  readonly wrong: boolean
  readonly needs: readonly number[]
}

const UTF8 = new TextEncoder()

export class Claims {
  readonly starts: readonly number[]
  readonly classOf: Uint8Array
  /** Every executable that some clause names. */
  readonly sources: readonly string[]
  private readonly words: Uint32Array
  private readonly cells: number
  private readonly accepts: number
  private readonly decisions: number
  private readonly plan: Plan
  private readonly subjectOf: ReadonlyMap<string, number>
  private readonly claims = new Map<number, Claim>()
  private readonly covered = new Map<string, boolean>()

  /** Takes a verified table. */
  constructor(plan: Plan, bytes: Uint8Array) {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.words = Uint32Array.from({ length: bytes.length / 4 }, (_, i) => view.getUint32(i * 4, true))
    this.classOf = bytes.slice(HEADER.classOf, HEADER.classOf + 256)
    this.cells = this.header(HEADER.cellsPage) * (PAGE / 4)
    this.accepts = this.header(HEADER.acceptsPage) * (PAGE / 4)
    this.decisions = this.header(HEADER.decisionsPage) * (PAGE / 4)
    this.starts = Array.from({ length: this.header(HEADER.automata) }, (_, i) => this.header(i === 0 ? HEADER.start : HEADER.starts + (i - 1) * 4))
    this.plan = plan
    this.sources = [...new Set(plan.clauses.flatMap(clause => clause.sources))]
    this.subjectOf = new Map(this.sources.map(source => [source, this.subjectAt(UTF8.encode(source).reduce((state, byte) => this.step(state, byte), this.starts[0]!))]))
  }

  private header(offset: number): number {
    return this.words[offset / 4]!
  }

  step(state: number, byte: number): number {
    return nextState(this.words, this.cells, state, this.classOf[byte]!)
  }

  objectAt(state: number): number {
    return this.words[this.accepts + this.acceptAt(state) * 2]!
  }

  subjectAt(state: number): number {
    return this.words[this.accepts + this.acceptAt(state) * 2 + 1]!
  }

  private acceptAt(state: number): number {
    return acceptAt(this.words, this.cells, state)
  }

  private indexWord(plane: number, object: number): number {
    return this.words[this.decisions + plane * this.header(HEADER.objects) + object]!
  }

  private rowWord(index: number, subject: number): number {
    return this.words[this.decisions + (index - DECISION.bySubject) + subject]!
  }

  claimOf(object: number): Claim {
    let claim = this.claims.get(object)
    if (claim === undefined) this.claims.set(object, (claim = this.readClaim(object)))
    return claim
  }

  private readClaim(object: number): Claim {
    const needs = new Set<number>()
    let wrong = false
    for (let plane = 0; plane < PLANES; plane++) {
      const index = this.indexWord(plane, object)
      const direct = index < DECISION.bySubject
      for (let subject = 0; subject < (direct ? 1 : this.header(HEADER.subjects)); subject++) {
        const word = direct ? index : this.rowWord(index, subject)
        if (word === this.fallback(plane)) continue
        const clause = this.plan.clauses[(word & DECISION.clause) - 1]
        if (clause === undefined || !isWordOf(word, clause, plane) || !this.holdsFor(clause, direct ? undefined : subject)) wrong = true
        else needs.add((word & DECISION.clause) - 1)
      }
    }
    return { wrong, needs: [...needs] }
  }

  /** Whether a clause applies to all executables of a subject class; `undefined`: to all executables. */
  private holdsFor(clause: Clause, subject: number | undefined): boolean {
    if (clause.sources.length === 0) return true
    if (subject === undefined || subject === 0) return false
    return this.sources.every(source => this.subjectOf.get(source) !== subject || clause.sources.includes(source))
  }

  private fallback(plane: number): number {
    const section = sectionOf(plane)
    const fallback = this.plan.defaults[section]
    if (fallback === undefined) return 0
    return (this.plan.clauses.length + (section === 'process' ? 1 : 2)) | (VERDICTS.indexOf(fallback.verdict) << DECISION.verdictShift) | DECISION.default
  }

  /** Whether paths of these objects, one of each automaton, get that clause or a stronger one wherever it applies. */
  covers(objects: readonly number[], index: number): boolean {
    const key = `${index}:${objects.join()}`
    let result = this.covered.get(key)
    if (result === undefined) this.covered.set(key, (result = this.readCover(objects, index)))
    return result
  }

  private readCover(objects: readonly number[], index: number): boolean {
    const clause = this.plan.clauses[index]!
    const subjects = clause.sources.length > 0 ? [...new Set(clause.sources.map(source => this.subjectOf.get(source)!))] : Array.from({ length: this.header(HEADER.subjects) }, (_, i) => i)
    const isStrong = (word: number): boolean => ((word & DECISION.clause) - 1) >>> 0 <= index
    for (let plane = 0; plane < PLANES; plane++) {
      if (((clause.planes >> plane) & 1) === 0 || sectionOf(plane) !== clause.section) continue
      const words = objects.map(object => this.indexWord(plane, object))
      if (words.some(word => word < DECISION.bySubject && isStrong(word))) continue
      const rows = words.filter(word => word >= DECISION.bySubject)
      if (!subjects.every(subject => rows.some(row => isStrong(this.rowWord(row, subject))))) return false
    }
    return true
  }
}

function sectionOf(plane: number): PathSection {
  return OPERATIONS[plane >> 1] === 'exec' ? 'process' : 'file'
}

/** Whether a word says what the clause says, of an operation that it is about. */
function isWordOf(word: number, clause: Clause, plane: number): boolean {
  const verdict = VERDICTS[(word >>> DECISION.verdictShift) & DECISION.verdictMask]
  return word >>> 26 === 0 && verdict === clause.verdict && clause.section === sectionOf(plane) && ((clause.planes >> plane) & 1) === 1
}
