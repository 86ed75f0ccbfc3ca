// SPDX-License-Identifier: Apache-2.0
// Proof that a table says of every path and key what its plan says, by a walk over both: the plan as languages (derivative.ts), which the compiler
// knows nothing of. Two statements together mean equality, and neither has to look at several automata at once:
//   nothing is said that is not so: whatever clause an automaton gives in a state covers every path that leads there;
//   nothing is left out: for every match of a clause some automaton gives all its paths that clause or a stronger one.
import { Claims, isUnsourced } from './claims.ts'
import { END, Languages, NOTHING } from './derivative.ts'
import { evaluate } from './evaluate.ts'
import { argumentKey, KEY } from './keys.ts'
import { openTable } from './lookup.ts'
import { search, type Space } from './search.ts'
import { questionsAbout, questionsFrom } from './suspects.ts'
import { isPathMatch, type Answer, type Clause, type Plan, type Question } from './types.ts'

export interface ProveOptions {
  /** Pairs of a state and a language that are looked at in one search. */
  readonly limit?: number
  /** Derivatives that are taken in all. */
  readonly work?: number
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
/** Some ten seconds. */
const WORK = 1 << 26
const LONGEST_PATH = 4095
const SLASH = 0x2f
const UTF8 = new TextEncoder()

/** Takes a verified table (verify.ts). Of the differences that it meets it gives one with a shortest path. */
export function prove(plan: Plan, table: Uint8Array, options: ProveOptions = {}): Proof {
  return new Prover(plan, table, { limit: options.limit ?? LIMIT, work: options.work ?? WORK }).run()
}

/** A state of one automaton, and what the rest of a path has to be: for each clause to match, and to be among its sources. */
interface Said {
  readonly state: number
  /** Clause and language by turns. */
  readonly clauses: readonly number[]
  readonly sources: readonly number[]
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
  private readonly work: number
  private readonly claims: Claims
  private readonly languages = new Languages()
  /** Of each clause, and after them of each argument set: what it matches on paths, and on keys. */
  private readonly matches: readonly { readonly paths: readonly number[]; readonly keys: readonly number[] }[]
  /** Of each clause with sources: what they are, of paths and of keys. */
  private readonly sources: ReadonlyMap<number, { readonly paths: number; readonly keys: number }>
  private readonly subjects = new Map<string, readonly number[]>()
  private readonly bytes: readonly number[]
  private pairs = 0
  private readonly suspects: Uint8Array[] = []

  constructor(plan: Plan, table: Uint8Array, { limit, work }: Required<ProveOptions>) {
    this.plan = plan
    this.table = table
    this.limit = limit
    this.work = work
    this.claims = new Claims(plan, table)
    const { languages } = this
    const sets = plan.conditions.flatMap(condition => (condition.kind === 'arguments' ? [condition.allowed] : []))
    this.matches = [
      ...plan.clauses.map(({ matches, section }) => ({
        paths: matches.filter(isPathMatch).map(match => languages.ofMatch(match, section)),
        keys: matches.filter(match => !isPathMatch(match)).map(match => languages.ofMatch(match, section)),
      })),
      ...sets.map(allowed => ({ paths: [], keys: allowed.map(argument => languages.literal(argumentKey(UTF8.encode(argument)), END)) })),
    ]
    this.sources = new Map(plan.clauses.flatMap((clause, index) => (isUnsourced(clause) ? [] : [[index, this.languagesOfSources(clause)] as const])))
    this.bytes = languages.representatives(this.claims.classOf)
  }

  private languagesOfSources({ sources, sourceDirectories }: Clause): { readonly paths: number; readonly keys: number } {
    const { languages } = this
    const literals = sources.map(source => UTF8.encode(source))
    const invoked = (key: Uint8Array): boolean => key[0] === KEY.invoked
    const directories = sourceDirectories.map(directory => languages.ofMatch({ kind: 'dir', ...directory }, 'process'))
    return {
      paths: languages.union([...literals.filter(key => !invoked(key)).map(key => languages.literal(key, END)), ...directories]),
      keys: languages.union(literals.filter(invoked).map(key => languages.literal(key, END))),
    }
  }

  run(): Proof {
    const { starts, keyStart } = this.claims
    const complete = starts.every((start, automaton) => this.saysNoMore(start, 'paths', automaton === 0)) && this.saysNoMore(keyStart, 'keys', true) && this.leavesNothingOut()
    for (const path of this.suspects.sort((a, b) => a.length - b.length)) {
      const difference = this.differenceAt(path)
      if (difference !== undefined) return { ok: false, path, ...difference }
    }
    if (!complete) {
      const unknown = this.isSpent() ? `The patterns ask for more than ${this.work} derivatives` : `A search met more than ${this.limit} pairs of a state and a language`
      return { ok: false, unknown }
    }
    if (this.suspects.length > 0) return { ok: false, unknown: `The table says something of a path that it should not, which no answer shows: bytes ${this.suspects[0]!.join()}` }
    const long = this.differenceOf(questionsAbout(this.plan, new Uint8Array(LONGEST_PATH + 1).fill(SLASH)))
    return long === undefined ? { ok: true, pairs: this.pairs } : { ok: false, path: long.question.path, ...long }
  }

  /** Undefined where the limit was exceeded. */
  private look<S>(start: S, space: Space<S>): { readonly path: Uint8Array | undefined } | undefined {
    const found = search(start, { ...space, spent: () => this.isSpent() }, this.bytes, this.limit)
    if ('exceeded' in found) return undefined
    this.pairs += found.states
    return found
  }

  private isSpent(): boolean {
    return this.languages.steps > this.work
  }

