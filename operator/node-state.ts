// SPDX-License-Identifier: Apache-2.0
// What is known of one node, and what it must hold.
import type { Finding, Policy } from '../policy/types.ts'
import type { Visibility } from '../policy/visibility.ts'
import type { Identity } from '../proto/gen/merlon/v1/Identity.ts'
import type { DesiredProfile } from './decide.ts'
import { labelText, type Identified, type NodeFacts, type ReportedWorkload } from './identity.ts'
import type { World } from './world.ts'

/** What a node must hold for one workload. */
export interface DesiredBinding {
  readonly workload: string
  readonly profile: DesiredProfile
  readonly identity: Identity
  /** Classes of permitted operations to record. */
  readonly visible: Visibility
  /** Its first exec is held until this binding arrives. */
  readonly waiting: boolean
  /** A pod some of whose containers have other rules than the pod: they wait for their own. */
  readonly holds: boolean
  /** Those that select it. */
  readonly policies: readonly Policy[]
  /** Why `profile` is an older one: what the compiler refused. */
  readonly failure: readonly Finding[]
}

/** One workload of a node. */
export interface Entry {
  readonly id: string
  reported: ReportedWorkload
  /** The agent has not seen it yet: it is known from the pod's binding to the node. */
  isExpected: boolean
  /** Who it is; undefined: to be found out. */
  identified: Identified | undefined
  /** Policies that select it; undefined: to be found out. */
  selecting: readonly Policy[] | undefined
  /** Of its decision. */
  key: string
}

export interface NodeState {
  facts: NodeFacts
  readonly entries: Map<string, Entry>
  readonly desired: Map<string, DesiredBinding>
  /** Reported, selected by policies, and never compiled: nothing that could be bound. */
  readonly failed: Map<string, DesiredFailure>
  readonly pending: Set<string>
  /** Nobody has said which of their pods' containers they are, and that makes a difference. */
  readonly nameless: Set<string>
  /** Their tables are being compiled elsewhere. */
  readonly compiling: Set<string>
  /** Another one with each change of `desired` and `failed`. */
  version: number
  /** An agent of it has a stream here. */
  hasAgent: boolean
  /** The API had it once and does not any more: it is forgotten as soon as no agent speaks for it. */
  isGone: boolean
}

export interface DesiredFailure {
  readonly policies: readonly Policy[]
  readonly failure: readonly Finding[]
}

export function makeNode(node: string): NodeState {
  return { facts: { node, labels: {} }, entries: new Map(), desired: new Map(), failed: new Map(), pending: new Set(), nameless: new Set(), compiling: new Set(), version: 0, hasAgent: false, isGone: false }
}

export function sameLabels(one: NodeFacts['labels'], other: NodeFacts['labels']): boolean {
  const keys = Object.keys(one)
  return keys.length === Object.keys(other).length && keys.every((key) => one[key] === other[key])
}

/** What the agent says of its node, and over that what the API has of it. */
export function factsOf({ facts }: NodeState, world: World): NodeFacts {
  const node = world.nodes.get(facts.node)
  if (!node) return facts
  const { labels, policy, visibility } = node
  return { node: facts.node, labels: { ...facts.labels, ...labels }, ...(policy ? { policy } : {}), ...(visibility ? { visibility } : {}) }
}

export function isLive(world: World, uid: string, bound: ReadonlySet<string>): boolean {
  return bound.has(uid) && world.pod(uid)?.ended !== true
}

export function forget(state: NodeState, id: string): void {
  state.version += 1
  for (const map of [state.entries, state.desired, state.failed, state.pending, state.nameless, state.compiling]) map.delete(id)
}

export function identityOf({ workload, image, owner }: Identified): Identity {
  const { namespace, pod, container } = workload
  return { namespace, pod, container, image, labels: labelText(workload.labels), owner_kind: owner?.kind ?? '', owner_name: owner?.name ?? '', owner_namespace: owner ? namespace : '' }
}
