// SPDX-License-Identifier: Apache-2.0
// Policies as the API has them: read once for each version, with the status that was written last.
import type { Finding, Kind, Policy } from '../../policy/types.ts'
import { nameOf } from '../files.ts'
import type { PolicyLibrary, Refusal } from '../library.ts'
import type { KubeObject } from './api.ts'
import { record } from './trim.ts'

export const GROUP = 'security.kubearmor.com'
export const VERSION = 'v1'

/** Plural names by kind. */
export const PLURALS: Readonly<Record<string, string>> = {
  KubeArmorPolicy: 'kubearmorpolicies',
  KubeArmorClusterPolicy: 'kubearmorclusterpolicies',
  KubeArmorHostPolicy: 'kubearmorhostpolicies',
  KubeArmorNetworkPolicy: 'kubearmornetworkpolicies',
}

export interface PolicyObject {
  readonly kind: string
  readonly namespace: string
  readonly name: string
  readonly uid: string
  readonly generation: number
  /** Exactly one of the two. */
  readonly policy: Policy | undefined
  readonly refusal: Refusal | undefined
  /** Errors and warnings. */
  readonly findings: readonly Finding[]
  readonly status: Readonly<Record<string, unknown>>
}

/** nameOf() for what need not be a policy that we could read. */
export function objectName({ kind, namespace, name }: { readonly kind: string; readonly namespace: string; readonly name: string }): string {
  return `${kind}/${namespace}/${name}`
}

/** A change of the status alone leaves the policy the same object: it is not planned again. */
export function readPolicy(object: KubeObject, kind: string, library: Pick<PolicyLibrary, 'readObject'>, before: PolicyObject | undefined): PolicyObject {
  const { namespace = '', name = '', uid = '', generation = 0 } = object.metadata ?? {}
  const head = { kind, namespace, name, uid, generation, status: record(object['status']) }
  if (before?.uid === uid && before.generation === generation) return { ...before, ...head }
  const metadata = { name, ...(namespace === '' ? {} : { namespace }) }
  const read = library.readObject({ apiVersion: `${GROUP}/${VERSION}`, kind, metadata, spec: object['spec'] }, objectName(head))
  const policy = read.policies.find((each) => nameOf(each) === objectName(head))
  const refusal = policy ? undefined : (read.refused[0] ?? { kind: kind as Kind, namespace, name, position: { file: objectName(head), line: 0, column: 0 }, findings: read.findings })
  return { ...head, policy, refusal, findings: read.findings }
}
