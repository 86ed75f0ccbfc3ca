// SPDX-License-Identifier: Apache-2.0
// All sources seen as one: what appeared, what changed and what is gone since the last look.
import type { Clock, Timer } from '../../runtime/clock.ts'
import type { Container, ContainerSource } from './source.ts'

export interface Changes {
  readonly upserted: readonly Container[]
  readonly removed: readonly Container[]
}

export interface ContainerSetOptions {
  /** Where two know the same cgroup, the earlier one wins. */
  readonly sources: readonly ContainerSource[]
  readonly clock: Clock
  readonly onChanges: (changes: Changes) => void
  /** Between two looks when no source said anything. */
  readonly rescanMs?: number
}

export class ContainerSet {
  readonly #options: ContainerSetOptions
  #containers = new Map<bigint, Container>()
  #watchers: { close(): void }[] = []
  #timer: Timer | undefined

  constructor(options: ContainerSetOptions) {
    this.#options = options
  }

  /** The first look, and every later one. Its changes are delivered before this returns. */
  start(): void {
    this.#watchers = this.#options.sources.map((source) => source.watch(() => this.rescan()))
    this.#tick()
  }

  stop(): void {
    this.#timer?.cancel()
    for (const watcher of this.#watchers) watcher.close()
  }

  all(): Container[] {
    return [...this.#containers.values()]
  }

  byCgroup(cgroupId: bigint): Container | undefined {
    return this.#containers.get(cgroupId)
  }

  rescan(): void {
    const before = this.#containers
    const now = new Map<bigint, Container>()
    for (const source of this.#options.sources) {
      for (const container of source.list()) if (!now.has(container.cgroupId)) now.set(container.cgroupId, container)
    }
    this.#containers = now
    const upserted = [...now.values()].filter((container) => !isSame(before.get(container.cgroupId), container))
    // A cgroup that changed hands is both: its old workload is gone.
    const removed = [...before.values()].filter((container) => now.get(container.cgroupId)?.id !== container.id)
    if (upserted.length + removed.length > 0) this.#options.onChanges({ upserted, removed })
  }

  #tick(): void {
    this.rescan()
    this.#timer = this.#options.clock.after(this.#options.rescanMs ?? 1_000, () => this.#tick())
  }
}

function isSame(a: Container | undefined, b: Container): boolean {
  return a === b || (a !== undefined && JSON.stringify({ ...a, cgroupId: '' }) === JSON.stringify({ ...b, cgroupId: '' }))
}
