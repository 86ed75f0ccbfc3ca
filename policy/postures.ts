// SPDX-License-Identifier: Apache-2.0
// The postures of a workload as manifests have them: what is asked for goes before what the namespace says, and that before audit.
import type { NamespaceFacts } from './facts.ts'
import type { Posture, Postures, Workload } from './types.ts'

export function posturesOf({ host, namespace }: Pick<Workload, 'host' | 'namespace'>, namespaces: readonly NamespaceFacts[], given?: Posture): Postures {
  const said = host ? undefined : namespaces.find(({ name }) => name === namespace)
  const of = (posture: keyof Postures): Posture => given ?? said?.[posture] ?? 'audit'
  return { filePosture: of('filePosture'), networkPosture: of('networkPosture'), capabilitiesPosture: of('capabilitiesPosture'), devicePosture: of('devicePosture') }
}
