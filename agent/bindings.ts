// SPDX-License-Identifier: Apache-2.0
// The kernel's map from cgroups to slots (bpf/maps.bpf.h, `bindings`), with a copy of what it holds.
import type { BpfMap } from '../native/types.ts'
import { BINDING, encodeBinding, u64, view, type BindKind } from './abi.ts'

export class Bindings {
  readonly #map: BpfMap
  readonly #bound = new Map<bigint, { readonly slot: number; readonly kind: BindKind; readonly visible: number }>()

  /** Takes up what an earlier agent has bound. */
  constructor(map: BpfMap) {
    this.#map = map
    const { keys, values, count } = map.entries()
    const data = view(values)
    for (let index = 0; index < count; index++) {
      const at = index * BINDING.bytes
      const [slot, kind, visible] = [data.getUint32(at + BINDING.slot, true), data.getUint16(at + BINDING.kind, true) as BindKind, data.getUint16(at + BINDING.visible, true)]
      this.#bound.set(view(keys).getBigUint64(index * 8, true), { slot, kind, visible })
    }
  }

  /** Slots that some cgroup is bound to, by the cgroup's id. 0: bound, and no rule applies. */
  slots(): [cgroupId: bigint, slot: number][] {
    return [...this.#bound].map(([cgroupId, { slot }]) => [cgroupId, slot])
  }

  has(cgroupId: bigint): boolean {
    return this.#bound.has(cgroupId)
  }

  /** `visible`: VISIBLE. True where that changes something. Throws what the kernel says where it cannot be written. */
  bind(cgroupId: bigint, slot: number, kind: BindKind, visible: number): boolean {
    const now = this.#bound.get(cgroupId)
    if (now?.slot === slot && now.kind === kind && now.visible === visible) return false
    this.#map.update(u64(cgroupId), encodeBinding(slot, kind, visible))
    this.#bound.set(cgroupId, { slot, kind, visible })
    return true
  }

  /** True where it was bound. */
  unbind(cgroupId: bigint): boolean {
    if (!this.#bound.delete(cgroupId)) return false
    this.#map.delete(u64(cgroupId))
    return true
  }
}
