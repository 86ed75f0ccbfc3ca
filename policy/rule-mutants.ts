// SPDX-License-Identifier: Apache-2.0
// How much the tests of policies would notice: rules are dropped, weakened, strengthened and widened one at a time, and what changes some verdict
// of a workload that is tested should make a test fail.
import { compile } from './compile.ts'
import { describe } from './describe.ts'
import { differences } from './diff.ts'
import { makePlan } from './plan.ts'
import { runPolicyTest, type Outcome, type PolicyTest } from './policytest.ts'
import { optionsFor, type Surroundings } from './postures.ts'
import type { Action, Plan, Policy, Position, Rule } from './types.ts'

export interface RuleMutant {
  /** What was done to which rule, in a line. */
  readonly what: string
  readonly position: Position
  readonly policies: readonly Policy[]
}

export interface MutationScore {
  /** Those that change a verdict of some workload that is tested. */
  readonly mutants: number
  readonly noticed: number
  readonly missed: readonly Omit<RuleMutant, 'policies'>[]
}

const OTHERS: Readonly<Record<Action, readonly Action[]>> = { Block: ['Audit', 'Allow'], Audit: ['Block', 'Allow'], Allow: ['Block', 'Audit'] }

/** Every rule changed in every way, one at a time. */
export function* ruleMutants(policies: readonly Policy[]): Generator<RuleMutant> {
  for (const [at, policy] of policies.entries()) {
    for (const [index, rule] of policy.rules.entries()) {
      for (const [what, changed] of changesOf(rule)) {
        const rules = policy.rules.flatMap((each, i) => (i === index ? (changed ?? []) : each))
        yield { what: `${what}: ${describe(rule)}`, position: rule.position, policies: policies.map((each, i) => (i === at ? { ...each, rules } : each)) }
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
  const run = (test: PolicyTest, given: readonly Policy[]): Outcome => runPolicyTest(test, given, surroundings)
  const sound = tests.map((test) => ({ test, before: run(test, policies) })).filter(({ before }) => before.ok)
  const planOf = ({ workload, posture }: PolicyTest, given: readonly Policy[]): Plan =>
    makePlan(given, workload, optionsFor(workload, surroundings, posture))
  const workloads = [...Map.groupBy(sound, ({ test }) => JSON.stringify([test.workload, test.posture])).values()].map(([first]) => first!.test)
  let [mutants, noticed] = [0, 0]
  const missed: Omit<RuleMutant, 'policies'>[] = []
  for (const { what, position, policies: given } of ruleMutants(policies)) {
    const isNoticed = sound.some(({ test, before }) => notices(test, before, run(test, given)))
    if (!isNoticed && !workloads.some((test) => changesSomething(planOf(test, policies), planOf(test, given)))) continue
    mutants++
    if (isNoticed) noticed++
    else missed.push({ what, position })
  }
  return { mutants, noticed, missed }
}

/** By what the test says; the text of a rule that was changed says nothing, so it is its place that counts. */
function notices({ expect, policy, rule }: PolicyTest, before: Outcome, { explanation: { verdict, origin } }: Outcome): boolean {
  const at = ({ file, line, column }: Position): string => `${file}:${line}:${column}`
  const was = before.explanation.origin
  const moved = rule !== undefined && (was === undefined) !== (origin === undefined)
  return verdict !== expect || (policy !== undefined && policy !== (origin?.policy ?? 'none')) || moved || (rule !== undefined && was !== undefined && origin !== undefined && at(was.position) !== at(origin.position))
}

/** Some verdict of the workload. What cannot be compared is taken to change. */
function changesSomething(before: Plan, after: Plan): boolean {
  const [old, now] = [compile(before), compile(after)]
  if (!old.ok || !now.ok) return true
  if (old.hash === now.hash) return false
  const { differences: found, complete } = differences({ plan: before, table: old.table }, { plan: after, table: now.table })
  return found.length > 0 || !complete
}
