// SPDX-License-Identifier: Apache-2.0
// Policies looked at for themselves: the plan of somebody whom they select, whoever that may be.
import { makePlan } from './plan.ts'
import type { Plan, Policy, Postures, Workload } from './types.ts'

/** Whether it selects hosts, and not containers. */
export function isAboutHosts({ kind, selectsPods }: Policy): boolean {
  return kind === 'KubeArmorHostPolicy' || selectsPods === false
}

const EVERY_HOST: Readonly<Record<string, string>> = { 'kubernetes.io/hostname': '*' }

/** The plan of a workload that these policies select, and no others; they are of one kind and namespace. */
export function planAlone(policies: readonly Policy[], postures: Postures): Plan {
  const host = policies[0] !== undefined && isAboutHosts(policies[0])
  const workload: Workload = { host, namespace: policies[0]?.namespace ?? '', pod: '', container: '', labels: {} }
  const selector = { matchLabels: host ? EVERY_HOST : {}, matchExpressions: [], containers: [] }
  return makePlan(policies.map((policy) => ({ ...policy, selector, nodeSelector: EVERY_HOST })), workload, { ...postures, untrackedNamespaces: [] })
}
