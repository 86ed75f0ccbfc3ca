// SPDX-License-Identifier: Apache-2.0
// How long before a pod's first cgroup its profile was here. The operator knows a pod from its binding to the node, before the kubelet acts.
import type { OperatorMessage__Output as OperatorMessage } from '../proto/gen/merlon/v1/OperatorMessage.ts'
import type { Clock } from '../runtime/clock.ts'

/** Workloads that are pods; their containers are bound beneath them. */
const POD = 'pod/'

export interface LeadsOptions {
  readonly clock: Clock
  readonly onLead: (ms: number) => void
  /** The cgroup was there first: the exec of its first container is held until the profile comes. */
  readonly onLate: () => void
}

export class Leads {
  readonly #options: LeadsOptions
  /** When its profile came, or that its cgroup has come. */
  readonly #pods = new Map<string, number | 'started'>()
  #isSynced = false

  constructor(options: LeadsOptions) {
    this.#options = options
  }

  take({ full, bindings, unbound }: Pick<OperatorMessage, 'full' | 'bindings' | 'unbound'>): void {
    const named = bindings.map(({ workload }) => workload).filter((workload) => workload.startsWith(POD))
    for (const pod of named) if (!this.#pods.has(pod)) this.#pods.set(pod, this.#options.clock.monotonic())
    const wished = new Set(named)
    const gone = full ? [...this.#pods.keys()].filter((pod) => !wished.has(pod)) : unbound
    for (const pod of gone) if (this.#pods.get(pod) !== 'started') this.#pods.delete(pod)
    this.#isSynced ||= full
  }

  /** What ran before the operator spoke first tells nothing. */
  started(workload: string): void {
    if (!workload.startsWith(POD)) return
    const since = this.#pods.get(workload)
    if (typeof since === 'number') this.#options.onLead(this.#options.clock.monotonic() - since)
    else if (since === undefined && this.#isSynced) this.#options.onLate()
    this.#pods.set(workload, 'started')
  }

  ended(workload: string): void {
    this.#pods.delete(workload)
  }
}
