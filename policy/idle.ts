// SPDX-License-Identifier: Apache-2.0
// Rules that never decide anything: nothing that can exist matches them, or others go before them for all that they name. Found by a walk
// over what a rule covers and the table of all rules, so it does not matter how the rules are written.
import { Languages, NOTHING } from './derivative.ts'
import { openTable, type Table } from './lookup.ts'
import { CASES } from './planes.ts'
import { isWholePath, pathFormAfter, type PathForm } from './forms.ts'
import { search, type Found, type Space } from './search.ts'
import { isPathMatch, type Clause, type ClauseOrigin, type Match, type Plan, type Question } from './types.ts'

/** `by` decides in place of the rule, at least for some of what it names; absent: nothing matches the rule. */
export interface Idle {
  readonly origin: ClauseOrigin
  readonly by?: ClauseOrigin
}

/** Pairs of a place in the table and a language that one search may meet. Beyond it nothing is said about the rule. */
const LIMIT = 20_000
const DOT = 0x2e
const UTF8 = new TextEncoder()

/** Rules of a plan that never decide; `table` is what the plan compiles to. A rule that could not be settled is not among them. */
export function idleRules(plan: Plan, table: Uint8Array): readonly Idle[] {
  const finder = new Finder(plan, openTable(table))
  // Without a kind it is nobody's rule.
  const written = [...plan.clauses.keys()].filter((index) => plan.clauses[index]!.origin.kind !== '')
  const ofRule = Map.groupBy(written, (index) => plan.clauses[index]!.origin)
  return [...ofRule].flatMap(([origin, clauses]) => {
    const found: (Outcome | undefined)[] = []
    for (const index of clauses) {
      const outcome = finder.look(index)
      if (outcome === 'decides' || outcome === 'unsettled') return []
      found.push(outcome)
    }
    const by = found.find((outcome) => typeof outcome === 'object')
    return [{ origin, ...(typeof by === 'object' ? { by: by.by } : {}) }]
  })
}

type Outcome = 'decides' | 'unsettled' | 'matches nothing' | { readonly by: ClauseOrigin }

interface Walk {
  readonly language: number
  readonly states: readonly number[]
  /** Of a path; keys are of every form. */
  readonly form: PathForm | 'key'
}

class Finder {
  private readonly plan: Plan
  private readonly table: Table
  private readonly languages = new Languages()
  private readonly classOf: Uint8Array

  constructor(plan: Plan, table: Table) {
    this.plan = plan
    this.table = table
    // The dot alone: it matters to what a path may look like. No table has so many classes.
    this.classOf = table.classOf.slice()
    this.classOf[DOT] = 255
  }

  look(index: number): Outcome {
    const clause = this.plan.clauses[index]!
    const questions = questionsOf(this.plan, clause)
    // What usually settles it costs nothing.
    if (clause.matches.flatMap(examplesOf).some((path) => this.decides(index, this.statesAfter(path), questions))) return 'decides'
    let covered: { readonly match: Match; readonly path: Uint8Array } | undefined
    for (const match of clause.matches) {
      const found = this.walk(clause, match, (states) => this.decides(index, states, questions))
      if ('exceeded' in found) return 'unsettled'
      if (found.path !== undefined) return 'decides'
      const any = covered === undefined ? this.walk(clause, match, () => true) : undefined
      if (any !== undefined && 'path' in any && any.path !== undefined) covered = { match, path: any.path }
    }
    if (covered === undefined) return 'matches nothing'
    return this.isComplete(clause) ? this.winner(covered.path, questions) : 'unsettled'
  }

  /** Not every executable of a directory, nor every list of arguments that some sets hold and others do not, is asked about. */
  private isComplete(clause: Clause): boolean {
    return clause.sourceDirectories.length === 0 && (clause.section !== 'process' || setsOf(this.plan).length < 2)
  }

  private decides(index: number, states: readonly number[], questions: readonly Omit<Question, 'path'>[]): boolean {
    return questions.some((question) => this.table.decideAt(states, question).clause === index + 1)
  }

  private statesAfter(path: Uint8Array): readonly number[] {
    return path.reduce<readonly number[]>((states, byte) => this.table.step(states, byte), this.table.start)
  }

  private winner(path: Uint8Array, [question]: readonly Omit<Question, 'path'>[]): Outcome {
    const { clause } = question === undefined ? { clause: 0 } : this.table.decide({ ...question, path })
    const winner = this.plan.clauses[clause - 1]
    return winner === undefined ? 'unsettled' : { by: winner.origin }
  }

  /** A shortest path, or key, that the match covers and that ends where something is wanted. */
  private walk({ section }: Clause, match: Match, wanted: (states: readonly number[]) => boolean): Found {
    const { languages, table } = this
    const isPath = isPathMatch(match)
    const start: Walk = { language: languages.ofMatch(match, section), states: isPath ? table.start : table.keyStart, form: isPath ? 'before' : 'key' }
    const space: Space<Walk> = {
      key: ({ language, states, form }) => `${language} ${states.join()} ${form}`,
      next: ({ language, states, form }, byte) => {
        const after = form === 'key' ? form : pathFormAfter(form, byte)
        const rest = after === undefined ? NOTHING : languages.derivative(language, byte)
        return after === undefined || rest === NOTHING ? undefined : { language: rest, states: table.step(states, byte), form: after }
      },
      wanted: ({ language, states, form }) => languages.hasEmpty(language) && (form === 'key' || isWholePath(form)) && wanted(states),
    }
    return search(start, space, languages.representatives(this.classOf), LIMIT)
  }
}

/** Every operation, owner and terminal that the clause is about, from each of its sources, with arguments that each set holds or none does, within quotas and beyond. */
function questionsOf(plan: Plan, { section, planes, sources, sourceDirectories }: Clause): readonly Omit<Question, 'path'>[] {
  const executables = [...sources, ...sourceDirectories.map(({ dir }) => `${dir}a`)].map((source) => [UTF8.encode(source)])
  const lists = section === 'process' ? setsOf(plan).flatMap((allowed) => [['', ...allowed], ['']]).map((list) => list.map((each) => UTF8.encode(each))) : []
  const quotas = section === 'ingress' || section === 'egress' ? [false, true] : [false]
  return CASES.filter((each) => each.section === section && ((planes >> each.plane) & 1) === 1).flatMap(({ operation, owner, tty }) =>
    (executables.length === 0 ? [[]] : executables).flatMap((given) =>
      [undefined, ...lists].flatMap((args) => quotas.map((overQuota) => ({ operation, owner, tty, sources: given, overQuota, ...(args === undefined ? {} : { args }) }))),
    ),
  )
}

function setsOf({ conditions }: Plan): readonly (readonly string[])[] {
  return conditions.flatMap((condition) => (condition.kind === 'arguments' ? [condition.allowed] : []))
}

/** Paths that the match covers, likely to be its own. */
function examplesOf(match: Match): readonly Uint8Array[] {
  if (!isPathMatch(match)) return []
  switch (match.kind) {
    case 'path':
      return match.path.endsWith('/') && match.path !== '/' ? [] : [UTF8.encode(match.path)]
    case 'dir':
      return [UTF8.encode(`${match.dir}\u0001`), ...(match.recursive ? [UTF8.encode(`${match.dir}\u0001/\u0001`)] : []), ...(match.dir === '/' ? [] : [UTF8.encode(match.dir.slice(0, -1))])]
    case 'name':
      return [UTF8.encode(`/\u0001/${match.name}`)]
    case 'pattern':
      return []
  }
}