  private keep(path: Uint8Array | undefined): void {
    if (path !== undefined) this.suspects.push(path)
  }

  /** `subjects`: whether executables are looked up in this automaton. */
  private saysNoMore(start: number, among: 'paths' | 'keys', subjects: boolean): boolean {
    const { claims, languages } = this
    const { objects, sourced } = this.saidFrom(start)
    const clauses = [...objects].sort((a, b) => a - b).flatMap(index => [index, languages.union(this.matches[index]![among])])
    const sources = subjects ? [...sourced].sort((a, b) => a - b).flatMap(index => [index, this.sources.get(index)![among]]) : []
    const dead = claims.claimOf(0)
    const mayStop = !dead.wrong && dead.needs.length === 0 && claims.sourcesOf(0).size === 0
    const space: Space<Said> = {
      key: said => `${said.state} ${said.clauses.join()} ${said.sources.join()}`,
      next: (said, byte) => {
        const state = claims.step(said.state, byte)
        return state === 0 && mayStop ? undefined : { state, clauses: this.after(said.clauses, byte), sources: this.after(said.sources, byte) }
      },
      wanted: said => this.isUnfounded(said, subjects),
    }
    const found = this.look({ state: start, clauses, sources }, space)
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

  private isUnfounded({ state, clauses, sources }: Said, subjects: boolean): boolean {
    const { wrong, needs } = this.claims.claimOf(this.claims.objectAt(state))
    if (wrong) return true
    const subject = this.claims.subjectAt(state)
    if (!subjects) return subject !== 0 || !this.areMet(needs, clauses)
    return !this.areMet(needs, clauses) || !this.areMet([...this.claims.sourcesOf(subject)], sources)
  }

  /** Whether the languages of all these clauses hold the empty rest. */
  private areMet(needs: readonly number[], languages: readonly number[]): boolean {
    if (needs.length === 0) return true
    const matching = new Set<number>()
    for (let i = 0; i < languages.length; i += 2) if (this.languages.hasEmpty(languages[i + 1]!)) matching.add(languages[i]!)
    return needs.every(clause => matching.has(clause))
  }

  /** Clauses that some state gives, and those whose sources some subject class is said to be among. */
  private saidFrom(start: number): { readonly objects: ReadonlySet<number>; readonly sourced: ReadonlySet<number> } {
    const { claims } = this
    const seen = new Set([start])
    const [objects, sourced] = [new Set<number>(), new Set<number>()]
    for (const state of seen) {
      for (const clause of claims.claimOf(claims.objectAt(state)).needs) objects.add(clause)
      for (const clause of claims.sourcesOf(claims.subjectAt(state))) sourced.add(clause)
      for (const byte of this.bytes) seen.add(claims.step(state, byte))
    }
    return { objects, sourced }
  }

  private leavesNothingOut(): boolean {
    const { starts, keyStart } = this.claims
    return this.matches.every(({ paths, keys }, index) => paths.every(language => this.isCovered(index, starts, language)) && keys.every(language => this.isCovered(index, [keyStart], language)))
  }

  /** False where the limit was exceeded. */
  private isCovered(index: number, starts: readonly number[], language: number): boolean {
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
    const subjects = this.subjectsOf(index)
    const space: Space<Covered> = {
      key: ({ states, rest }) => (states.length === 1 ? states[0]! * 2 ** 28 + rest : `${rest}:${states.join()}`),
      next: ({ states, rest }, byte) => {
        const after = languages.derivative(rest, byte)
        return after === NOTHING ? undefined : { states: states.map(state => claims.step(state, byte)), rest: after }
      },
      wanted: ({ states, rest }) => languages.hasEmpty(rest) && !claims.covers(states.map(state => claims.objectAt(state)), index, subjects),
    }
    return this.look({ states: starts, rest: language }, space)
  }

  /** Every class that the sources of a clause are in. */
  private subjectsOf(index: number): readonly number[] {
    const sources = this.sources.get(index)
    if (sources === undefined) return []
    const key = `${sources.paths} ${sources.keys}`
    let subjects = this.subjects.get(key)
    if (subjects === undefined) {
      const found = new Set<number>()
      this.collectSubjects(this.claims.starts[0]!, sources.paths, found)
      this.collectSubjects(this.claims.keyStart, sources.keys, found)
      this.subjects.set(key, (subjects = [...found]))
    }
    return subjects
  }

  private collectSubjects(start: number, language: number, into: Set<number>): void {
    const { claims, languages } = this
    search<Covered>({ states: [start], rest: language }, {
      key: ({ states, rest }) => states[0]! * 2 ** 28 + rest,
      next: ({ states, rest }, byte) => {
        const after = languages.derivative(rest, byte)
        return after === NOTHING ? undefined : { states: [claims.step(states[0]!, byte)], rest: after }
      },
      wanted: ({ states, rest }) => {
        if (languages.hasEmpty(rest)) into.add(claims.subjectAt(states[0]!))
        return false
      },
    }, this.bytes, this.limit)
  }

  /** A question about the path, or with the path as its source, that evaluate() and the table answer differently. */
  private differenceAt(path: Uint8Array): Difference | undefined {
    const words = this.matches.slice(0, this.plan.clauses.length).flatMap(({ paths, keys }) => [...paths, ...keys].map(language => this.wordOf(language)))
    const found = this.differenceOf(questionsAbout(this.plan, path))
    return found ?? this.differenceOf(words.flatMap(word => questionsFrom(this.plan, word, path)))
  }

  private differenceOf(questions: readonly Question[]): Difference | undefined {
    const table = openTable(this.table)
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
