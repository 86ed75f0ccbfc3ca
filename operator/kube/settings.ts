// SPDX-License-Identifier: Apache-2.0
// The cluster's defaults, from where KubeArmor has them: the ConfigMap kubearmor-config and one KubeArmorConfig. Pure.
import type { Posture } from '../../policy/types.ts'
import type { Postures } from '../world.ts'
import type { KubeMetadata, KubeObject } from './api.ts'
import { isPosture, record } from './trim.ts'

/** What one object says; what it does not say is absent. */
export interface Settings {
  readonly postures: { readonly file?: Posture; readonly network?: Posture; readonly capabilities?: Posture }
  /** When that was written last, RFC 3339. */
  readonly writtenAt: string
}

export interface ConfigObject extends Settings {
  readonly namespace: string
  readonly name: string
  readonly uid: string
  readonly generation: number
  readonly createdAt: string
  readonly phase: string
  readonly message: string
}

const KEYS = { file: 'defaultFilePosture', network: 'defaultNetworkPosture', capabilities: 'defaultCapabilitiesPosture' } as const

export function trimConfigMap({ metadata, data }: KubeObject): Settings {
  return { postures: posturesIn(record(data)), writtenAt: writtenAt(metadata ?? {}) }
}

export function trimConfig({ metadata, spec, status }: KubeObject): ConfigObject {
  const { namespace = '', name = '', uid = '', generation = 0, creationTimestamp = '' } = metadata ?? {}
  const { phase = '', message = '' } = record(status) as { phase?: string; message?: string }
  return { postures: posturesIn(record(spec)), writtenAt: writtenAt(metadata ?? {}), namespace, name, uid, generation, createdAt: creationTimestamp, phase, message }
}

/** The oldest counts, as the only one that KubeArmor's operator honours; of the same second, by name. */
export function honoured(configs: Iterable<ConfigObject>): ConfigObject | undefined {
  const order = ({ createdAt, namespace, name }: ConfigObject): string => `${createdAt} ${namespace}/${name}`
  return [...configs].toSorted((a, b) => (order(a) < order(b) ? -1 : 1))[0]
}

/**
 * KubeArmor's operator copies its KubeArmorConfig into the ConfigMap whenever that changes, and people edit the ConfigMap: so of the
 * two, whichever was written later counts, posture by posture.
 */
export function defaultsOf(flags: Postures, configMap: Settings | undefined, config: Settings | undefined): Postures {
  const said = [configMap, config].filter((each) => each !== undefined).toSorted((a, b) => (a.writtenAt < b.writtenAt ? -1 : 1))
  return said.reduce((postures: Postures, { postures: own }) => ({ ...postures, ...own }), flags)
}

function posturesIn(values: Readonly<Record<string, unknown>>): Settings['postures'] {
  return Object.fromEntries(Object.entries(KEYS).flatMap(([posture, key]) => (isPosture(values[key]) ? [[posture, values[key]]] : [])))
}

function writtenAt({ managedFields = [], creationTimestamp = '' }: KubeMetadata): string {
  const times = managedFields.filter(({ subresource }) => subresource !== 'status').map(({ time = '' }) => time)
  return [creationTimestamp, ...times].toSorted().at(-1) ?? ''
}
