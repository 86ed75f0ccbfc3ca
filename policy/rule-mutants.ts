// SPDX-License-Identifier: Apache-2.0
// How much the tests of policies would notice: rules are dropped, weakened, strengthened and widened one at a time, and what changes some verdict
// of a workload that is tested should make a test fail.
import { compile } from './compile.ts'
import { describe } from './describe.ts'
import { differences } from './diff.ts'
import { evaluate } from './evaluate.ts'
import { decided, type Decided } from './explain.ts'
import { makePlan } from './plan.ts'
import { runPolicyTest, type PolicyTest } from './policytest.ts'
import { optionsFor, type Surroundings } from './postures.ts'
import type { Action, Operation, Plan, Policy, Position, Question, Rule } from './types.ts'

export interface RuleMutant {
  /** What was done to which rule, in a line. */
  readonly what: string
  readonly position: Position
  readonly policies: readonly Policy[]
  readonly rule: Rule
}

type Told = Pick<RuleMutant, 'what' | 'position'>

export interface MutationScore {
  /** Those that change a verdict of some workload that is tested. */
  readonly mutants: number
  readonly noticed: number
  readonly missed: readonly Told[]
}

const OTHERS: Readonly<Record<Action, readonly Action[]>> = { Block: ['Audit', 'Allow'], Audit: ['Block', 'Allow'], Allow: ['Block', 'Audit'] }

/** Every rule changed in every way, one at a time. */
export function* ruleMutants(policies: readonly Policy[]): Generator<RuleMutant> {
  for (const [at, policy] of policies.entries()) {
    for (const [index, rule] of policy.rules.entries()) {
      for (const [what, changed] of changesOf(rule)) {
        const rules = policy.rules.flatMap((each, i) => (i === index ? (changed ?? []) : each))
        yield { what: `${what}: ${describe(rule)}`, position: rule.position, rule, policies: policies.map((each, i) => (i === at ? { ...each, rules } : each)) }
      }
    }
  }
}

/** What was done, and the rule that is left. */
function changesOf(rule: Rule): readonly (readonly [what: string, changed: Rule | undefined])[] {
  const { action, match, sources, readOnly, ownerOnly } = rule
  const changes: (readonly [string, Rule | undefined])[] = [['dropped', undefined], ...OTHERS[action].map((other) => [`${action} made ${other}`, { ...rule, action: other }] as const)]
  if (match.kind === 'path') {
    changes.push(['widened to what begins like it', { ...rule, match: { kind: 'pattern', pattern: `${literally(match.path)}*` } }])
    const dir = match.path.slice(0, match.path.lastIndexOf('/') + 1)
    if (dir.length > 1) changes.push(['widened to its directory', { ...rule, match: { kind: 'dir', dir, recursive: false } }])
  }
  if (match.kind === 'dir') changes.push([match.recursive ? 'made not recursive' : 'made recursive', { ...rule, match: { ...match, recursive: !match.recursive } }])
  if (match.kind === 'name') changes.push(['widened to what begins like it', { ...rule, match: { kind: 'pattern', pattern: `/**/${literally(match.name)}*` } }])
  if (sources.length > 0) changes.push(['made to hold for every source', { ...rule, sources: [] }])
  if (readOnly) changes.push(['made to hold for writing, too', { ...rule, readOnly: false }])
  if (ownerOnly) changes.push(['made to hold for everyone', { ...rule, ownerOnly: false }])
  return changes
}

function literally(text: string): string {
  return text.replaceAll(/[\\*?[\]{},]/g, '\\$&')
}

export interface Tested {
  readonly policies: readonly Policy[]
  readonly surroundings: Surroundings
  readonly tests: readonly PolicyTest[]
}

