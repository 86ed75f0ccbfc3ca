// SPDX-License-Identifier: Apache-2.0
// Clauses that match, folded to classes: subjects (executables that the same clauses name as their source) and objects (paths
// that are decided alike, whatever set of clauses matches them).
import { byteString } from './expression.ts'
import { OPERATIONS, VERDICTS, type Plan, type PathSection, type Verdict } from './types.ts'
import { DECISION, PLANES } from './table.ts'

/** Clause numbers that follow the plan's own (policy/types.ts, Answer). */
export function reservedClauses(plan: Plan): { readonly [section in PathSection]: { readonly fallback: number; readonly undecidable: number } } {
  const n = plan.clauses.length
  return { process: { fallback: n + 1, undecidable: n + 3 }, file: { fallback: n + 2, undecidable: n + 4 } }
}

/** A direct decision word. */
export function decisionWord(clause: number, verdict: Verdict, isDefault = false): number {
  return clause | (VERDICTS.indexOf(verdict) << DECISION.verdictShift) | (isDefault ? DECISION.default : 0)
}

export function sectionOfPlane(plane: number): PathSection {
  return OPERATIONS[plane >> 1] === 'exec' ? 'process' : 'file'
}

/** Class 0: executables that no clause names. */
export interface Subjects {
  readonly count: number
  /** Class of each executable that some clause names, by its byte string. */
  readonly classOf: ReadonlyMap<string, number>
  /** For each clause the classes of its sources, ascending; empty: any source. */
  readonly ofClause: readonly (readonly number[])[]
}

export function makeSubjects(plan: Plan): Subjects {
  const lists = new Map<string, readonly string[]>()
  const keys = plan.clauses.map(clause => {
    const key = clause.sources.join('\0')
    if (clause.sources.length > 0 && !lists.has(key)) lists.set(key, clause.sources.map(byteString))
    return key
  })
  const namedBy = new Map<string, number[]>()
  for (const [list, sources] of [...lists.values()].entries()) {
    for (const source of new Set(sources)) {
      const lists = namedBy.get(source)
      if (lists === undefined) namedBy.set(source, [list])
      else lists.push(list)
    }
  }
  const ids = new Map<string, number>()
  const classOf = new Map<string, number>()
  for (const [source, lists] of namedBy) {
    const key = lists.join()
    if (!ids.has(key)) ids.set(key, ids.size + 1)
    classOf.set(source, ids.get(key)!)
  }
  const ofList = new Map([...lists].map(([key, sources]) => [key, [...new Set(sources.map(source => classOf.get(source)!))].sort((a, b) => a - b)]))
  return { count: ids.size + 1, classOf, ofClause: keys.map(key => ofList.get(key) ?? []) }
}

/** Decisions that depend on the subject: `base` for all but those of `others`, which are ascending. */
export interface Row {
  readonly base: number
  readonly others: readonly (readonly [subject: number, word: number])[]
}

/** For each plane a direct word, or a row. */
export type DecisionVector = readonly (number | Row)[]

/** Hands out a number for each distinct vector of decisions; object 0 is that of paths that no clause matches. */
export class Objects {
  readonly vectors: DecisionVector[] = []
  private readonly plan: Plan
  private readonly subjects: Subjects
  private readonly fallbacks: readonly number[]
  private readonly words: readonly number[]
  private readonly planes: Uint8Array
  private readonly ids = new Map<number | string, number>()
  /** By the clause, where it is the only one: most paths. */
  private readonly ofSingle: Int32Array

  constructor(plan: Plan, subjects: Subjects) {
    this.plan = plan
    this.subjects = subjects
    const reserved = reservedClauses(plan)
    this.fallbacks = Array.from({ length: PLANES }, (_, plane) => {
      const section = sectionOfPlane(plane)
      const fallback = plan.defaults[section]
      return fallback === undefined ? 0 : decisionWord(reserved[section].fallback, fallback.verdict, true)
    })
    this.words = plan.clauses.map((clause, i) => decisionWord(i + 1, clause.verdict))
    // A clause decides operations of its own section only, whatever its planes say.
    this.planes = Uint8Array.from(plan.clauses, clause => clause.planes & (clause.section === 'process' ? 0b000011 : 0b111100))
    this.ofSingle = new Int32Array(plan.clauses.length).fill(-1)
    this.objectOf([])
  }

  /** The object class of paths that these clauses match; ascending 0-based indices into the plan. */
  objectOf(clauses: readonly number[]): number {
    const single = clauses.length === 1 ? clauses[0]! : -1
    if (single >= 0 && this.ofSingle[single]! >= 0) return this.ofSingle[single]!
    const id = this.find(clauses)
    if (single >= 0) this.ofSingle[single] = id
    return id
  }

  private find(clauses: readonly number[]): number {
    const vector: (number | Row)[] = []
    for (let plane = 0; plane < PLANES; plane++) vector.push(this.decide(plane, clauses))
    const key = this.keyOf(vector)
    let id = this.ids.get(key)
    if (id === undefined) {
      id = this.vectors.push(vector) - 1
      this.ids.set(key, id)
    }
    return id
  }

  /** Equal for equal vectors. Numbers are quicker than texts, and most vectors have one clause's word where they have no fallback. */
  private keyOf(vector: DecisionVector): number | string {
    let word = 0
    let planes = 0
    for (let plane = 0; plane < PLANES; plane++) {
      const decision = vector[plane]!
      if (decision === this.fallbacks[plane]) continue
      if (typeof decision !== 'number' || (planes !== 0 && decision !== word)) return vector.map(showKey).join(';')
      word = decision
      planes |= 1 << plane
    }
    return word * (1 << PLANES) + planes
  }

  private decide(plane: number, clauses: readonly number[]): number | Row {
    const others = new Map<number, number>()
    let base = this.fallbacks[plane]!
    for (const clause of clauses) {
      if (((this.planes[clause]! >> plane) & 1) === 0) continue
      const word = this.words[clause]!
      if (this.plan.clauses[clause]!.sources.length === 0) {
        base = word
        break
      }
      for (const subject of this.subjects.ofClause[clause]!) if (!others.has(subject)) others.set(subject, word)
    }
    if (others.size === 0) return base
    return { base, others: [...others].sort((a, b) => a[0] - b[0]) }
  }
}

function showKey(decision: number | Row): string {
  return typeof decision === 'number' ? `${decision}` : `${decision.base}:${decision.others.join()}`
}

/** `merlon compile --dump=objects`. */
export function dumpObjects(vectors: readonly DecisionVector[]): string {
  return vectors.map((vector, object) => `object ${object}: ${vector.map(showDecision).join(' ')}\n`).join('')
}

function showDecision(decision: number | Row): string {
  if (typeof decision === 'number') return showWord(decision)
  return `{${decision.others.map(([subject, word]) => `${subject}:${showWord(word)}`).join(',')},else:${showWord(decision.base)}}`
}

export function showWord(word: number): string {
  const verdict = VERDICTS[(word >>> DECISION.verdictShift) & DECISION.verdictMask] ?? '?'
  return `${verdict}/${word & DECISION.clause}${word & DECISION.default ? '*' : ''}`
}
