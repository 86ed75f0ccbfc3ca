// SPDX-License-Identifier: Apache-2.0
// What an API server with the resources of crds/ says to an object that is to be created: accepted as it is, or not and why.
import { API_VERSIONS, CRD_SCHEMAS } from './crd-schemas.ts'
import type { Node } from './document.ts'
import { checkMetadata } from './metadata.ts'
import type { Notes } from './notes.ts'
import { field } from './tree.ts'
import { validate } from './validate.ts'

export type CustomKind = keyof typeof CRD_SCHEMAS

const NAMESPACED: readonly CustomKind[] = ['KubeArmorPolicy', 'KubeArmorConfig']

/** Whether this is one of our resources, in some version. */
export function isCustomKind(kind: string, version: string): kind is CustomKind {
  return Object.hasOwn(CRD_SCHEMAS, kind) && groupOf(version) === groupOf(API_VERSIONS[kind as CustomKind])
}

function groupOf(version: string): string {
  return version.slice(0, version.indexOf('/'))
}

/**
 * Its findings that are errors are what a server with strict field validation refuses, as `kubectl` asks for. A server that is not strict
 * drops fields that it does not know (MERLON_POLICY_UNKNOWN_FIELD) and refuses the rest.
 */
export function admit(root: Node, kind: CustomKind, version: string, notes: Notes): void {
  const expected = API_VERSIONS[kind]
  if (version !== expected) return notes.say('MERLON_POLICY_UNKNOWN_VERSION', field(root, 'apiVersion') ?? root, { kind, version, expected })
  notes.findings.push(...validate(root, CRD_SCHEMAS[kind], notes.source))
  checkMetadata(root, NAMESPACED.includes(kind), notes)
}
