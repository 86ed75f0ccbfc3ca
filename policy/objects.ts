// SPDX-License-Identifier: Apache-2.0
// Clauses that match, folded to object classes: paths and keys that are decided alike, whatever set of clauses matches them.
import { ARGUMENTS, CASES, PLANES, reservedClauses } from './planes.ts'
import type { Subjects } from './subjects.ts'
import { DECISION } from './table.ts'
import { VERDICTS, type Clause, type Plan, type Verdict } from './types.ts'

/** A direct decision word. */
export function decisionWord(clause: number, verdict: Verdict, isDefault = false): number {
  return clause | (VERDICTS.indexOf(verdict) << DECISION.verdictShift) | (isDefault ? DECISION.default : 0)
}

/** Of two words by a condition; each a direct word, or DECISION.choice and the number of another choice. */
export interface Choice {
  readonly condition: number
  readonly yes: number
  readonly no: number
  /** The direct word where no condition holds. */
  readonly unknown: number
}

/** Decisions that depend on the subject: `base` for all but those of `others`, which are ascending. */
export interface Row {
  readonly base: number
  readonly others: readonly (readonly [subject: number, word: number])[]
}

/** For each column a word, or a row. */
export type DecisionVector = readonly (number | Row)[]

/** Planes that every clause and every default treats alike are one column. */
export interface Columns {
  readonly count: number
  /** Column of each plane. */
  readonly of: readonly number[]
  /** A plane of each column. */
  readonly plane: readonly number[]
}

/** A clause decides operations of its own section only, whatever its planes say. */
const PLANES_OF = new Map(CASES.map(({ section }) => [section, CASES.reduce((bits, each) => (each.section === section ? bits | (1 << each.plane) : bits), 0)]))

function makeColumns(masks: Int32Array, fallbacks: readonly number[], hasSets: boolean): Columns {
  const distinct = [...new Set(masks)]
  const columns = new Map<string, number>()
  const [of, plane]: [number[], number[]] = [[], []]
  for (let p = 0; p < PLANES; p++) {
    const key = p === ARGUMENTS && hasSets ? 'arguments' : `${fallbacks[p]}:${distinct.filter((mask) => ((mask >> p) & 1) === 1).join()}`
    if (!columns.has(key)) {
      columns.set(key, plane.length)
      plane.push(p)
    }
    of.push(columns.get(key)!)
  }
  return { count: plane.length, of, plane }
}

/**
 * Hands out a number for each distinct vector of decisions; object 0 is that of what no clause matches. Clauses are 0-based indices into the plan;
 * after them come the argument sets, and then the directories of sources, as if they were clauses.
 */
export class Objects {
  readonly vectors: DecisionVector[] = []
  readonly columns: Columns
  readonly choices: Choice[] = []
  /** Lists of argument sets that arguments are in; the word of plane ARGUMENTS is the number of one, from 1. */
  readonly memberships: (readonly number[])[] = []
  private readonly plan: Plan
  private readonly subjects: Subjects
  private readonly fallbacks: readonly number[]
  private readonly words: readonly number[]
  private readonly planes: Int32Array
  private readonly rules: number
  private readonly firstDirectory: number
  private readonly conditional: boolean
  private readonly ids = new Map<number | string, number>()
  private readonly choiceIds = new Map<string, number>()
  private readonly membershipIds = new Map<string, number>()
  /** By the clause, where it is the only one: most paths. */
  private readonly ofSingle: Int32Array

  constructor(plan: Plan, subjects: Subjects) {
    this.plan = plan
    this.subjects = subjects
    this.rules = plan.clauses.length
    const sets = plan.conditions.filter(({ kind }) => kind === 'arguments').length
    this.firstDirectory = this.rules + sets
    this.conditional = plan.clauses.some(({ condition }) => condition !== undefined)
    this.fallbacks = Array.from({ length: PLANES }, (_, plane) => {
      const section = CASES.find((each) => each.plane === plane)?.section
      const fallback = section === undefined ? undefined : plan.defaults[section]
      return fallback === undefined ? 0 : decisionWord(reservedClauses(plan, section!).fallback, fallback.verdict, true)
    })
    this.words = plan.clauses.map((clause, i) => decisionWord(i + 1, clause.verdict))
    this.planes = Int32Array.from(plan.clauses, (clause) => clause.planes & PLANES_OF.get(clause.section)!)
    this.columns = makeColumns(this.planes, this.fallbacks, sets > 0)
    this.ofSingle = new Int32Array(this.rules).fill(-1)
    this.objectOf([])
  }

  /** The object class of what these clauses match; ascending. */
  objectOf(clauses: readonly number[]): number {
    const single = clauses.length === 1 && clauses[0]! < this.rules ? clauses[0]! : -1
    if (single >= 0 && this.ofSingle[single]! >= 0) return this.ofSingle[single]!
    const id = this.find(clauses)
    if (single >= 0) this.ofSingle[single] = id
    return id
  }

  /** The subject class of an executable that no clause names by its path. */
  subjectOf(clauses: readonly number[]): number {
    if (clauses.length === 0 || clauses.at(-1)! < this.firstDirectory) return 0
    return this.subjects.ofDirectories(clauses.filter((clause) => clause >= this.firstDirectory).map((clause) => clause - this.firstDirectory))
  }

