// SPDX-License-Identifier: Apache-2.0
// What is kept of objects of the API: some hundred bytes of a pod that has ten thousand.
import { VISIBILITY_ANNOTATION } from '../../policy/facts.ts'
import { visibilityOf, type Visibility } from '../../policy/visibility.ts'
import type { NamespaceManifest, NodeManifest, Owner, PodManifest, PolicySwitch } from '../library.ts'
import type { KubeMetadata, KubeObject } from './api.ts'
import { podUid } from './mirrors.ts'

const POLICY_ANNOTATION = 'kubearmor-policy'
const SWITCHES: readonly string[] = ['enabled', 'audited', 'disabled']

/** Names, labels and images, of which a cluster's pods have few: each is kept once, not once a pod. */
const shared = new Map<string, string>()
const SHARED_MAX = 50_000

function share(text: string): string {
  const known = shared.get(text)
  if (known !== undefined) return known
  if (shared.size >= SHARED_MAX) shared.clear()
  shared.set(text, text)
  return text
}

interface ContainerStatus {
  readonly name?: string
  readonly containerID?: string
}

export function trimPod({ metadata, spec, status }: KubeObject): PodManifest | undefined {
  const uid = podUid(metadata)
  const { name = '', namespace = '', labels = {}, annotations } = metadata ?? {}
  if (uid === '') return undefined
  const { nodeName: node = '' } = record(spec) as { nodeName?: string }
  const ended = ['Succeeded', 'Failed'].includes(String(record(status)['phase']))
  const owner = ownerOf(metadata ?? {})
  const rare = { policy: policySwitch(annotations), ...visibility(annotations), ...(owner ? { owner } : {}), ...(ended ? { ended } : {}) }
  return { name, namespace: share(namespace), uid, labels: sharedLabels(labels), node: share(node), containers: containersOf(record(spec), record(status)), ...rare }
}

export function trimNode({ metadata }: KubeObject): NodeManifest {
  const { name = '', labels = {}, annotations } = metadata ?? {}
  return { name, labels, policy: policySwitch(annotations), ...visibility(annotations) }
}

export function trimNamespace({ metadata }: KubeObject): NamespaceManifest {
  const { name = '', annotations = {} } = metadata ?? {}
  const said = { filePosture: annotations['kubearmor-file-posture'], networkPosture: annotations['kubearmor-network-posture'], capabilitiesPosture: annotations['kubearmor-capabilities-posture'] }
  return { name, ...Object.fromEntries(Object.entries(said).filter(([, posture]) => posture === 'audit' || posture === 'block')), ...visibility(annotations) }
}

/** The same few words on every pod of a cluster: each text is read, and kept, once. */
const visibilities = new Map<string, Visibility>()

function visibility(annotations: Readonly<Record<string, string>> | undefined): { readonly visibility?: Visibility } {
  const text = annotations?.[VISIBILITY_ANNOTATION]
  if (text === undefined) return {}
  const known = visibilities.get(text) ?? visibilityOf(text)
  if (visibilities.size >= SHARED_MAX) visibilities.clear()
  visibilities.set(text, known)
  return { visibility: known }
}

/** KubeArmor takes any other word as enabled. */
export function policySwitch(annotations: Readonly<Record<string, string>> | undefined): PolicySwitch {
  const word = annotations?.[POLICY_ANNOTATION] ?? ''
  return SWITCHES.includes(word) ? (word as PolicySwitch) : 'enabled'
}

function containersOf(spec: Readonly<Record<string, unknown>>, status: Readonly<Record<string, unknown>>): PodManifest['containers'] {
  return (['init', '', 'ephemeral'] as const).flatMap((kind) => {
    const name = kind === '' ? 'containers' : `${kind}Containers`
    const ids = new Map(list<ContainerStatus>(status[kind === '' ? 'containerStatuses' : `${kind}ContainerStatuses`]).map((each) => [each.name, each.containerID]))
    return list<{ name?: string; image?: string; restartPolicy?: string }>(spec[name]).map(({ name: container = '', image = '', restartPolicy }) => {
      // containerd://<id>
      const id = ids.get(container)?.replace(/^.*:\/\//, '') ?? ''
      const isPassing = kind === 'ephemeral' || (kind === 'init' && restartPolicy !== 'Always')
      return { name: share(container), image: share(image), ...(id === '' ? {} : { id }), ...(isPassing ? { isPassing } : {}) }
    })
  })
}

/** Of a Deployment's ReplicaSet: the Deployment, whose name is in the ReplicaSet's. */
function ownerOf({ ownerReferences = [], labels = {} }: KubeMetadata): Owner | undefined {
  const owner = ownerReferences.find(({ controller }) => controller === true) ?? ownerReferences[0]
  if (!owner) return undefined
  const suffix = `-${labels['pod-template-hash'] ?? ''}`
  if (owner.kind !== 'ReplicaSet' || suffix === '-' || !owner.name.endsWith(suffix)) return { kind: share(owner.kind), name: share(owner.name) }
  return { kind: 'Deployment', name: share(owner.name.slice(0, -suffix.length)) }
}

function sharedLabels(labels: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  return Object.fromEntries(Object.entries(labels).map(([key, value]) => [share(key), share(value)]))
}

export function record(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? (value as Readonly<Record<string, unknown>>) : {}
}

function list<T>(value: unknown): readonly T[] {
  return Array.isArray(value) ? (value as T[]) : []
}
