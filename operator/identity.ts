// SPDX-License-Identifier: Apache-2.0
// Who a workload is: what the agent found on the node, completed by the Pod manifests. Pure.
import type { Workload } from '../policy/types.ts'
import type { Visibility } from '../policy/visibility.ts'
import type { Owner, PodManifest, PolicySwitch } from './library.ts'

/** As an agent reports it; empty strings are unknown. */
export interface ReportedWorkload {
  readonly id: string
  readonly namespace: string
  readonly pod: string
  readonly pod_uid: string
  readonly container: string
  readonly image: string
  readonly labels: Readonly<Record<string, string>>
  readonly waiting: boolean
}

export interface NodeFacts {
  readonly node: string
  readonly labels: Readonly<Record<string, string>>
  /** Of the host; absent: enabled. */
  readonly policy?: PolicySwitch
  /** Of the host; absent: the settings'. */
  readonly visibility?: Visibility
}

/** A workload that policies can select, with what events say about it. */
export interface Identified {
  readonly workload: Workload
  readonly image: string
  readonly owner?: Owner
  /** What its pod, or of a host its node, says of what is recorded. */
  readonly visibility?: Visibility
}

const DEFAULT_NAMESPACE = 'default'
/** Labels of every host, set to the node's name: KubeArmor's and Kubernetes's. A cloud may give its nodes a host name that is another: then either holds. */
const NODE_NAME = 'kubearmor.io/hostname'
const HOST_NAME = 'kubernetes.io/hostname'

/** `found`: the pod that the workload belongs to, where that is known. */
export function identify(reported: ReportedWorkload, found: FoundPod | undefined, facts: NodeFacts): Identified {
  if (reported.id === 'host') return { workload: hostOf(facts), image: '', ...seen(facts) }
  return found === undefined ? asReported(reported) : inPod(reported, found, facts)
}

/**
 * A pod's cgroup, or a container in one, of which nothing else is known yet. "No rule applies" would be an answer for somebody else, and let it run: without
 * an answer it waits until the pod or the container's runtime says who it is (agent/hold.ts).
 */
export function isStranger({ pod_uid, pod, labels }: ReportedWorkload): boolean {
  return pod_uid !== '' && pod === '' && Object.keys(labels).length === 0
}

/** Its id, its pod's uid and its name in the pod: what is checked against the pods of an API, and nothing that would select policies by itself. */
export function withoutClaims(reported: ReportedWorkload): ReportedWorkload {
  return { ...reported, namespace: '', pod: '', labels: {} }
}

function asReported({ namespace, pod, container, labels, image }: ReportedWorkload): Identified {
  return { workload: { host: false, namespace: namespace || DEFAULT_NAMESPACE, pod, container, labels }, image }
}

function inPod(reported: ReportedWorkload, { pod, container = reported.container }: FoundPod, facts: NodeFacts): Identified {
  const namespace = pod.namespace || reported.namespace || DEFAULT_NAMESPACE
  const image = reported.image || (pod.containers.find((entry) => entry.name === container)?.image ?? '')
  const { owner, policy } = pod
  const labels = { ...reported.labels, ...pod.labels }
  return { workload: { host: false, namespace, pod: pod.name, container, labels, nodeLabels: hostLabels(facts), ...switched(policy) }, image, ...(owner ? { owner } : {}), ...seen(pod) }
}

function seen({ visibility }: { readonly visibility?: Visibility }): { readonly visibility?: Visibility } {
  return visibility === undefined ? {} : { visibility }
}

function hostOf(facts: NodeFacts): Workload {
  return { host: true, namespace: '', pod: '', container: '', labels: hostLabels(facts), ...switched(facts.policy) }
}

function hostLabels({ node, labels }: NodeFacts): Readonly<Record<string, string>> {
  return { [HOST_NAME]: node, ...labels, [NODE_NAME]: node }
}

function switched(policy: PolicySwitch | undefined): { readonly policy?: PolicySwitch } {
  return policy === undefined || policy === 'enabled' ? {} : { policy }
}

export interface FoundPod {
  readonly pod: PodManifest
  /** The container's name in the pod, where the reported one is not that. */
  readonly container?: string
}

/** Among pods that need not have uids, by all that may name one. */
export function podOf(reported: ReportedWorkload, pods: readonly PodManifest[]): FoundPod | undefined {
  const byUid = reported.pod_uid === '' ? undefined : pods.find((pod) => pod.uid === reported.pod_uid)
  if (byUid) return { pod: byUid }
  const namespace = reported.namespace || DEFAULT_NAMESPACE
  if (reported.pod !== '') {
    const pod = pods.find((candidate) => candidate.name === reported.pod && candidate.namespace === namespace)
    return pod && { pod }
  }
  // A container that somebody started by hand has a name and nothing else: it plays the pod that is called so. In its own namespace first.
  const near = pods.filter((pod) => pod.namespace === namespace)
  const far = reported.namespace === '' ? pods.filter((pod) => pod.namespace !== namespace) : []
  for (const pod of [...near, ...far]) {
    const found = playedBy(pod, [reported.container, reported.id])
    if (found) return found
  }
  return undefined
}

function playedBy(pod: PodManifest, names: readonly string[]): FoundPod | undefined {
  const only = pod.containers.length === 1 ? pod.containers[0] : undefined
  if (names.includes(pod.name)) return only ? { pod, container: only.name } : { pod }
  const container = pod.containers.find(({ name }) => names.includes(`${pod.name}-${name}`) || names.includes(`${pod.name}_${name}`))
  return container && { pod, container: container.name }
}

/** `k=v,k=v` in the order of keys, as events have it. */
export function labelText(labels: Readonly<Record<string, string>>): string {
  return Object.entries(labels).map(([key, value]) => `${key}=${value}`).toSorted().join(',')
}
