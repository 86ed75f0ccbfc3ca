// SPDX-License-Identifier: Apache-2.0
// From requests to the RBAC rules that allow them: charts/merlon/files/rbac.yaml is what the operator asks for, no more. A test records what it
// does ask for, compares, and runs it with those rights alone.
import type { Call } from './api.ts'

/** One thing that may be done. */
export interface Right {
  readonly group: string
  readonly resource: string
  readonly verb: string
  /** In this namespace only; empty: in all. */
  readonly namespace: string
  /** Of this object only; empty: of all. */
  readonly name: string
}

export interface Rule {
  readonly apiGroups: readonly string[]
  readonly resources: readonly string[]
  readonly verbs: readonly string[]
  readonly resourceNames?: readonly string[]
}

const PATH = /^\/(?:api|apis\/(?<group>[^/]+))\/[^/]+(?:\/namespaces\/(?<namespace>[^/]+)(?=\/))?\/(?<resource>[^/]+)(?:\/(?<name>[^/]+))?(?:\/(?<sub>[^/]+))?$/
/** Of objects at home that have always the same name: rights to other names would be too many. Reports have their replica's. */
const FIXED: readonly string[] = ['kubearmor-config', 'merlon-operator']
/** Custom resources and Events are the users', wherever they are. */
const USERS = /kubearmor\.com$|^events\.k8s\.io$/
const VERBS: Readonly<Record<Call['method'], string>> = { GET: 'get', POST: 'create', PUT: 'update', PATCH: 'patch', DELETE: 'delete' }

/** `home` is the operator's own namespace: what happens there needs a Role, all else a ClusterRole. Undefined: not about a resource. */
export function rightOf({ method, path }: Pick<Call, 'method' | 'path'>, home: string, isWatch = false): Right | undefined {
  const parts = PATH.exec(path.replace(/\?.*/, ''))?.groups
  if (!parts) return undefined
  const [group, namespace, resource, name, sub] = ['group', 'namespace', 'resource', 'name', 'sub'].map((part) => parts[part] ?? '') as [string, string, string, string, string]
  const verb = isWatch ? 'watch' : verbOf(method, name)
  const right = { group, resource: sub === '' ? resource : `${resource}/${sub}`, verb }
  if (namespace !== home || USERS.test(group)) return { ...right, namespace: '', name: '' }
  const known = name || selectedName(path)
  return { ...right, namespace: home, name: FIXED.includes(known) ? known : '' }
}

/** Of a fieldSelector. */
function selectedName(path: string): string {
  return /metadata\.name=([^&]+)/.exec(decodeURIComponent(path))?.[1] ?? ''
}

function verbOf(method: Call['method'], name: string): string {
  return method === 'GET' && name === '' ? 'list' : VERBS[method]
}

/** Rules of a ClusterRole (`namespace` empty) or of a Role, in a fixed order. */
export function rulesOf(rights: readonly Right[], namespace: string): readonly Rule[] {
  const byObject = new Map<string, Set<string>>()
  for (const right of rights) {
    if (right.namespace !== namespace) continue
    const key = JSON.stringify([right.group, right.resource, right.verb === 'create' ? '' : right.name])
    const verbs = (byObject.get(key) ?? new Set<string>()).add(right.verb)
    // We patch by applying, which makes what is not there, and needs the right to.
    byObject.set(key, right.verb === 'patch' && !right.resource.includes('/') ? verbs.add('create') : verbs)
  }
  const byVerbs = new Map<string, Set<string>>()
  for (const [key, verbs] of [...byObject].toSorted(([a], [b]) => (a < b ? -1 : 1))) {
    const [group, resource, name] = JSON.parse(key) as [string, string, string]
    const sameRule = JSON.stringify([group, name, [...verbs].toSorted()])
    byVerbs.set(sameRule, (byVerbs.get(sameRule) ?? new Set()).add(resource))
  }
  return [...byVerbs].map(([key, resources]) => {
    const [group, name, verbs] = JSON.parse(key) as [string, string, string[]]
    return { apiGroups: [group], resources: [...resources], verbs, ...(name === '' ? {} : { resourceNames: [name] }) }
  })
}