  private find(clauses: readonly number[]): number {
    const simple = clauses.length === 1 && this.isSimple(clauses[0]!)
    const vector: (number | Row)[] = []
    for (const plane of this.columns.plane) {
      if (simple) vector.push(((this.planes[clauses[0]!]! >> plane) & 1) === 1 ? this.words[clauses[0]!]! : this.fallbacks[plane]!)
      else vector.push(plane === ARGUMENTS ? this.membership(clauses) : this.decide(plane, clauses))
    }
    const key = this.keyOf(vector)
    let id = this.ids.get(key)
    if (id === undefined) {
      id = this.vectors.push(vector) - 1
      this.ids.set(key, id)
    }
    return id
  }

  /** A rule of any source, in a plan without conditions: most, where there are many. */
  private isSimple(clause: number): boolean {
    return !this.conditional && clause < this.rules && isUnsourced(this.plan.clauses[clause]!)
  }

  /** Equal for equal vectors. Numbers are quicker than texts, and most vectors have one clause's word where they have no fallback. */
  private keyOf(vector: DecisionVector): number | string {
    let word = 0
    let columns = 0
    for (let column = 0; column < vector.length; column++) {
      const decision = vector[column]!
      if (decision === this.fallbacks[this.columns.plane[column]!]) continue
      if (typeof decision !== 'number' || (columns !== 0 && decision !== word)) return vector.map(showKey).join(';')
      word = decision
      columns |= 1 << column
    }
    return word * (1 << PLANES) + columns
  }

  private membership(clauses: readonly number[]): number {
    const sets = clauses.filter((clause) => clause >= this.rules && clause < this.firstDirectory).map((clause) => clause - this.rules)
    if (sets.length === 0) return 0
    const key = sets.join()
    let id = this.membershipIds.get(key)
    if (id === undefined) this.membershipIds.set(key, (id = this.memberships.push(sets)))
    return id
  }

  private decide(plane: number, clauses: readonly number[]): number | Row {
    return this.conditional ? this.decideByCondition(plane, clauses) : this.decidePlainly(plane, clauses)
  }

  private decidePlainly(plane: number, clauses: readonly number[]): number | Row {
    const others = new Map<number, number>()
    let base = this.fallbacks[plane]!
    for (const clause of clauses) {
      if (clause >= this.rules) break
      if (((this.planes[clause]! >> plane) & 1) === 0) continue
      const word = this.words[clause]!
      if (isUnsourced(this.plan.clauses[clause]!)) {
        base = word
        break
      }
      for (const subject of this.subjects.ofClause[clause]!) if (!others.has(subject)) others.set(subject, word)
    }
    return rowOf(base, others)
  }

  private decideByCondition(plane: number, clauses: readonly number[]): number | Row {
    const applying = clauses.filter((clause) => clause < this.rules && ((this.planes[clause]! >> plane) & 1) === 1)
    const named = new Set(applying.flatMap((clause) => this.subjects.ofClause[clause]!))
    const fallback = this.fallbacks[plane]!
    const wordFor = (subject: number): number =>
      this.choose(applying.filter((clause) => isUnsourced(this.plan.clauses[clause]!) || this.subjects.ofClause[clause]!.includes(subject)), fallback, new Map())
    return rowOf(wordFor(0), new Map([...named].map((subject) => [subject, wordFor(subject)])))
  }

  /** The first of some clauses whose condition is met. */
  private choose(clauses: readonly number[], fallback: number, known: ReadonlyMap<number, boolean>): number {
    const [first, ...rest] = clauses
    if (first === undefined) return fallback
    const { condition } = this.plan.clauses[first]!
    const word = this.words[first]!
    if (condition === undefined) return word
    const { index, holds } = condition
    if (known.has(index)) return known.get(index) === holds ? word : this.choose(rest, fallback, known)
    const other = this.choose(rest, fallback, new Map([...known, [index, !holds]]))
    return this.choice(index, holds ? word : other, holds ? other : word)
  }

  private choice(condition: number, yes: number, no: number): number {
    if (yes === no) return yes
    const key = `${condition}:${yes}:${no}`
    let id = this.choiceIds.get(key)
    if (id === undefined) {
      const unknown = no >= DECISION.choice ? this.choices[no - DECISION.choice]!.unknown : no
      id = this.choices.push({ condition, yes, no, unknown }) - 1
      this.choiceIds.set(key, id)
    }
    return DECISION.choice + id
  }
}

function isUnsourced({ sources, sourceDirectories }: Clause): boolean {
  return sources.length === 0 && sourceDirectories.length === 0
}

function rowOf(base: number, words: ReadonlyMap<number, number>): number | Row {
  const others = [...words].filter(([, word]) => word !== base).sort((a, b) => a[0] - b[0])
  return others.length === 0 ? base : { base, others }
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
  if (word >= DECISION.choice) return `choice ${word - DECISION.choice}`
  const verdict = VERDICTS[(word >>> DECISION.verdictShift) & DECISION.verdictMask] ?? '?'
  return `${verdict}/${word & DECISION.clause}${word & DECISION.default ? '*' : ''}`
}
