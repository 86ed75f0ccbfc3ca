// SPDX-License-Identifier: Apache-2.0
// What shall apply to each workload: as the operator said last, and for the agent's own, such as the canary. Nothing here is in force.
import type { Identity__Output as Identity } from '../proto/gen/merlon/v1/Identity.ts'
import type { OperatorMessage__Output as OperatorMessage } from '../proto/gen/merlon/v1/OperatorMessage.ts'
import { isPodWorkload } from './containers/source.ts'

export interface Wish {
  readonly profile: string
  readonly identity: Identity | undefined
  /** Classes of permitted operations to record. */
  readonly visible: readonly string[]
  /** Containers below its cgroup wait for bindings of their own. */
  readonly holds: boolean
}

export class Wishes {
  readonly #wishes = new Map<string, Wish>()
  readonly #own = new Map<string, { readonly wish: Wish; readonly content: Uint8Array }>()
  readonly #answered = new Set<string>()
  /** The operator has nothing better for these than what they have. */
  #kept = new Set<string>()
  /** Had a wish and no cgroup at the last sweep. */
  #strays = new Set<string>()

  take({ full, keep, bindings, unbound }: Pick<OperatorMessage, 'full' | 'keep' | 'bindings' | 'unbound'>): void {
    if (full) this.#keepOnly(keep)
    for (const { workload, profile, identity, visible, holds } of bindings) {
      this.#kept.delete(workload)
      this.#wishes.set(workload, { profile, identity: identity ?? undefined, visible, holds })
      this.#answered.add(workload)
    }
    for (const workload of unbound) {
      this.#kept.delete(workload)
      this.#wishes.delete(workload)
      this.#answered.add(workload)
    }
  }

  setOwn(workload: string, profile: string, content: Uint8Array): void {
    this.#own.set(workload, { wish: { profile, identity: undefined, visible: [], holds: false }, content })
  }

  of(workload: string): Wish | undefined {
    return this.#own.get(workload)?.wish ?? this.#wishes.get(workload)
  }

  /** Of the operator. */
  ordered(): [workload: string, Wish][] {
    return [...this.#wishes]
  }

  all(): [workload: string, Wish][] {
    return [...this.#wishes, ...[...this.#own].map(([workload, own]): [string, Wish] => [workload, own.wish])]
  }

  /** The table of a profile of the agent's own. */
  contentOf(profile: string): Uint8Array | undefined {
    return [...this.#own.values()].find(({ wish }) => wish.profile === profile)?.content
  }

  isKept(workload: string): boolean {
    return this.#kept.has(workload)
  }

  /** Whether the operator has said that nothing applies to this workload. What should apply and could not be brought into force is no such answer. */
  isAnswered(workload: string): boolean {
    return this.#answered.has(workload) && !this.#wishes.has(workload)
  }

  forget(workloads: readonly string[]): void {
    for (const workload of workloads) {
      this.#wishes.delete(workload)
      this.#answered.delete(workload)
    }
  }

  /** Workloads that had a wish and were not `present` the last time either: the answer for a container that ended before it came, which the operator has forgotten and will never take back. */
  takeStrays(present: ReadonlySet<string>): string[] {
    const strays = [...this.#wishes.keys()].filter((workload) => !present.has(workload) && !isPodWorkload(workload))
    const gone = strays.filter((workload) => this.#strays.has(workload))
    this.#strays = new Set(strays)
    return gone
  }

  /** A complete message begins: what it does not name is not wished any more. */
  #keepOnly(keep: readonly string[]): void {
    this.#kept = new Set(keep)
    for (const workload of this.#wishes.keys()) if (!this.#kept.has(workload)) this.#wishes.delete(workload)
  }
}
