// SPDX-License-Identifier: Apache-2.0
// What an API server with the resources of crds/ says to an object that is to be created: accepted as it is, or not and why.
import { API_VERSIONS, CRD_SCHEMAS } from './crd-schemas.ts'
import type { Node } from './document.ts'
import { checkMetadata } from './metadata.ts'
import type { Notes } from './notes.ts'
import { nearest } from './spelling.ts'
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

const KINDS = Object.keys(CRD_SCHEMAS) as readonly CustomKind[]
const GROUPS: ReadonlySet<string> = new Set(Object.values(API_VERSIONS).map(groupOf))

/**
 * Whether an object that is none of our resources was meant to be one: a kind of ours in another group, or a kind that our groups do not have. No
 * server takes it, and who wrote it believes to be protected: it is an error, where other tools' objects are none.
 */
export function isMisnamed(root: Node, kind: string, version: string, notes: Notes): boolean {
  const ours = KINDS.find((each) => each === kind)
  if (ours !== undefined) notes.say('MERLON_POLICY_UNKNOWN_VERSION', field(root, 'apiVersion') ?? root, { kind, version, expected: API_VERSIONS[ours] })
  else if (GROUPS.has(groupOf(version))) {
    const near = nearest(kind, KINDS)
    notes.say('MERLON_POLICY_NO_SUCH_KIND', field(root, 'kind') ?? root, { kind, version, suggestion: near === undefined ? `it has: ${KINDS.filter((each) => groupOf(API_VERSIONS[each]) === groupOf(version)).join(', ')}` : `did you mean ${near}?` })
  } else return false
  return true
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
