// SPDX-License-Identifier: Apache-2.0
// What objects that are no policies say about how policies apply: namespaces, pods, nodes, and the settings of a cluster.
import type { Node } from './document.ts'
import type { Notes } from './notes.ts'
import { field, items, stringMap, text } from './tree.ts'
import type { Position, Posture, Postures, Workload } from './types.ts'
import { noteUnusedSettings } from './unused-settings.ts'
import { CLASSES, listed, RECORDED, visibilityOf, type Visibility } from './visibility.ts'

export interface NamespaceFacts extends Partial<Postures> {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly annotations: Readonly<Record<string, string>>
  /** Absent: that of the cluster's settings. */
  readonly visibility?: Visibility
  readonly position: Position
}

export interface PodFacts {
  readonly name: string
  readonly namespace: string
  /** Empty in a manifest that no API server has stored. */
  readonly uid: string
  readonly labels: Readonly<Record<string, string>>
  readonly annotations: Readonly<Record<string, string>>
  /** Init and ephemeral containers too. */
  readonly containers: readonly { readonly name: string; readonly image: string }[]
  /** Absent: enabled. */
  readonly policy?: NonNullable<Workload['policy']>
  readonly visibility?: Visibility
  /** Absent: not scheduled. */
  readonly node?: string
  readonly position: Position
}

export interface NodeFacts {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly annotations: Readonly<Record<string, string>>
  /** Absent: enabled. */
  readonly policy?: NonNullable<Workload['policy']>
  readonly visibility?: Visibility
  readonly position: Position
}

/** From a KubeArmorConfig, or from the ConfigMap kubearmor-config. What is absent is as Merlon has it by default. */
export interface SettingsFacts {
  readonly kind: 'KubeArmorConfig' | 'ConfigMap'
  readonly namespace: string
  readonly name: string
  readonly postures: Partial<Postures>
  readonly hostPostures: Partial<Postures>
  readonly visibility?: Visibility
  readonly hostVisibility?: Visibility
  readonly untrackedNamespaces?: readonly string[]
  readonly position: Position
}

export const FILE_POSTURE_ANNOTATION = 'kubearmor-file-posture'
export const VISIBILITY_ANNOTATION = 'kubearmor-visibility'
export const POLICY_ANNOTATION = 'kubearmor-policy'

const NAMESPACE_POSTURES: readonly (readonly [annotation: string, posture: keyof Postures])[] = [
  [FILE_POSTURE_ANNOTATION, 'filePosture'],
  ['kubearmor-network-posture', 'networkPosture'],
  ['kubearmor-capabilities-posture', 'capabilitiesPosture'],
]

export function namespaceFacts(root: Node, notes: Notes): NamespaceFacts {
  const metadata = field(root, 'metadata')
  const annotations = field(metadata, 'annotations')
  return {
    name: text(metadata, 'name') ?? '',
    labels: stringMap(field(metadata, 'labels')),
    annotations: stringMap(annotations),
    ...postures(annotations, NAMESPACE_POSTURES, notes),
    ...visibility(annotations, VISIBILITY_ANNOTATION, notes),
    position: notes.position(root),
  }
}

export function podFacts(root: Node, notes: Notes): PodFacts {
  const metadata = field(root, 'metadata')
  const spec = field(root, 'spec')
  const annotations = field(metadata, 'annotations')
  const containers = ['initContainers', 'containers', 'ephemeralContainers'].flatMap((name) =>
    items(field(spec, name)).map((item) => ({ name: text(item, 'name') ?? '', image: text(item, 'image') ?? '' })),
  )
  const node = text(spec, 'nodeName')
  return {
    name: text(metadata, 'name') ?? '',
    namespace: text(metadata, 'namespace') ?? 'default',
    uid: text(metadata, 'uid') ?? '',
    labels: stringMap(field(metadata, 'labels')),
    annotations: stringMap(annotations),
    containers,
    ...policySwitch(annotations, notes),
    ...narrowing(annotations, notes),
    ...(node === undefined || node === '' ? {} : { node }),
    position: notes.position(root),
  }
}

export function nodeFacts(root: Node, notes: Notes): NodeFacts {
  const metadata = field(root, 'metadata')
  const annotations = field(metadata, 'annotations')
  return {
    name: text(metadata, 'name') ?? '',
    labels: stringMap(field(metadata, 'labels')),
    annotations: stringMap(annotations),
    ...policySwitch(annotations, notes),
    ...visibility(annotations, VISIBILITY_ANNOTATION, notes),
    position: notes.position(root),
  }
}

