// SPDX-License-Identifier: Apache-2.0
// Rules that never decide anything: nothing that can exist matches them, or others go before them for all that they name. Found by a walk
// over what a rule covers and the table of all rules, so it does not matter how the rules are written.
import { Languages, NOTHING } from './derivative.ts'
import { evaluate } from './evaluate.ts'
import { openTable, type Table } from './lookup.ts'
import { search, type Found, type Space } from './search.ts'
import { CASES } from './planes.ts'
import { isPathMatch, type Clause, type ClauseOrigin, type PathMatch, type Plan, type Question } from './types.ts'

/** `by` decides in place of the rule, at least for some of what it names; absent: nothing matches the rule. */
export interface Idle {
  readonly origin: ClauseOrigin
  readonly by?: ClauseOrigin
}

/** Pairs of a place in the table and a language that one search may meet. Beyond it nothing is said about the rule. */
const LIMIT = 20_000
const [SLASH, DOT] = [0x2f, 0x2e]
const UTF8 = new TextEncoder()

/** Rules of a plan that never decide; `table` is what the plan compiles to. A rule that could not be settled is not among them. */
export function idleRules(plan: Plan, table: Uint8Array): readonly Idle[] {
  const finder = new Finder(plan, openTable(table))
  const ofRule = Map.groupBy(plan.clauses.keys(), (index) => plan.clauses[index]!.origin)
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

/**
 * Where a path is that the kernel could give: absolute, and without empty, `.` and `..` components. `inside` a component, `after` a slash, at the
 * `root`, or so far in what may become one of the forbidden components.
 */
type Shape = 'before' | 'root' | 'after' | 'dot' | 'dots' | 'inside'

function shapeAfter(shape: Shape, byte: number): Shape | undefined {
  if (shape === 'before') return byte === SLASH ? 'root' : undefined
  if (byte === SLASH) return shape === 'inside' ? 'after' : undefined
  if (byte !== DOT) return 'inside'
  return shape === 'root' || shape === 'after' ? 'dot' : shape === 'dot' ? 'dots' : 'inside'
}

interface Walk {
  readonly language: number
  readonly states: readonly number[]
  readonly shape: Shape
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
    const paths = clause.matches.filter(isPathMatch)
    // Rules about keys are few, and nobody needs a walk to see that one goes before another.
    if (paths.length < clause.matches.length) return 'unsettled'
    const questions = questionsOf(this.plan, clause)
    // What usually settles it costs nothing.
    if (paths.flatMap(examplesOf).some((path) => this.decides(index, this.statesAfter(path), questions))) return 'decides'
    let covered: Uint8Array | undefined
    for (const match of paths) {
      const found = this.walk(match, (states) => this.decides(index, states, questions))
      if ('exceeded' in found) return 'unsettled'
      if (found.path !== undefined) return 'decides'
      const any = covered === undefined ? this.walk(match, () => true) : undefined
      if (any !== undefined && 'path' in any) covered = any.path
    }
    return covered === undefined ? 'matches nothing' : this.winner(covered, questions)
  }

  private decides(index: number, states: readonly number[], questions: readonly Omit<Question, 'path'>[]): boolean {
    return questions.some((question) => this.table.decideAt(states, question).clause === index + 1)
  }

  private statesAfter(path: Uint8Array): readonly number[] {
    return path.reduce<readonly number[]>((states, byte) => this.table.step(states, byte), this.table.start)
  }

  private winner(path: Uint8Array, [question]: readonly Omit<Question, 'path'>[]): Outcome {
    const { clause } = question === undefined ? { clause: 0 } : evaluate(this.plan, { ...question, path })
    const winner = this.plan.clauses[clause - 1]
    return winner === undefined ? 'unsettled' : { by: winner.origin }
  }

  /** A shortest path that the match covers and that ends where something is wanted. */
  private walk(match: PathMatch, wanted: (states: readonly number[]) => boolean): Found {
    const { languages, table } = this
    const start: Walk = { language: languages.ofMatch(match, 'file'), states: table.start, shape: 'before' }
    const space: Space<Walk> = {
      key: ({ language, states, shape }) => `${language} ${states.join()} ${shape}`,
      next: ({ language, states, shape }, byte) => {
        const after = shapeAfter(shape, byte)
        const rest = after === undefined ? NOTHING : languages.derivative(language, byte)
        return after === undefined || rest === NOTHING ? undefined : { language: rest, states: table.step(states, byte), shape: after }
      },
      wanted: ({ language, states, shape }) => languages.hasEmpty(language) && (shape === 'inside' || shape === 'root') && wanted(states),
    }
    return search(start, space, languages.representatives(this.classOf), LIMIT)
  }
}

/** Every operation, owner and terminal that the clause is about, from each of its sources, with arguments that meet its condition or that of others. */
function questionsOf(plan: Plan, { section, planes, sources, condition }: Clause): readonly Omit<Question, 'path'>[] {
  const given = sources.length === 0 ? [[]] : sources.map((source) => [UTF8.encode(source)])
  const met = condition === undefined ? plan.conditions : condition.holds ? [plan.conditions[condition.index]!] : []
  const known = met.flatMap((each) => (each.kind === 'arguments' ? [{ args: ['', ...each.allowed].map((argument) => UTF8.encode(argument)) }] : []))
  const asked = section === 'process' && condition?.holds !== true ? [{}, ...known] : known.length > 0 ? known : [{}]
  return CASES.filter((each) => each.section === section && ((planes >> each.plane) & 1) === 1).flatMap(({ operation, owner, tty }) =>
    given.flatMap((each) => asked.map((args) => ({ operation, owner, tty, sources: each, ...args }))),
  )
}

/** Paths that the match covers, likely to be its own. */
function examplesOf(match: PathMatch): readonly Uint8Array[] {
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
