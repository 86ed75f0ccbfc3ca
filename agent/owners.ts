// SPDX-License-Identifier: Apache-2.0
// Who did it: the container that an event's cgroup belongs to, with what the operator knows about it.
import type { Who } from './observed.ts'
import { isPodWorkload, type Container } from './containers/source.ts'
import type { Enforcement } from './enforcement.ts'
import type { KernelEvent } from './records.ts'

const NOBODY: Who = {
  isHost: false, containerId: '', namespace: '', pod: '', container: '', image: '', labels: '', owner: { kind: '', name: '', namespace: '' },
}

function fromContainer({ id, namespace, pod, container, image, labels }: Container): Who {
  const labelText = Object.entries(labels).map(([key, value]) => `${key}=${value}`).join(',')
  return { ...NOBODY, containerId: isPodWorkload(id) ? '' : id, namespace, pod, container, image, labels: labelText }
}

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
    const container = this.#containerOf(event, isHost)
    const identity = this.#enforcement.identity(container?.id ?? this.#enforcement.workloadOf(event.boundId) ?? '')
    const found = container ? fromContainer(container) : NOBODY
    if (identity === undefined) return { ...found, isHost }
    return {
      isHost,
      containerId: found.containerId,
      namespace: identity.namespace || found.namespace,
      pod: identity.pod || found.pod,
      container: identity.container || found.container,
      image: identity.image || found.image,
      labels: identity.labels || found.labels,
      owner: { kind: identity.owner_kind, name: identity.owner_name, namespace: identity.owner_namespace },
    }
  }

  #containerOf({ cgroupId, boundId }: Pick<KernelEvent, 'cgroupId' | 'boundId'>, isHost: boolean): Container | undefined {
    return this.#find(cgroupId) ?? (isHost ? undefined : this.#find(boundId))
  }

  #find(cgroupId: bigint): Container | undefined {
    return this.#containers.get(cgroupId) ?? this.#gone.get(cgroupId) ?? this.#goneBefore.get(cgroupId)
  }
}
