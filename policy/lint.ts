// SPDX-License-Identifier: Apache-2.0
// All that can be said about a set of manifests without enforcing them: the reader's findings, and what is legal and surely wrong.
import { finding, type FindingCode } from './findings.ts'
import { describe } from './describe.ts'
import { readManifests, type PodFacts } from './read.ts'
import { selects } from './select.ts'
import type { Action, Finding, Policy, Position, Rule, Section } from './types.ts'

export interface LintInput {
  readonly file: string
  readonly text: string
}

export interface LintReport {
  readonly files: number
  /** Policies that would be enforced, and their rules. */
  readonly policies: number
  readonly rules: number
  /** By file in the order given, then by place. */
  readonly findings: readonly Finding[]
}

/** Lints files together: names and selectors are checked across them. Never throws. */
export function lint(inputs: readonly LintInput[]): LintReport {
  const read = inputs.map(({ file, text }) => readManifests(text, file))
  const policies = read.flatMap((manifests) => manifests.policies)
  const pods = read.flatMap((manifests) => manifests.pods)
  const findings = [
    ...read.flatMap((manifests) => manifests.findings),
    ...sameNames(policies),
    ...policies.flatMap((policy) => [...allowLists(policy), ...shadowed(policy), ...unselecting(policy, pods)]),
  ]
  const order = new Map(inputs.map(({ file }, index) => [file, index]))
  const fileOf = ({ position }: Finding): number => order.get(position.file) ?? inputs.length
  findings.sort((a, b) => fileOf(a) - fileOf(b) || a.position.line - b.position.line || a.position.column - b.position.column)
  return { files: inputs.length, policies: policies.length, rules: policies.reduce((sum, { rules }) => sum + rules.length, 0), findings }
}

/** In a cluster the second one would replace the first. */
function sameNames(policies: readonly Policy[]): readonly Finding[] {
  const first = new Map<string, Policy>()
  return policies.flatMap((policy) => {
    const key = `${policy.kind} ${policy.namespace} ${policy.name}`
    const other = first.get(key)
    if (other !== undefined) return [say('MERLON_POLICY_SAME_NAME', policy.position, policy.name, { name: policy.name, place: where(other.position) })]
    first.set(key, policy)
    return []
  })
}

/** Once for each section: the first Allow rule changes what every other operation of the section gets. */
function allowLists(policy: Policy): readonly Finding[] {
  return (['process', 'file'] as const).flatMap((section: Section) => {
    const rule = policy.rules.find((each) => each.section === section && each.action === 'Allow')
    return rule === undefined ? [] : [say('MERLON_POLICY_ALLOW_LIST', rule.position, describe(rule), { section })]
  })
}

const STRICTNESS: readonly Action[] = ['Block', 'Audit', 'Allow']

/** Rules that name the same things under the same conditions: the strictest decides, the first of those gets the credit. */
export function shadowed(policy: Policy): readonly Finding[] {
  const groups = new Map<string, Rule[]>()
  for (const rule of policy.rules) {
    const key = JSON.stringify([rule.section, rule.match, [...new Set(rule.sources)].sort(), rule.readOnly, rule.ownerOnly])
    groups.set(key, [...(groups.get(key) ?? []), rule])
  }
  return [...groups.values()].flatMap((rules) => {
    const [winner, ...losers] = [...rules].sort((a, b) => STRICTNESS.indexOf(a.action) - STRICTNESS.indexOf(b.action))
    if (winner === undefined) return []
    return losers.map((rule) => say('MERLON_POLICY_SHADOWED_RULE', rule.position, describe(rule), { action: winner.action, place: where(winner.position) }))
  })
}

/** Only where the manifests hold pods that a policy could mean is it worth saying that it selects none of them. */
function unselecting(policy: Policy, pods: readonly PodFacts[]): readonly Finding[] {
  const within = pods.filter(({ namespace }) => policy.kind === 'KubeArmorClusterPolicy' || namespace === policy.namespace)
  if (policy.kind === 'KubeArmorHostPolicy' || within.length === 0) return []
  const selected = within.some((pod) =>
    pod.containers.some((container) =>
      selects(policy, { host: false, namespace: pod.namespace, pod: pod.name, container: container.name, labels: pod.labels }),
    ),
  )
  const words = { problem: `none of the ${within.length} pods given here`, suggestion: 'compare its labels with theirs' }
  return selected ? [] : [say('MERLON_POLICY_SELECTS_NOTHING', policy.position, policy.name, words)]
}

function where({ file, line }: Position): string {
  return `${file}:${line}`
}

function say(code: FindingCode, position: Position, text: string, words: Readonly<Record<string, string>>): Finding {
  return finding(code, { position, text }, words)
}
