// SPDX-License-Identifier: Apache-2.0
// Which workloads a change concerns, and what of them has to be found out again. Pure; asked before the change is made.
import type { Policy } from '../policy/types.ts'
import { isPodItself, namesContainers } from './names.ts'
import type { Entry, NodeState } from './node-state.ts'
import type { PolicyLibrary } from './library.ts'
import type { Change, World } from './world.ts'

export interface Again {
  readonly identity?: boolean
  readonly selection?: boolean
}

export interface Affected {
  /** Nodes whose pods, or which themselves, have changed. */
  readonly nodes: ReadonlySet<string>
  /** Workloads of other nodes may be concerned too. */
  readonly isEverywhere: boolean
  /** Calls `mark` where the change concerns the workload. */
  visit(state: NodeState, entry: Entry, mark: (again: Again) => void): void
}

interface Edit {
  readonly before: Policy | undefined
  readonly after: Policy | undefined
}

export function affected(change: Change, world: World, selects: PolicyLibrary['selects']): Affected {
  const { pods = new Map(), nodes = new Map(), namespaces = new Map(), policies = new Map(), settings } = change
  const touched = new Set<string>(nodes.keys())
  for (const [uid, pod] of pods) for (const node of [world.pod(uid)?.node, pod?.node]) if (node) touched.add(node)
  const edits = [...policies].map(([name, after]): Edit => ({ before: world.policies.get(name), after }))
  const tellApart = edits.some(({ before, after }) => [before, after].some((policy) => policy !== undefined && namesContainers(policy)))
  return {
    nodes: touched,
    isEverywhere: edits.length > 0 || namespaces.size > 0 || settings !== undefined,
    visit(state, entry, mark) {
      const isOther = pods.has(entry.reported.pod_uid) || nodes.has(state.facts.node)
      if (isOther || !entry.identified) return mark({ identity: true })
      // Of settings the list of untracked namespaces says what policies select.
      if (settings !== undefined) return mark({ selection: true })
      const changed = reselect(entry, edits, (policy, workload) => selects(policy, workload, world.settings))
      const { host, namespace } = entry.identified.workload
      if (changed || (!host && namespaces.has(namespace)) || (isPodItself(entry.reported) && tellApart)) mark({})
    },
  }
}

/** The policies that select the workload now: only those that changed are asked. True when there is a difference. */
function reselect(entry: Entry, edits: readonly Edit[], selects: PolicyLibrary['selects']): boolean {
  const { identified, selecting } = entry
  if (!identified || !selecting) return edits.length > 0
  const { workload } = identified
  const gone = new Set(edits.flatMap(({ before }) => (before && selecting.includes(before) ? [before] : [])))
  const come = edits.flatMap(({ after }) => (after && concerns(after, workload) && selects(after, workload) ? [after] : []))
  if (gone.size + come.length === 0) return false
  entry.selecting = [...selecting.filter((policy) => !gone.has(policy)), ...come]
  return true
}

/** Cheaper than selects(), which looks at labels. */
function concerns(policy: Policy, workload: { readonly host: boolean; readonly namespace: string }): boolean {
  return policy.kind !== 'KubeArmorPolicy' || policy.namespace === workload.namespace
}
