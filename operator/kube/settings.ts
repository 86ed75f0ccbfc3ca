// SPDX-License-Identifier: Apache-2.0
// The cluster's defaults, from where KubeArmor has them: the ConfigMap kubearmor-config and one KubeArmorConfig. Pure.
import type { Finding } from '../../policy/types.ts'
import type { PolicyLibrary, SettingsManifest } from '../library.ts'
import { withSettings, type Settings } from '../world.ts'
import type { KubeMetadata, KubeObject } from './api.ts'
import { record } from './trim.ts'

export interface ConfigObject extends SettingsManifest {
  readonly namespace: string
  readonly name: string
  readonly uid: string
  readonly generation: number
  readonly createdAt: string
  /** When its settings were written last, RFC 3339. */
  readonly writtenAt: string
  readonly phase: string
  readonly findings: readonly Finding[]
}

/** What one object says; an object that cannot be read says nothing. */
export function readConfig(object: KubeObject, library: Pick<PolicyLibrary, 'readObject'>): ConfigObject {
  const { metadata = {}, status, ...rest } = object
  const { namespace = '', name = '', uid = '', generation = 0, creationTimestamp = '' } = metadata
  const { settings: [said] = [], findings } = library.readObject({ ...rest, metadata: { name, namespace } }, `${String(object.kind)}/${namespace}/${name}`)
  const { phase = '' } = record(status) as { phase?: string }
  return { postures: {}, hostPostures: {}, ...said, namespace, name, uid, generation, createdAt: creationTimestamp, writtenAt: writtenAt(metadata), phase, findings }
}

/** The oldest counts, as the only one that KubeArmor's operator honours; of the same second, by name. */
export function honoured(configs: Iterable<ConfigObject>): ConfigObject | undefined {
  const order = ({ createdAt, namespace, name }: ConfigObject): string => `${createdAt} ${namespace}/${name}`
  return [...configs].toSorted((a, b) => (order(a) < order(b) ? -1 : 1))[0]
}

/**
 * KubeArmor's operator copies its KubeArmorConfig into the ConfigMap whenever that changes, and people edit the ConfigMap: so of the
 * two, whichever was written later counts, setting by setting.
 */
export function settingsOf(given: Settings, said: readonly (ConfigObject | undefined)[]): Settings {
  const known = said.filter((each) => each !== undefined).toSorted((a, b) => (a.writtenAt < b.writtenAt ? -1 : 1))
  const findings = known.flatMap((each) => each.findings)
  return { ...known.reduce(withSettings, given), ...(findings.length > 0 ? { findings } : {}) }
}

function writtenAt({ managedFields = [], creationTimestamp = '' }: KubeMetadata): string {
  const times = managedFields.filter(({ subresource }) => subresource !== 'status').map(({ time = '' }) => time)
  return [creationTimestamp, ...times].toSorted().at(-1) ?? ''
}
