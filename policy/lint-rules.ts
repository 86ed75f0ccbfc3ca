// SPDX-License-Identifier: Apache-2.0
// What is legal and surely wrong about rules, one policy at a time and policies that select the same together: rules that never decide, and
// rules that cannot be compiled.
import { planAlone } from './alone.ts'
import { compile } from './compile.ts'
import { describe } from './describe.ts'
import { finding } from './findings.ts'
import { idleRules, type Idle } from './idle.ts'
import { readPattern } from './path.ts'
import type { Action, ClauseOrigin, Finding, Policy, Position, Rule } from './types.ts'

/** Everything that is to be said about the rules of these policies. */
export function lintRules(policies: readonly Policy[]): readonly Finding[] {
  const own = policies.flatMap((policy) => {
    const { findings, idle } = look([policy])
    return [...findings, ...idle.flatMap((each) => sayIdle(policy, each)), ...sameObjects(policy, idle)]
  })
  // Of rules in several policies only those that are overruled: to say the same twice is a matter of taste.
  const overruled = [...Map.groupBy(policies, selectionOf).values()]
    .filter((group) => group.length > 1)
    .flatMap((group) => look(group).idle.filter(({ origin, by }) => by !== undefined && by.policy !== origin.policy && by.action !== origin.action).map(sayShadowed))
  const said = new Set(own.map(({ position }) => placeOf(position)))
  return [...own, ...overruled.filter(({ position }) => !said.has(placeOf(position)))]
}

/** Rules of a policy that never decide, because others of it go before them. */
export function shadowed(policy: Policy): readonly Finding[] {
  const { idle } = look([policy])
  return [...idle.filter(({ by }) => by !== undefined).map(sayShadowed), ...sameObjects(policy, idle)]
}

interface Looked {
  /** Why there is no table. */
  readonly findings: readonly Finding[]
  readonly idle: readonly Idle[]
}

function look(policies: readonly Policy[]): Looked {
  const plan = planAlone(policies.map(asIfOn), { filePosture: 'audit' })
  if (plan.clauses.length === 0) return { findings: [], idle: [] }
  const compiled = compile(plan)
  return compiled.ok ? { findings: [], idle: idleRules(plan, compiled.table) } : { findings: compiled.findings, idle: [] }
}

/** What is wrong with a policy is worth knowing before it is switched on again. */
function asIfOn(policy: Policy): Policy {
  return policy.mode === 'Off' ? { ...policy, mode: 'Enforce' } : policy
}

/** Equal for policies that select the same, whatever else is there. */
function selectionOf({ kind, namespace, selector, nodeSelector, mode }: Policy): string {
  const labels = Object.entries(selector.matchLabels).sort(([a], [b]) => (a < b ? -1 : 1))
  return JSON.stringify([kind, namespace, labels, selector.matchExpressions, [...selector.containers].sort(), nodeSelector, mode])
}

function sayIdle(policy: Policy, idle: Idle): readonly Finding[] {
  if (idle.by !== undefined) return [sayShadowed(idle)]
  // What the reader finds by looking at a pattern it has said there.
  const rule = policy.rules.find(({ position }) => placeOf(position) === placeOf(idle.origin.position))
  const read = rule?.match.kind === 'pattern' ? readPattern(rule.match.pattern) : undefined
  if (read?.ok === true && read.never !== undefined) return []
  const words = { problem: 'it asks for what no path has: an empty, `.` or `..` component, or a slash at the end', suggestion: 'write the path as `ls` would show it' }
  return [finding('MERLON_POLICY_RULE_NEVER_MATCHES', { position: idle.origin.position, text: idle.origin.text }, words)]
}

function sayShadowed({ origin, by }: Idle): Finding {
  const words = by === undefined ? {} : wordsOf(by.action, by.position, by)
  return finding('MERLON_POLICY_SHADOWED_RULE', { position: origin.position, text: origin.text }, words)
}

function wordsOf(action: Action, position: Position, by?: ClauseOrigin): Readonly<Record<string, string>> {
  const place = position.line === 0 ? by === undefined ? 'of the same policy' : `of the policy ${by.policy}` : `at ${position.file}:${position.line}`
  return { action, place }
}

const STRICTNESS: readonly Action[] = ['Block', 'Audit', 'Allow']

/**
 * Sections that are about no paths: rules that name the same under the same conditions. The strictest decides, the first of those gets the credit.
 * What the table has shown of such a rule is said already.
 */
function sameObjects(policy: Policy, idle: readonly Idle[]): readonly Finding[] {
  const said = new Set(idle.map(({ origin }) => `${placeOf(origin.position)} ${origin.text}`))
  const groups = Map.groupBy(policy.rules.filter(({ section }) => section !== 'process' && section !== 'file'), conditionOf)
  return [...groups.values()].flatMap((rules) => {
    const [winner, ...losers] = [...rules].sort((a, b) => STRICTNESS.indexOf(a.action) - STRICTNESS.indexOf(b.action))
    if (winner === undefined) return []
    const unsaid = losers.filter((rule) => !said.has(`${placeOf(rule.position)} ${describe(rule)}`))
    return unsaid.map((rule) => finding('MERLON_POLICY_SHADOWED_RULE', { position: rule.position, text: describe(rule) }, wordsOf(winner.action, winner.position)))
  })
}

function conditionOf(rule: Rule): string {
  const { section, match, sources, sourceDirectories = [], readOnly, ownerOnly, pts, allowedArgs = [], quota } = rule
  return JSON.stringify([section, match, [...new Set(sources)].sort(), sourceDirectories, readOnly, ownerOnly, pts, allowedArgs, quota])
}

function placeOf({ file, line, column }: Position): string {
  return `${file}:${line}:${column}`
}
