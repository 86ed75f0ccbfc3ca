// SPDX-License-Identifier: Apache-2.0
// How long before the cgroup of a pod's first container its profile was here. The operator knows a pod from its binding to the node, before the kubelet
// acts; the pod's own cgroup comes soon after that, and holds no process.
import type { OperatorMessage__Output as OperatorMessage } from '../proto/gen/merlon/v1/OperatorMessage.ts'
import type { Clock } from '../runtime/clock.ts'
import { isPodWorkload, podWorkload, type Container } from './containers/source.ts'

export interface LeadsOptions {
  readonly clock: Clock
  readonly onLead: (ms: number) => void
  /** The container's cgroup was there first: what it executes is held until the profile comes. */
  readonly onLate: () => void
}

export class Leads {
  readonly #options: LeadsOptions
  /** When its profile came, or that its first container has come. */
  readonly #pods = new Map<string, number | 'started'>()
  #isSynced = false

  constructor(options: LeadsOptions) {
    this.#options = options
  }

  take({ full, bindings, unbound }: Pick<OperatorMessage, 'full' | 'bindings' | 'unbound'>): void {
    const named = bindings.map(({ workload }) => workload).filter(isPodWorkload)
    for (const pod of named) if (!this.#pods.has(pod)) this.#pods.set(pod, this.#options.clock.monotonic())
    const wished = new Set(named)
    const gone = full ? [...this.#pods.keys()].filter((pod) => !wished.has(pod)) : unbound
    for (const pod of gone) if (this.#pods.get(pod) !== 'started') this.#pods.delete(pod)
    this.#isSynced ||= full
  }

  /** A container of a pod. What ran before the operator spoke first tells nothing. */
  started({ id, podUid }: Pick<Container, 'id' | 'podUid'>): void {
    if (podUid === '' || isPodWorkload(id)) return
    const pod = podWorkload(podUid)
    const since = this.#pods.get(pod)
    if (typeof since === 'number') this.#options.onLead(this.#options.clock.monotonic() - since)
    else if (since === undefined && this.#isSynced) this.#options.onLate()
    this.#pods.set(pod, 'started')
  }

  ended({ id }: Pick<Container, 'id'>): void {
    this.#pods.delete(id)
  }
}
