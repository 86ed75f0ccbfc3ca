// SPDX-License-Identifier: Apache-2.0
// What manifests say of a workload's surroundings: its default postures, and the namespaces in which no policy holds. What is asked for goes
// before what the namespace says, that before the settings of KubeArmor, and those before audit.
import type { NamespaceFacts, SettingsFacts } from './facts.ts'
import type { PlanOptions } from './plan.ts'
import type { Posture, Postures, Workload } from './types.ts'

export interface Surroundings {
  readonly namespaces: readonly NamespaceFacts[]
  /** Of several, later ones count. */
  readonly settings: readonly SettingsFacts[]
}

export const NOWHERE: Surroundings = { namespaces: [], settings: [] }

export function optionsFor({ host, namespace }: Pick<Workload, 'host' | 'namespace'>, { namespaces, settings }: Surroundings, given?: Posture): PlanOptions {
  const own = host ? undefined : namespaces.find(({ name }) => name === namespace)
  const general = settings.reduce<Partial<Postures>>((all, { postures, hostPostures }) => ({ ...all, ...(host ? hostPostures : postures) }), {})
  const of = (posture: keyof Postures): Posture => given ?? own?.[posture] ?? general[posture] ?? 'audit'
  const untrackedNamespaces = settings.findLast((each) => each.untrackedNamespaces !== undefined)?.untrackedNamespaces
  return {
    filePosture: of('filePosture'),
    networkPosture: of('networkPosture'),
    capabilitiesPosture: of('capabilitiesPosture'),
    devicePosture: of('devicePosture'),
    ...(untrackedNamespaces === undefined ? {} : { untrackedNamespaces }),
  }
}
