// SPDX-License-Identifier: Apache-2.0
// Proof that a table says of every path what its plan says, by a walk over both: the plan as languages (derivative.ts), which the compiler
// knows nothing of. Two statements together mean equality, and neither has to look at several automata at once:
//   nothing is said that is not so: whatever clause an automaton gives in a state covers every path that leads there;
//   nothing is left out: for every match of a clause some automaton gives all its paths that clause or a stronger one.
import { Claims } from './claims.ts'
import { END, Languages, NOTHING } from './derivative.ts'
import { evaluate } from './evaluate.ts'
import { openTable } from './lookup.ts'
import { search, type Space } from './search.ts'
import { OPERATIONS, type Answer, type PathMatch, type Plan, type Question } from './types.ts'

export interface ProveOptions {
  /** Pairs of a state and a language that are looked at in one search. */
  readonly limit?: number
}

export interface Difference {
  readonly question: Question
  readonly expected: Answer
  readonly actual: Answer
}

/** `path`: what tells them apart, as part of a question. `unknown`: why it is neither shown nor refuted. */
export type Proof =
  | { readonly ok: true; readonly pairs: number }
  | ({ readonly ok: false; readonly path: Uint8Array } & Difference)
  | { readonly ok: false; readonly unknown: string }

const LIMIT = 1 << 21
const LONGEST_PATH = 4095
const UTF8 = new TextEncoder()

/** Takes a verified table (verify.ts). Of the differences that it meets it gives one with a shortest path. */
export function prove(plan: Plan, table: Uint8Array, options: ProveOptions = {}): Proof {
  return new Prover(plan, table, options.limit ?? LIMIT).run()
}

/** A state of one automaton, and what the rest of a path has to be: for each clause, and to be an executable that is named. */
interface Said {
  readonly state: number
  /** Clause and language by turns. */
  readonly clauses: readonly number[]
  readonly named: number
}

/** A state of each automaton, and what the rest of a path has to be in order to match. */
interface Covered {
  readonly states: readonly number[]
  readonly rest: number
}

class Prover {
  private readonly plan: Plan
  private readonly table: Uint8Array
  private readonly limit: number
  private readonly claims: Claims
  private readonly languages = new Languages()
  private readonly ofMatch = new Map<PathMatch, number>()
  private readonly named: number
  private readonly bytes: readonly number[]
  private pairs = 0
  private readonly suspects: Uint8Array[] = []

  constructor(plan: Plan, table: Uint8Array, limit: number) {
    this.plan = plan
    this.table = table
    this.limit = limit
    this.claims = new Claims(plan, table)
    for (const { matches } of plan.clauses) for (const match of matches) this.ofMatch.set(match, this.languages.ofMatch(match))
    this.named = this.languages.union(this.claims.sources.map(source => this.languages.literal(UTF8.encode(source), END)))
    this.bytes = this.languages.representatives(this.claims.classOf)
  }

  run(): Proof {
    const complete = this.claims.starts.every((_, automaton) => this.saysNoMore(automaton)) && this.leavesNothingOut()
    for (const path of this.suspects.sort((a, b) => a.length - b.length)) {
      const difference = this.differenceAt(path)
      if (difference !== undefined) return { ok: false, path, ...difference }
    }
    if (!complete) return { ok: false, unknown: `A search met more than ${this.limit} pairs of a state and a language` }
    if (this.suspects.length > 0) return { ok: false, unknown: `The table takes a path for an executable that it is not, which no answer shows: bytes ${this.suspects[0]!.join()}` }
    const long = this.differenceOf([{ operation: 'exec', path: new Uint8Array(LONGEST_PATH + 1).fill(0x2f) }, { operation: 'read', path: new Uint8Array(LONGEST_PATH + 1).fill(0x2f) }], [])
    return long === undefined ? { ok: true, pairs: this.pairs } : { ok: false, path: long.question.path, ...long }
  }

  /** Undefined where the limit was exceeded. */
  private look<S>(start: S, space: Space<S>): { readonly path: Uint8Array | undefined } | undefined {
    const found = search(start, space, this.bytes, this.limit)
    if ('exceeded' in found) return undefined
    this.pairs += found.states
    return found
  }

  private keep(path: Uint8Array | undefined): void {
    if (path !== undefined) this.suspects.push(path)
  }

  private saysNoMore(automaton: number): boolean {
    const { claims, languages } = this
    const clauses = this.clausesOf(automaton).flatMap(index => [index, languages.union(this.plan.clauses[index]!.matches.map(match => this.ofMatch.get(match)!))])
    const dead = claims.claimOf(0)
    const mayStop = !dead.wrong && dead.needs.length === 0
    const space: Space<Said> = {
      key: said => `${said.state} ${said.named} ${said.clauses.join()}`,
      next: (said, byte) => {
        const state = claims.step(said.state, byte)
        return state === 0 && mayStop ? undefined : { state, clauses: this.after(said.clauses, byte), named: languages.derivative(said.named, byte) }
      },
      wanted: said => this.isUnfounded(said, automaton),
    }
    const found = this.look({ state: claims.starts[automaton]!, clauses, named: this.named }, space)
    this.keep(found?.path)
    return found !== undefined
  }

