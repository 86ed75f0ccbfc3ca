// SPDX-License-Identifier: Apache-2.0
// Who did it: the container that an event's cgroup belongs to, with what the operator knows about it.
import type { Who } from './alert.ts'
import type { Container } from './containers/source.ts'
import type { Enforcement } from './enforcement.ts'
import type { KernelEvent } from './records.ts'

export class Owners {
  readonly #enforcement: Pick<Enforcement, 'identity' | 'workloadOf'>
  readonly #containers = new Map<bigint, Container>()
  /** Gone since the last sweep, and before it: their last events are still on the way. */
  #gone = new Map<bigint, Container>()
  #goneBefore = new Map<bigint, Container>()

  constructor(enforcement: Pick<Enforcement, 'identity' | 'workloadOf'>) {
    this.#enforcement = enforcement
  }

  add(container: Container): void {
    this.#containers.set(container.cgroupId, container)
  }

  remove(container: Container): void {
    this.#containers.delete(container.cgroupId)
    this.#gone.set(container.cgroupId, container)
  }

  sweep(): void {
    this.#goneBefore = this.#gone
    this.#gone = new Map()
  }

  /** The task's own cgroup tells the container; a cgroup that a container made below its own is known by the bound one. */
  who(event: Pick<KernelEvent, 'cgroupId' | 'boundId'>, isHost: boolean): Who {
    const container = this.#find(event.cgroupId) ?? (isHost ? undefined : this.#find(event.boundId))
    const identity = this.#enforcement.identity(container?.id ?? this.#enforcement.workloadOf(event.boundId) ?? '')
    return {
      isHost,
      containerId: container === undefined || container.id.startsWith('pod/') ? '' : container.id,
      namespace: identity?.namespace || container?.namespace || '',
      pod: identity?.pod || container?.pod || '',
      container: identity?.container || container?.container || '',
      image: identity?.image || container?.image || '',
      labels: identity?.labels || Object.entries(container?.labels ?? {}).map(([key, value]) => `${key}=${value}`).join(','),
      owner: { kind: identity?.owner_kind ?? '', name: identity?.owner_name ?? '', namespace: identity?.owner_namespace ?? '' },
    }
  }

  #find(cgroupId: bigint): Container | undefined {
    return this.#containers.get(cgroupId) ?? this.#gone.get(cgroupId) ?? this.#goneBefore.get(cgroupId)
  }
}