const CONFIG_POSTURES: readonly (readonly [name: string, posture: keyof Postures])[] = [
  ['defaultFilePosture', 'filePosture'],
  ['defaultNetworkPosture', 'networkPosture'],
  ['defaultCapabilitiesPosture', 'capabilitiesPosture'],
]
const HOST_POSTURES: readonly (readonly [name: string, posture: keyof Postures])[] = [
  ['hostDefaultFilePosture', 'filePosture'],
  ['hostDefaultNetworkPosture', 'networkPosture'],
  ['hostDefaultCapabilitiesPosture', 'capabilitiesPosture'],
  ['hostDefaultDevicePosture', 'devicePosture'],
]
/** By these KubeArmor's own agent finds its ConfigMap. */
const CONFIG_MAP = { name: 'kubearmor-config', label: 'kubearmor-app', value: 'kubearmor-configmap' } as const

export function isSettingsMap(root: Node): boolean {
  const metadata = field(root, 'metadata')
  return text(metadata, 'name') === CONFIG_MAP.name || text(field(metadata, 'labels'), CONFIG_MAP.label) === CONFIG_MAP.value
}

export function configMapSettings(root: Node, notes: Notes): SettingsFacts {
  const data = field(root, 'data')
  const untracked = text(data, 'untrackedNs')
  noteUnusedSettings(data, notes)
  return {
    kind: 'ConfigMap',
    ...identity(root),
    postures: postures(data, CONFIG_POSTURES, notes),
    hostPostures: postures(data, HOST_POSTURES, notes),
    ...visibility(data, 'visibility', notes),
    ...hostVisibility(data, notes),
    ...(untracked === undefined ? {} : { untrackedNamespaces: listed(untracked) }),
    position: notes.position(root),
  }
}

export function configSettings(root: Node, notes: Notes): SettingsFacts {
  const spec = field(root, 'spec')
  noteUnusedSettings(spec, notes)
  return {
    kind: 'KubeArmorConfig',
    ...identity(root),
    postures: postures(spec, CONFIG_POSTURES, notes),
    hostPostures: {},
    ...visibility(spec, 'defaultVisibility', notes),
    position: notes.position(root),
  }
}

/* ---- Values ---- */

function identity(root: Node): { readonly namespace: string; readonly name: string } {
  const metadata = field(root, 'metadata')
  return { namespace: text(metadata, 'namespace') ?? 'default', name: text(metadata, 'name') ?? '' }
}

function postures(node: Node | undefined, names: readonly (readonly [name: string, posture: keyof Postures])[], notes: Notes): Partial<Postures> {
  return Object.fromEntries(
    names.flatMap(([name, posture]): readonly (readonly [string, Posture])[] => {
      const written = field(node, name)
      const value = text(node, name)
      if (value === 'audit' || value === 'block') return [[posture, value]]
      if (written !== undefined) notes.say('MERLON_POLICY_INVALID_POSTURE', written, { annotation: name })
      return []
    }),
  )
}

/** What is not recorded is said where it is asked for. */
function visibility(node: Node | undefined, name: string, notes: Notes): { readonly visibility?: Visibility } {
  const found = narrowing(node, notes, name)
  const written = field(node, name)
  const lacking = found.visibility?.filter((word) => !RECORDED.includes(word)) ?? []
  if (written !== undefined && lacking.length > 0) notes.say('MERLON_POLICY_VISIBILITY_NOT_RECORDED', written, { annotation: name, classes: lacking.join(', '), recorded: RECORDED.join(' and ') })
  return found
}

/** A pod asks for nothing, it only leaves away: of what KubeArmor's controller writes onto every pod nobody needs to hear. */
function narrowing(node: Node | undefined, notes: Notes, name: string = VISIBILITY_ANNOTATION): { readonly visibility?: Visibility } {
  const written = field(node, name)
  const value = text(node, name)
  if (written === undefined || value === undefined) return {}
  const unknown = listed(value).filter((word) => word !== 'none' && !CLASSES.includes(word))
  if (unknown.length > 0) notes.say('MERLON_POLICY_INVALID_VISIBILITY', written, { annotation: name, words: unknown.join(', '), classes: CLASSES.join(', ') })
  return { visibility: visibilityOf(value) }
}

function hostVisibility(node: Node | undefined, notes: Notes): { readonly hostVisibility?: Visibility } {
  const found = visibility(node, 'hostVisibility', notes).visibility
  return found === undefined ? {} : { hostVisibility: found }
}

/** KubeArmor takes whatever it does not know for enabled, and so do we, aloud. `patched` is a value of its own controller's on the way there. */
function policySwitch(annotations: Node | undefined, notes: Notes): Pick<PodFacts, 'policy'> {
  const written = field(annotations, POLICY_ANNOTATION)
  const value = text(annotations, POLICY_ANNOTATION)
  if (value === 'enabled' || value === 'disabled' || value === 'audited') return { policy: value }
  if (written !== undefined && value !== 'patched') notes.say('MERLON_POLICY_INVALID_SWITCH', written, { annotation: POLICY_ANNOTATION })
  return {}
}
