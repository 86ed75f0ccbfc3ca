// SPDX-License-Identifier: Apache-2.0
// Everything that sources have said, indexed by what the reconciler asks. A source replaces it whole (a directory) or changes parts (an API).
import { isUntracked, type SelectOptions } from '../policy/select.ts'
import type { Finding, Policy, Postures, Workload } from '../policy/types.ts'
import { visibleClasses, type Visibility } from '../policy/visibility.ts'
import { nameOf, type Snapshot } from './files.ts'
import { podOf, type FoundPod, type Identified, type ReportedWorkload } from './identity.ts'
import type { NamespaceManifest, NodeManifest, PodManifest, Refusal, SettingsManifest } from './library.ts'

/** What holds where no object says otherwise. */
export interface Settings extends SelectOptions {
  readonly postures: Postures
  readonly hostPostures: Postures
  /** Absent: nothing is recorded where no namespace and no node says so. */
  readonly visibility?: Visibility
  readonly hostVisibility?: Visibility
  /** About the objects that say so, where those of the whole source do not have them. */
  readonly findings?: readonly Finding[]
}

/** What has become of some objects; undefined: gone. */
export interface Change {
  /** By nameOf(). */
  readonly policies?: ReadonlyMap<string, Policy | undefined>
  readonly refused?: ReadonlyMap<string, Refusal | undefined>
  readonly namespaces?: ReadonlyMap<string, NamespaceManifest | undefined>
  /** By uid. */
  readonly pods?: ReadonlyMap<string, PodManifest | undefined>
  readonly nodes?: ReadonlyMap<string, NodeManifest | undefined>
  readonly settings?: Settings
}

const CLUSTER = ''

export class World {
  readonly policies = new Map<string, Policy>()
  readonly refused = new Map<string, Refusal>()
  readonly namespaces = new Map<string, NamespaceManifest>()
  readonly nodes = new Map<string, NodeManifest>()
  settings: Settings
  findings: readonly Finding[] = []
  stale: readonly string[] = []
  /** By uid; those of a directory have none, and are in #loose. */
  readonly #pods = new Map<string, PodManifest>()
  readonly #podsOfNode = new Map<string, Set<string>>()
  /** Policies of each namespace, and those of no namespace. */
  readonly #scopes = new Map<string, Map<string, Policy>>()
  readonly #given: Settings
  #loose: readonly PodManifest[] = []

  constructor(settings: Settings) {
    this.settings = settings
    this.#given = settings
  }

  /** A directory says all of this and nothing else. */
  replace(snapshot: Snapshot): void {
    for (const name of this.policies.keys()) this.setPolicy(name, undefined)
    for (const policy of snapshot.policies) this.setPolicy(nameOf(policy), policy)
    this.refused.clear()
    for (const refusal of snapshot.refused) this.refused.set(nameOf(refusal), refusal)
    this.namespaces.clear()
    // Of two the first counts, as of policies.
    for (const namespace of snapshot.namespaces.toReversed()) this.namespaces.set(namespace.name, namespace)
    this.#loose = snapshot.pods
    this.nodes.clear()
    for (const node of snapshot.nodes ?? []) this.nodes.set(node.name, node)
    this.settings = (snapshot.settings ?? []).reduce(withSettings, this.#given)
    this.findings = snapshot.findings
    this.stale = snapshot.stale
  }

  apply(change: Change): void {
    for (const [name, policy] of change.policies ?? []) this.setPolicy(name, policy)
    for (const [name, refusal] of change.refused ?? []) set(this.refused, name, refusal)
    for (const [name, namespace] of change.namespaces ?? []) set(this.namespaces, name, namespace)
    for (const [name, node] of change.nodes ?? []) set(this.nodes, name, node)
    for (const [uid, pod] of change.pods ?? []) this.#setPod(uid, pod)
    if (change.settings) this.settings = change.settings
  }

  setPolicy(name: string, policy: Policy | undefined): void {
    const before = this.policies.get(name)
    if (before) this.#scopes.get(scopeOf(before))?.delete(name)
    set(this.policies, name, policy)
    if (!policy) return
    const scope = this.#scopes.get(scopeOf(policy)) ?? new Map<string, Policy>()
    this.#scopes.set(scopeOf(policy), scope.set(name, policy))
  }

  /** Those that could select it. */
  *candidates(workload: Workload): Generator<Policy> {
    if (!workload.host) yield* this.#scopes.get(workload.namespace)?.values() ?? []
    yield* this.#scopes.get(CLUSTER)?.values() ?? []
  }

  pod(uid: string): PodManifest | undefined {
    return this.#pods.get(uid)
  }

  /** Uids of the pods that are bound to a node. */
  podsOf(node: string): ReadonlySet<string> {
    return this.#podsOfNode.get(node) ?? new Set()
  }

  /** `node` reports it: what is bound to another node is none of its business. */
  find(reported: ReportedWorkload, node: string): FoundPod | undefined {
    const pod = this.#pods.get(reported.pod_uid)
    if (!pod || ![undefined, '', node].includes(pod.node)) return podOf(reported, this.#loose)
    const name = pod.containers.find((container) => container.id === reported.id)?.name
    return name === undefined ? { pod } : { pod, container: name }
  }

  /** The namespace's annotations, where they say something that can be understood, before the cluster's defaults. */
  posturesOf(workload: Workload): Postures {
    const { postures, hostPostures } = this.settings
    if (workload.host) return hostPostures
    const own = this.namespaces.get(workload.namespace)
    if (!own) return postures
    const { filePosture, networkPosture, capabilitiesPosture } = own
    const said = Object.entries({ filePosture, networkPosture, capabilitiesPosture }).filter(([, posture]) => posture !== undefined)
    return said.length === 0 ? postures : { ...postures, ...Object.fromEntries(said) }
  }

  /** Classes of its permitted operations that are recorded. Nothing of the namespaces that are left alone. */
  visibleOf({ workload, visibility }: Identified): Visibility {
    const { settings } = this
    if (workload.host) return visibleClasses({ own: visibility, settings: settings.hostVisibility })
    if (isUntracked(workload.namespace, settings)) return []
    return visibleClasses({ own: this.namespaces.get(workload.namespace)?.visibility, settings: settings.visibility, pod: visibility })
  }

  #setPod(uid: string, pod: PodManifest | undefined): void {
    const before = this.#pods.get(uid)?.node ?? ''
    if (before !== '') this.#podsOfNode.get(before)?.delete(uid)
    set(this.#pods, uid, pod)
    if (!pod?.node) return
    const uids = this.#podsOfNode.get(pod.node) ?? new Set<string>()
    this.#podsOfNode.set(pod.node, uids.add(uid))
  }
}

/** The settings with what an object says; of several, later ones count. */
export function withSettings(settings: Settings, { postures, hostPostures, visibility, hostVisibility, untrackedNamespaces }: SettingsManifest): Settings {
  return {
    ...settings,
    postures: { ...settings.postures, ...postures },
    hostPostures: { ...settings.hostPostures, ...hostPostures },
    ...(visibility ? { visibility } : {}),
    ...(hostVisibility ? { hostVisibility } : {}),
    ...(untrackedNamespaces ? { untrackedNamespaces } : {}),
  }
}

function scopeOf(policy: Policy): string {
  return policy.kind === 'KubeArmorPolicy' ? policy.namespace : CLUSTER
}

function set<T>(map: Map<string, T>, key: string, value: T | undefined): void {
  if (value === undefined) map.delete(key)
  else map.set(key, value)
}
