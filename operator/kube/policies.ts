// SPDX-License-Identifier: Apache-2.0
// Policies as the API has them: read once for each version, with the status that was written last.
import { MODE_ANNOTATION, type Finding, type Kind, type Policy } from '../../policy/types.ts'
import { fileFinding, nameOf } from '../files.ts'
import type { Manifests, PolicyLibrary, Refusal } from '../library.ts'
import type { KubeMetadata, KubeObject } from './api.ts'
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
  /** Of the annotation: a change of that is none of the generation. */
  readonly mode: string
  /** In force; with a refusal: of an earlier version. */
  readonly policy: Policy | undefined
  /** Why the present version is not in force. */
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
  const head = headOf(object, kind)
  const isSame = before?.uid === head.uid
  if (isSame && before.generation === head.generation && before.mode === head.mode) return { ...before, ...head }
  const name = objectName(head)
  const read = readSafely(library, { apiVersion: `${GROUP}/${VERSION}`, kind, metadata: metadataOf(head), spec: object['spec'] }, name)
  const { findings } = read
  const policy = read.policies.find((each) => nameOf(each) === name)
  if (policy) return { ...head, policy, refusal: undefined, findings }
  const { namespace, name: own } = head
  const refusal = read.refused[0] ?? { kind: kind as Kind, namespace, name: own, position: { file: name, line: 0, column: 0 }, findings }
  // What was in force stays: a mistake in an edit must not open what the version before it closed.
  return { ...head, policy: isSame ? before.policy : undefined, refusal, findings }
}

/** A defect of ours in one object must not lose what has become of the others. */
function readSafely(library: Pick<PolicyLibrary, 'readObject'>, object: KubeObject, name: string): Pick<Manifests, 'policies' | 'refused' | 'findings'> {
  try {
    return library.readObject(object, name)
  } catch (error) {
    return { policies: [], refused: [], findings: [fileFinding('MERLON_OPERATOR_INTERNAL', name, `cannot read the policy: ${(error as Error).message}`, 'report this defect, with the policy')] }
  }
}

type Head = Omit<PolicyObject, 'policy' | 'refusal' | 'findings'>

function headOf({ metadata = {}, status }: KubeObject, kind: string): Head {
  const { namespace = '', name = '', uid = '', generation = 0, annotations } = metadata
  return { kind, namespace, name, uid, generation, mode: annotations?.[MODE_ANNOTATION] ?? '', status: record(status) }
}

function metadataOf({ name, namespace, mode }: Head): KubeMetadata {
  return { name, ...(namespace === '' ? {} : { namespace }), ...(mode === '' ? {} : { annotations: { [MODE_ANNOTATION]: mode } }) }
}
