// SPDX-License-Identifier: Apache-2.0
// From counts to the status of a policy. Pure: times are added where something has changed.
import type { Finding } from '../../policy/types.ts'
import { describe } from '../../policy/describe.ts'
import { NOT_ENFORCED, ruleAsks } from '../honour.ts'
import { objectName, type PolicyObject } from './policies.ts'
import { emptyTally, SAMPLES_MAX, type Tally } from './tally.ts'

export interface Condition {
  readonly type: 'Accepted' | 'Programmed' | 'Ready'
  readonly status: 'True' | 'False' | 'Unknown'
  readonly reason: string
  readonly message: string
  readonly observedGeneration: number
  readonly lastTransitionTime?: string
}

export interface Sample {
  readonly rule: string
  readonly code: string
  readonly message: string
}

export interface PolicyObjectStatus {
  /** KubeArmor's word. */
  readonly status: 'Applied' | 'Failure' | 'Invalid'
  readonly observedGeneration: number
  readonly conditions: readonly Condition[]
  readonly selected: string
  readonly applied: string
  readonly pods: { readonly selected: number; readonly programmed: number }
  readonly nodes: { readonly selected: number; readonly programmed: number }
  readonly rules: { readonly total: number; readonly inForce: number; readonly unsupported: number; readonly shadowed: number }
  readonly unsupported: readonly Sample[]
  readonly shadowed: readonly Sample[]
  readonly failures: readonly { readonly node: string; readonly workload: string; readonly code: string; readonly message: string }[]
}

type Draft = Omit<Condition, 'observedGeneration'>

const MESSAGE_MAX = 4096
/** CustomResourceDefinitions limit a sample's words to these. */
const WORDS_MAX = 1024

/** `losers`: rules that never decide, as far as that is known by now. */
export function statusOf(object: PolicyObject, tally: Tally = emptyTally(), losers: readonly Finding[] = []): PolicyObjectStatus {
  const { generation } = object
  const drafts = { accepted: accepted(object), programmed: programmed(object, tally), ready: ready(object, tally) }
  const { pods, nodes, failures } = tally
  return {
    status: wordOf(object, drafts.programmed, tally),
    observedGeneration: generation,
    conditions: Object.values(drafts).map((draft): Condition => ({ ...draft, observedGeneration: generation })),
    selected: isAboutHosts(object) ? counted(nodes.selected, 'node') : counted(pods.selected, 'pod'),
    applied: `${nodes.programmed}/${nodes.selected}`,
    pods: { ...pods },
    nodes: { ...nodes },
    ...rulesOf(object, tally, losers),
    failures: failures.slice(0, SAMPLES_MAX).map(({ node, workload, code, message }) => ({ node, workload, code, message: cut(message, WORDS_MAX) })),
  }
}

function isAboutHosts({ kind, policy }: PolicyObject): boolean {
  return kind === 'KubeArmorHostPolicy' || (kind === 'KubeArmorNetworkPolicy' && policy?.selectsPods !== true)
}

function wordOf({ refusal }: PolicyObject, { status }: Draft, { failures }: Tally): PolicyObjectStatus['status'] {
  if (refusal) return 'Invalid'
  return status === 'False' && failures.length > 0 ? 'Failure' : 'Applied'
}

function rulesOf(object: PolicyObject, { nodes, unable, partly, lacking }: Tally, losers: readonly Finding[]): Pick<PolicyObjectStatus, 'rules' | 'unsupported' | 'shadowed'> {
  const all = object.policy?.rules ?? []
  const lost = all.flatMap((rule) => {
    const words = unable > 0 ? ['anything'] : ruleAsks(rule).filter((word) => lacking.includes(word))
    return words.length === 0 ? [] : [{ rule, words }]
  })
  const places = new Set(lost.map(({ rule }) => rule.position.file))
  // A rule that is lost on some node and shadowed is missing once.
  const missing = lost.length + losers.filter(({ position }) => !places.has(position.file)).length
  const isInForce = nodes.programmed + partly > unable || nodes.selected === 0
  const rules = { total: all.length, inForce: isInForce ? Math.max(0, all.length - missing) : 0, unsupported: lost.length, shadowed: losers.length }
  const unsupported = lost.slice(0, SAMPLES_MAX).map(({ rule, words }): Sample => ({
    rule: cut(placeOf(rule, object) || describe(rule), WORDS_MAX), code: unable > 0 ? 'MERLON_OPERATOR_NODE_UNABLE' : NOT_ENFORCED, message: `${describe(rule)}: a node does not enforce ${words.join(', ')}`.slice(0, WORDS_MAX),
  }))
  return { rules, unsupported, shadowed: losers.slice(0, SAMPLES_MAX).map((finding) => sampleOf(finding, object)) }
}

