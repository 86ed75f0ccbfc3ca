// SPDX-License-Identifier: Apache-2.0
// Which policies apply to a container or a host: docs/semantics.md, "Which policies apply".
import type { LabelExpression, Policy, Workload } from './types.ts'

/** The reserved key of matchLabels that names containers. */
export const CONTAINER_LABEL = 'kubearmor.io/container.name'
/** Reserved keys of a nodeSelector: names of hosts, and a regular expression over them. */
export const HOST_NAME_LABELS: readonly string[] = ['kubearmor.io/hostname', 'kubernetes.io/hostname']
export const HOST_REGEX_LABELS: readonly string[] = ['kubearmor.io/hostnamereg', 'kubernetes.io/hostnamereg']
/** KubeArmor's default for its flag untrackedNs: container policies never apply there. */
export const UNTRACKED_NAMESPACES: readonly string[] = ['kube-system', 'kubearmor']

/** Labels that controllers put on pods; they change with every rollout, so no policy may depend on them. */
const CONTROLLER_LABELS: ReadonlySet<string> = new Set(['pod-template-hash', 'pod-template-generation', 'controller-revision-hash'])

export interface SelectOptions {
  /** Defaults to UNTRACKED_NAMESPACES. */
  readonly untrackedNamespaces?: readonly string[]
}

/** Whether container policies leave a namespace alone. */
export function isUntracked(namespace: string, { untrackedNamespaces = UNTRACKED_NAMESPACES }: SelectOptions): boolean {
  return untrackedNamespaces.includes(namespace)
}

export function selects(policy: Policy, workload: Workload, options: SelectOptions = {}): boolean {
  if (policy.mode === 'Off' || workload.policy === 'disabled') return false
  if (policy.kind === 'KubeArmorHostPolicy') return workload.host && selectsHost(policy.selector.matchLabels, workload)
  if (policy.kind === 'KubeArmorNetworkPolicy' && policy.selectsPods !== true) return workload.host && selectsHost(policy.selector.matchLabels, workload)
  return selectsContainer(policy, workload, options)
}

/** The policy without its nodeSelector: for workloads of which nobody knows where they run. */
export function onAnyNode(policy: Policy): Policy {
  const { nodeSelector: _, ...anywhere } = policy
  return anywhere
}

function selectsContainer(policy: Policy, workload: Workload, options: SelectOptions): boolean {
  if (workload.host || isUntracked(workload.namespace, options)) return false
  if (policy.kind === 'KubeArmorPolicy' && policy.namespace !== workload.namespace) return false

  if (policy.nodeSelector !== undefined && !selectsHost(policy.nodeSelector, { ...workload, labels: workload.nodeLabels ?? {} })) return false
  const { matchLabels, matchExpressions, containers } = policy.selector
  const identities = identitiesOf(workload)
  return (
    Object.entries(matchLabels).every(([key, value]) => identities.has(`${key}=${value}`)) &&
    matchExpressions.every((expression) => holds(expression, identities, workload)) &&
    (containers.length === 0 || containers.includes(workload.container))
  )
}

/** Labels as `key=value`, and the namespace as KubeArmor writes it. */
function identitiesOf(workload: Workload): ReadonlySet<string> {
  const labels = Object.entries(workload.labels).filter(([key]) => !CONTROLLER_LABELS.has(key))
  return new Set([`namespaceName=${workload.namespace}`, ...labels.map(([key, value]) => `${key}=${value}`)])
}

function holds({ key, operator, values }: LabelExpression, identities: ReadonlySet<string>, workload: Workload): boolean {
  // Everyone has a namespace, whatever is listed.
  if (key === 'namespace' && (operator === 'Exists' || operator === 'DoesNotExist')) return operator === 'Exists'
  if (key === 'namespace') return values.includes(workload.namespace) === (operator === 'In')
  if (operator === 'In' || operator === 'NotIn') return values.some((value) => identities.has(value)) === (operator === 'In')
  const known = values.some((label) => Object.hasOwn(workload.labels, label) && !CONTROLLER_LABELS.has(label))
  return known === (operator === 'Exists')
}

/** An empty nodeSelector selects no host. */
function selectsHost(labels: Readonly<Record<string, string>>, workload: Workload): boolean {
  const wanted = Object.entries(labels)
  return wanted.length > 0 && wanted.every(([key, value]) => hostLabelHolds(key, value, workload))
}

function hostLabelHolds(key: string, value: string, workload: Workload): boolean {
  const names = HOST_NAME_LABELS.flatMap((label) => workload.labels[label] ?? [])
  if (HOST_NAME_LABELS.includes(key)) {
    const listed = value.split(',').map((name) => name.trim())
    return listed.includes('*') || names.some((name) => listed.includes(name))
  }
  if (HOST_REGEX_LABELS.includes(key)) {
    const regex = hostRegex(value)
    return regex !== undefined && names.some((name) => regex.test(name))
  }
  return workload.labels[key] === value
}

/**
 * The regular expression of a hostnamereg label, not anchored. A star stands for any run, as in a glob, except after a dot or a bracket.
 * Undefined when it is not one; the reader refuses such a policy.
 */
export function hostRegex(value: string): RegExp | undefined {
  try {
    return new RegExp(value.replaceAll(/(?<![.\])])\*/g, '.*'))
  } catch {
    return undefined
  }
}

/**
 * Container names of the reserved label. `[a, b]` is how KubeArmor writes them; a bare name means that container; an empty value, an empty
 * list and empty elements name none.
 */
export function containerNames(value: string): readonly string[] {
  const inner = value.trim().replace(/^\[/, '').replace(/\]$/, '')
  return inner
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '')
}