  private after(clauses: readonly number[], byte: number): readonly number[] {
    const rest: number[] = []
    for (let i = 0; i < clauses.length; i += 2) {
      const language = this.languages.derivative(clauses[i + 1]!, byte)
      if (language !== NOTHING) rest.push(clauses[i]!, language)
    }
    return rest
  }

  private isUnfounded({ state, clauses, named }: Said, automaton: number): boolean {
    const { wrong, needs } = this.claims.claimOf(this.claims.objectAt(state))
    if (wrong || (this.claims.subjectAt(state) !== 0 && (automaton > 0 || !this.languages.hasEmpty(named)))) return true
    if (needs.length === 0) return false
    const matching = new Set<number>()
    for (let i = 0; i < clauses.length; i += 2) if (this.languages.hasEmpty(clauses[i + 1]!)) matching.add(clauses[i]!)
    return needs.some(clause => !matching.has(clause))
  }

  /** Clauses that some state of an automaton gives. */
  private clausesOf(automaton: number): readonly number[] {
    const { claims } = this
    const seen = new Set([claims.starts[automaton]!])
    const clauses = new Set<number>()
    for (const state of seen) {
      for (const clause of claims.claimOf(claims.objectAt(state)).needs) clauses.add(clause)
      for (const byte of this.bytes) seen.add(claims.step(state, byte))
    }
    return [...clauses].sort((a, b) => a - b)
  }

  private leavesNothingOut(): boolean {
    return this.plan.clauses.every((clause, index) => clause.matches.every(match => this.isCovered(index, this.ofMatch.get(match)!)))
  }

  /** False where the limit was exceeded. */
  private isCovered(index: number, language: number): boolean {
    const { starts } = this.claims
    for (const start of starts) {
      const found = this.uncovered(index, [start], language)
      if (found !== undefined && found.path === undefined) return true
    }
    // Perhaps one automaton covers some of the paths and another one the rest.
    const found = this.uncovered(index, starts, language)
    this.keep(found?.path)
    return found !== undefined
  }

  private uncovered(index: number, starts: readonly number[], language: number): { readonly path: Uint8Array | undefined } | undefined {
    const { claims, languages } = this
    const space: Space<Covered> = {
      key: ({ states, rest }) => (states.length === 1 ? states[0]! * 2 ** 28 + rest : `${rest}:${states.join()}`),
      next: ({ states, rest }, byte) => {
        const after = languages.derivative(rest, byte)
        return after === NOTHING ? undefined : { states: states.map(state => claims.step(state, byte)), rest: after }
      },
      wanted: ({ states, rest }) => languages.hasEmpty(rest) && !claims.covers(states.map(state => claims.objectAt(state)), index),
    }
    return this.look({ states: starts, rest: language }, space)
  }

  /** A question about the path, or with the path as its source, that evaluate() and the table answer differently. */
  private differenceAt(path: Uint8Array): Difference | undefined {
    const objects = OPERATIONS.map(operation => ({ operation, path }))
    const others = this.plan.clauses.flatMap(({ sources, matches }) => (sources.length === 0 ? [] : matches.map(match => this.wordOf(this.ofMatch.get(match)!))))
    return (
      this.differenceOf(objects, this.claims.sources.map(source => UTF8.encode(source))) ??
      this.differenceOf(others.flatMap(other => OPERATIONS.map(operation => ({ operation, path: other }))), [path])
    )
  }

  private differenceOf(objects: readonly Pick<Question, 'operation' | 'path'>[], sources: readonly Uint8Array[]): Difference | undefined {
    const table = openTable(this.table)
    const questions = objects.flatMap(object => [[], ...sources.map(source => [source])].flatMap(list => [false, true].map((owner): Question => ({ ...object, owner, sources: list }))))
    for (const question of questions) {
      const [expected, actual] = [evaluate(this.plan, question), table.decide(question)]
      if (expected.verdict !== actual.verdict || expected.clause !== actual.clause) return { question, expected, actual }
    }
    return undefined
  }

  /** A shortest path of a language. */
  private wordOf(language: number): Uint8Array {
    const space: Space<number> = {
      key: rest => rest,
      next: (rest, byte) => {
        const after = this.languages.derivative(rest, byte)
        return after === NOTHING ? undefined : after
      },
      wanted: rest => this.languages.hasEmpty(rest),
    }
    const found = search(language, space, this.bytes, this.limit)
    return 'exceeded' in found ? new Uint8Array(0) : (found.path ?? new Uint8Array(0))
  }
}
