// SPDX-License-Identifier: Apache-2.0
// The options by which a command line describes one container, or one host.
import { isAboutHosts } from '../policy/alone.ts'
import type { PlanOptions } from '../policy/plan.ts'
import { optionsFor, type Surroundings } from '../policy/postures.ts'
import type { Policy, Workload } from '../policy/types.ts'
import { readChoice, UsageError } from './verb.ts'

export const WORKLOAD_OPTIONS = {
  namespace: { type: 'string', short: 'n' },
  labels: { type: 'string', short: 'l' },
  container: { type: 'string', short: 'c' },
  'node-labels': { type: 'string' },
  host: { type: 'boolean' },
  posture: { type: 'string' },
} as const

export const WORKLOAD_HELP = `  -n, --namespace NAME   namespace of the workload (default: default)
  -l, --labels K=V,...   its labels
  -c, --container NAME   the container's name, for policies that are restricted to some
  --node-labels K=V,...  labels of the node that it runs on, for network policies with a nodeSelector
  --host                 a host, not a container; host policies select it by its labels
  --posture WORD         audit or block: what allow-lists do with the rest; by default what the namespace in
                         the manifests says, or a KubeArmorConfig among them, or else audit`

export interface WorkloadValues {
  readonly namespace?: string | undefined
  readonly labels?: string | undefined
  readonly container?: string | undefined
  readonly 'node-labels'?: string | undefined
  readonly host?: boolean | undefined
  readonly posture?: string | undefined
}

export interface Described {
  readonly workload: Workload
  readonly options: PlanOptions
}

export function readWorkload(values: WorkloadValues, surroundings: Surroundings): Described {
  const labels = readLabels('labels', values.labels ?? '')
  const onNode = values['node-labels'] === undefined ? {} : { nodeLabels: readLabels('node-labels', values['node-labels']) }
  const given = values.posture === undefined ? undefined : readChoice('posture', values.posture, ['audit', 'block'])
  if (values.host === true) {
    if (values.namespace !== undefined || values.container !== undefined || values['node-labels'] !== undefined) throw new UsageError('A host has no --namespace and no --container, and its --labels are those of the node')
    return { workload: { host: true, namespace: '', pod: '', container: '', labels }, options: optionsFor({ host: true, namespace: '' }, surroundings, given) }
  }
  const namespace = values.namespace ?? 'default'
  return { workload: { host: false, namespace, pod: '', container: values.container ?? '', labels, ...onNode }, options: optionsFor({ host: false, namespace }, surroundings, given) }
}

/** Whether the command line describes a workload at all. */
export function describesWorkload({ namespace, labels, container, host, 'node-labels': nodeLabels }: WorkloadValues): boolean {
  return (namespace ?? labels ?? container ?? host ?? nodeLabels) !== undefined
}

/** What holds for a policy that is looked at for itself. */
export function optionsAlone(policy: Policy, { posture }: WorkloadValues, surroundings: Surroundings): PlanOptions {
  return readWorkload(isAboutHosts(policy) ? { posture, host: true } : { posture, namespace: policy.namespace }, surroundings).options
}

function readLabels(option: string, text: string): Readonly<Record<string, string>> {
  const pairs = text.split(',').map((pair) => pair.trim()).filter((pair) => pair !== '')
  return Object.fromEntries(pairs.map((pair) => {
    const at = pair.indexOf('=')
    if (at <= 0) throw new UsageError(`Cannot use --${option} ${JSON.stringify(text)}: write key=value pairs with commas between them`)
    return [pair.slice(0, at), pair.slice(at + 1)]
  }))
}