function accepted(object: PolicyObject): Draft {
  const { policy, refusal, findings } = object
  const errors = findings.filter(({ severity }) => severity === 'error')
  if (refusal) {
    const kept = policy ? ' An earlier version stays in force.' : ' Nothing of it is in force.'
    return { type: 'Accepted', status: 'False', reason: errors[0]?.code ?? 'Invalid', message: cut(errors.map((finding) => sentenceOf(finding, object)).join('\n'), MESSAGE_MAX) + kept }
  }
  const warnings = findings.map((finding) => sentenceOf(finding, object)).join('\n')
  return { type: 'Accepted', status: 'True', reason: 'Accepted', message: warnings === '' ? 'It can be read and planned' : cut(warnings, MESSAGE_MAX) }
}

function programmed({ policy, refusal }: PolicyObject, { nodes, failures }: Tally): Draft {
  const type = 'Programmed'
  if (!policy) return { type, status: 'False', reason: 'NotAccepted', message: 'It is not accepted' }
  const words = `${nodes.programmed} of ${counted(nodes.selected, 'node')}`
  if (nodes.selected === 0) return { type, status: 'True', reason: 'SelectsNothing', message: 'It selects nothing at the moment' }
  if (nodes.programmed === nodes.selected) return { type, status: 'True', reason: refusal ? 'EarlierVersion' : 'Programmed', message: `${words} hold it` }
  const [first] = failures
  if (first) return { type, status: 'False', reason: first.code, message: cut(`${words} hold it; on ${first.node}: ${first.message}`, MESSAGE_MAX) }
  return { type, status: 'False', reason: 'Pending', message: `${words} hold it` }
}

function ready({ policy }: PolicyObject, { nodes, ready: able, failures }: Tally): Draft {
  const type = 'Ready'
  if (!policy) return { type, status: 'False', reason: 'NotAccepted', message: 'It is not accepted' }
  if (nodes.selected === 0) return { type, status: 'True', reason: 'SelectsNothing', message: 'It selects nothing at the moment' }
  const words = `${able} of ${counted(nodes.selected, 'node')} decide by it`
  if (able === nodes.selected) return { type, status: 'True', reason: 'Ready', message: words }
  const [first] = failures
  if (first) return { type, status: 'False', reason: first.code, message: cut(`${words}; on ${first.node}: ${first.message}`, MESSAGE_MAX) }
  return { type, status: 'False', reason: 'Pending', message: words }
}

function sampleOf(finding: Finding, object: PolicyObject): Sample {
  return { rule: cut(placeOf(finding, object), WORDS_MAX), code: finding.code, message: cut(finding.message, WORDS_MAX) }
}

function sentenceOf(finding: Finding, object: PolicyObject): string {
  const place = placeOf(finding, object)
  const text = finding.text === '' ? '' : ` (${JSON.stringify(finding.text)})`
  return `${place === '' ? '' : `${place}: `}${finding.message}${text} [${finding.code}]: ${finding.hint}`
}

/** Positions in objects begin with their name, which a status need not repeat. */
function placeOf({ position }: Pick<Finding, 'position'>, object: PolicyObject): string {
  const name = objectName(object)
  return position.file.startsWith(name) ? position.file.slice(name.length).trim() : position.file
}

function counted(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? '' : 's'}`
}

function cut(text: string, most: number): string {
  return text.length <= most ? text : `${text.slice(0, most - 3)}...`
}

/** The conditions with their times: of the last change of `status`, or `now`. */
export function withTimes(status: PolicyObjectStatus, before: Readonly<Record<string, unknown>>, now: string): PolicyObjectStatus {
  const known = Array.isArray(before['conditions']) ? (before['conditions'] as Partial<Condition>[]) : []
  const timeOf = ({ type, status: value }: Condition): string => known.find((each) => each.type === type && each.status === value)?.lastTransitionTime ?? now
  return { ...status, conditions: status.conditions.map((condition) => ({ ...condition, lastTransitionTime: timeOf(condition) })) }
}

/** The text of what matters: two statuses of one text need no write. */
export function essence(status: object): string {
  const known = essences.get(status) ?? JSON.stringify(sorted(status), (key, value: unknown) => (key === 'lastTransitionTime' || key === 'time' ? undefined : value))
  essences.set(status, known)
  return known
}

/** A status is asked for again with each count, and changes seldom. */
const essences = new WeakMap<object, string>()

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted)
  if (typeof value !== 'object' || value === null) return value
  // An API server drops nothing, but leaves the order of fields to itself.
  return Object.fromEntries(Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1)).map(([key, each]) => [key, sorted(each)]))
}
