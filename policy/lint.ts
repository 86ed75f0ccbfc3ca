// SPDX-License-Identifier: Apache-2.0
// All that can be said about a set of manifests without enforcing them: the reader's findings, and what is legal and surely wrong.
import { isAboutHosts } from './alone.ts'
import { finding, type FindingCode } from './findings.ts'
import { describe } from './describe.ts'
import { lintRules } from './lint-rules.ts'
import { readManifests, type NodeFacts, type PodFacts } from './read.ts'
import { onAnyNode, selects } from './select.ts'
import { TEMPLATE_KINDS } from './templates.ts'
import { SECTIONS, type Finding, type Policy, type Position, type Workload } from './types.ts'

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
  const pods = read.flatMap((manifests) => [...manifests.pods, ...manifests.templates])
  const nodes = read.flatMap((manifests) => manifests.nodes)
  const findings = [
    ...read.flatMap(({ findings: found, templates }) => found.filter((each) => !isAboutTemplate(each, templates))),
    ...sameNames(policies),
    ...policies.flatMap((policy) => [...allowLists(policy), ...unselecting(policy, pods, nodes)]),
    ...lintRules(policies),
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
  return SECTIONS.flatMap((section) => {
    const rule = policy.rules.find((each) => each.section === section && each.action === 'Allow')
    return rule === undefined ? [] : [say('MERLON_POLICY_ALLOW_LIST', rule.position, describe(rule), { section })]
  })
}

/** Only where the manifests hold pods (or what makes them), or nodes, that a policy could mean is it worth saying that it selects none of them. */
function unselecting(policy: Policy, pods: readonly PodFacts[], nodes: readonly NodeFacts[]): readonly Finding[] {
  const aboutHosts = isAboutHosts(policy)
  const within = pods.filter(({ namespace }) => policy.namespace === '' || namespace === policy.namespace)
  const workloads = aboutHosts ? nodes.map(hostOf) : within.flatMap((pod) => containersOf(pod, nodes))
  const what = aboutHosts ? `${nodes.length} nodes` : `${within.length} pods`
  if (workloads.length === 0 || workloads.some((workload) => maySelect(policy, workload))) return []
  return [say('MERLON_POLICY_SELECTS_NOTHING', policy.position, policy.name, { problem: `none of the ${what} given here`, suggestion: 'compare its labels with theirs' })]
}

/** Where a pod will run, its manifest mostly does not say. */
function maySelect(policy: Policy, workload: Workload): boolean {
  return selects(workload.nodeLabels === undefined ? onAnyNode(policy) : policy, workload)
}

/** Nobody needs to be told of a Deployment that its kind is not read: its pods are. */
function isAboutTemplate({ code, text }: Finding, templates: readonly PodFacts[]): boolean {
  return code === 'MERLON_POLICY_UNKNOWN_KIND' && templates.length > 0 && TEMPLATE_KINDS.includes(text)
}

function hostOf({ labels }: NodeFacts): Workload {
  return { host: true, namespace: '', pod: '', container: '', labels }
}

function containersOf({ namespace, name, labels, containers, node }: PodFacts, nodes: readonly NodeFacts[]): readonly Workload[] {
  const nodeLabels = nodes.find((each) => each.name === node)?.labels
  return containers.map((container) => ({ host: false, namespace, pod: name, container: container.name, labels, ...(nodeLabels === undefined ? {} : { nodeLabels }) }))
}

function where({ file, line }: Position): string {
  return `${file}:${line}`
}

function say(code: FindingCode, position: Position, text: string, words: Readonly<Record<string, string>>): Finding {
  return finding(code, { position, text }, words)
}
