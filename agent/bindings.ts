// SPDX-License-Identifier: Apache-2.0
// The kernel's map from cgroups to slots (bpf/maps.bpf.h, `bindings`), with a copy of what it holds.
import type { BpfMap } from '../native/types.ts'
import { BINDING, BOUND, encodeBinding, u64, view, type BindKind } from './abi.ts'

/** What a cgroup is bound to. */
export interface Binding {
  /** 0: no rule applies. */
  readonly slot: number
  readonly kind: BindKind
  /** VISIBLE */
  readonly visible: number
  /** BOUND */
  readonly flags: number
}

export class Bindings {
  readonly #map: BpfMap
  readonly #bound = new Map<bigint, Binding>()

  /** Takes up what an earlier agent has bound. */
  constructor(map: BpfMap) {
    this.#map = map
    const { keys, values, count } = map.entries()
    const data = view(values)
    for (let index = 0; index < count; index++) {
      const at = index * BINDING.bytes
      const binding = { slot: data.getUint32(at + BINDING.slot, true), kind: data.getUint16(at + BINDING.kind, true) as BindKind, visible: data.getUint8(at + BINDING.visible), flags: data.getUint8(at + BINDING.flags) }
      this.#bound.set(view(keys).getBigUint64(index * 8, true), binding)
    }
  }

  /** Slots that some cgroup is bound to, by the cgroup's id. 0: bound, and no rule applies. */
  slots(): [cgroupId: bigint, slot: number][] {
    return [...this.#bound].map(([cgroupId, { slot }]) => [cgroupId, slot])
  }

  /** Whether its binding is that of what is below it, too. */
  covers(cgroupId: bigint): boolean {
    const now = this.#bound.get(cgroupId)
    return now !== undefined && (now.flags & BOUND.HOLDS) === 0
  }

  /** True where that changes something. Throws what the kernel says where it cannot be written. */
  bind(cgroupId: bigint, binding: Binding): boolean {
    const now = this.#bound.get(cgroupId)
    const { slot, kind, visible, flags } = binding
    if (now?.slot === slot && now.kind === kind && now.visible === visible && now.flags === flags) return false
    this.#map.update(u64(cgroupId), encodeBinding(slot, kind, visible, flags))
    this.#bound.set(cgroupId, binding)
    return true
  }

  /** True where it was bound. */
  unbind(cgroupId: bigint): boolean {
    if (!this.#bound.delete(cgroupId)) return false
    this.#map.delete(u64(cgroupId))
    return true
  }
}
