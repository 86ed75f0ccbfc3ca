// SPDX-License-Identifier: Apache-2.0
// A reconciler that an API speaks to, with two nodes, and what there may be in a cluster.
import type { Plan, Policy } from '../../policy/types.ts'
import { systemClock } from '../../runtime/clock.ts'
import { silentLogger } from '../../runtime/log.ts'
import { nameOf } from '../files.ts'
import type { ReportedWorkload } from '../identity.ts'
import { policyLibrary, type Compiled, type PodManifest, type PolicyLibrary } from '../library.ts'
import { Reconciler } from '../reconcile.ts'
import type { Change } from '../world.ts'
import { policyText, type PolicyText } from './manifests.ts'

export const UID = '11111111-1111-1111-1111-111111111111'

export function policies(...texts: string[]): Map<string, Policy> {
  return new Map(texts.flatMap((text) => policyLibrary.read(text, 'f.yaml').policies).map((policy) => [nameOf(policy), policy]))
}

export const policy = (parts: PolicyText): Map<string, Policy> => policies(policyText(parts))
export const workload = (id: string, parts: Partial<ReportedWorkload> = {}): ReportedWorkload => ({ id, namespace: '', pod: '', pod_uid: '', container: '', image: '', labels: {}, waiting: false, ...parts })

export function pod(uid: string, parts: Partial<PodManifest> = {}): Map<string, PodManifest> {
  return new Map([[uid, { name: `pod-${uid.slice(0, 4)}`, namespace: 'default', uid, labels: { app: 'web' }, containers: [{ name: 'main', image: 'img' }], node: 'n1', ...parts }]])
}

/** Two nodes, changes one after another, and what each of them cost. */
export class Cluster {
  readonly notified: string[] = []
  readonly gone: string[] = []
  readonly reconciler: Reconciler
  selections = 0

  constructor(more: { readonly library?: Partial<PolicyLibrary>; readonly compileElsewhere?: (plan: Plan) => Promise<Compiled> } = {}) {
    const selects: PolicyLibrary['selects'] = (each, who) => {
      this.selections += 1
      return policyLibrary.selects(each, who)
    }
    this.reconciler = new Reconciler({
      library: { ...policyLibrary, selects, ...more.library },
      settings: { postures: { filePosture: 'audit' }, hostPostures: { filePosture: 'audit' } },
      clock: systemClock,
      logger: silentLogger,
      onNodes: (nodes) => this.notified.push(...nodes),
      onNodeGone: (node) => this.gone.push(node),
      ...(more.compileElsewhere ? { compileElsewhere: more.compileElsewhere } : {}),
    })
    for (const node of ['n1', 'n2']) {
      this.reconciler.setNode({ node, labels: {} })
      this.reconciler.setWorkloads(node, true, [workload('host')], [])
    }
  }

  async change(change: Change): Promise<this> {
    this.reconciler.change(change)
    await this.reconciler.settled()
    return this
  }

  policies(id: string, node = 'n1'): readonly string[] | undefined {
    return this.reconciler.desired(node).get(id)?.policies.map(({ name }) => name).toSorted()
  }

  reset(): void {
    this.notified.length = 0
    this.selections = 0
    Object.assign(this.reconciler.decider.done, { plans: 0, compiles: 0 })
  }
}