/** Tests that fail without any change notice nothing. */
export function mutationScore({ policies, surroundings, tests }: Tested): MutationScore {
  const sound = tests.filter((test) => runPolicyTest(test, policies, surroundings).ok)
  const workloads = [...Map.groupBy(sound, ({ workload, posture }) => JSON.stringify([workload, posture])).values()].map((own) => new TestedWorkload(own, policies, surroundings))
  let [mutants, noticed] = [0, 0]
  const missed: Told[] = []
  for (const { what, position, policies: given, rule } of ruleMutants(policies)) {
    const changed = workloads.map((workload) => ({ workload, plan: workload.planOf(given) }))
    const isNoticed = changed.some(({ workload, plan }) => workload.notices(plan))
    if (!isNoticed && !changed.some(({ workload, plan }) => showsAt(witnesses(rule), workload.before.plan, plan)) && !changed.some(({ workload, plan }) => changesSomething(workload.before, plan))) continue
    mutants++
    if (isNoticed) noticed++
    else missed.push({ what, position })
  }
  return { mutants, noticed, missed }
}

/** A workload and the tests that are about it. Planned once a change, whatever the number of its tests. */
class TestedWorkload {
  readonly before: Compared
  readonly #tests: readonly { readonly test: PolicyTest; readonly was: Decided['origin'] }[]
  readonly #plan: (policies: readonly Policy[]) => Plan

  constructor(tests: readonly PolicyTest[], policies: readonly Policy[], surroundings: Surroundings) {
    const { workload, posture } = tests[0]!
    const options = optionsFor(workload, surroundings, posture)
    this.#plan = (given) => makePlan(given, workload, options)
    const plan = this.#plan(policies)
    this.before = { plan, compiled: compile(plan) }
    this.#tests = tests.map((test) => ({ test, was: decided(plan, test.question).origin }))
  }

  planOf(policies: readonly Policy[]): Plan {
    return this.#plan(policies)
  }

  notices(plan: Plan): boolean {
    return this.#tests.some(({ test, was }) => notices(test, was, decided(plan, test.question)))
  }
}

/** By what the test says; the text of a rule that was changed says nothing, so it is its place that counts. */
function notices({ expect, policy, rule }: PolicyTest, was: Decided['origin'], { verdict, origin }: Decided): boolean {
  const at = ({ file, line, column }: Position): string => `${file}:${line}:${column}`
  const moved = rule !== undefined && (was === undefined) !== (origin === undefined)
  return verdict !== expect || (policy !== undefined && policy !== (origin?.policy ?? 'none')) || moved || (rule !== undefined && was !== undefined && origin !== undefined && at(was.position) !== at(origin.position))
}

/** Where a change of a rule mostly shows, if it does: that spares a comparison of everything, which takes a hundred times as long. */
function witnesses({ section, match, sources }: Rule): readonly Question[] {
  const operations: readonly Operation[] = section === 'process' ? ['exec'] : ['read', 'write']
  const callers = [sources.slice(0, 1).map(encoded), []]
  return pathsNear(match).map(encoded).flatMap((path) =>
    operations.flatMap((operation) => [true, false].flatMap((owner) => callers.map((caller): Question => ({ operation, owner, path, sources: caller })))))
}

function encoded(path: string): Uint8Array {
  return new TextEncoder().encode(path)
}

/** One that the rule is about, and those that it would reach when it is widened. */
function pathsNear(match: Rule['match']): readonly string[] {
  if (match.kind === 'path') return [match.path, `${match.path}~`, `${match.path.slice(0, match.path.lastIndexOf('/') + 1)}~`]
  if (match.kind === 'dir') return [`${match.dir}~`, `${match.dir}~/~`]
  return match.kind === 'name' ? [`/~/${match.name}`, `/~/${match.name}~`] : []
}

function showsAt(questions: readonly Question[], before: Plan, after: Plan): boolean {
  return questions.some((question) => evaluate(before, question).verdict !== evaluate(after, question).verdict)
}

interface Compared {
  readonly plan: Plan
  readonly compiled: ReturnType<typeof compile>
}

/** Some verdict of the workload. What cannot be compared is taken to change. */
function changesSomething({ plan: before, compiled: old }: Compared, after: Plan): boolean {
  const now = compile(after)
  if (!old.ok || !now.ok) return true
  if (old.hash === now.hash) return false
  const { differences: found, complete } = differences({ plan: before, table: old.table }, { plan: after, table: now.table })
  return found.length > 0 || !complete
}
