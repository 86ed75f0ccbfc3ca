// SPDX-License-Identifier: Apache-2.0
// Policies looked at for themselves: the plan of somebody whom they select, whoever that may be.
import { makePlan } from './plan.ts'
import type { Plan, Policy, Posture, Workload } from './types.ts'

/** The plan of a workload that these policies select, and no others; they are of one kind and namespace. */
export function planAlone(policies: readonly Policy[], filePosture: Posture): Plan {
  const host = policies[0]?.kind === 'KubeArmorHostPolicy' || policies[0]?.selectsPods === false
  const workload: Workload = { host, namespace: policies[0]?.namespace ?? '', pod: '', container: '', labels: {} }
  const selector = { matchLabels: host ? { 'kubernetes.io/hostname': '*' } : ({} as Record<string, string>), matchExpressions: [], containers: [] }
  return makePlan(policies.map((policy) => ({ ...policy, selector })), workload, { filePosture, untrackedNamespaces: [] })
}
