// SPDX-License-Identifier: Apache-2.0
// The map `control`: one struct that only the agent writes.
import type { BpfMap } from '../native/types.ts'
import { CONTROL, type HoldMode, u32, view } from './abi.ts'

export class Control {
  readonly #map: BpfMap
  readonly #bytes: Uint8Array

  constructor(map: BpfMap) {
    this.#map = map
    // The epoch goes on from where an earlier agent left it: tasks remember the one that they were resolved under.
    this.#bytes = new Uint8Array(map.lookup(u32(0)) ?? new Uint8Array(CONTROL.bytes))
  }

  get bindEpoch(): bigint {
    return view(this.#bytes).getBigUint64(CONTROL.bind_epoch, true)
  }

  /** After every change of `bindings`: tasks find their binding again. */
  bumpEpoch(): void {
    view(this.#bytes).setBigUint64(CONTROL.bind_epoch, this.bindEpoch + 1n, true)
    this.#write()
  }

  /** `bootNs`: CLOCK_BOOTTIME. */
  beat(bootNs: bigint): void {
    view(this.#bytes).setBigUint64(CONTROL.heartbeat_ns, bootNs, true)
    this.#write()
  }

  setHold(mode: HoldMode): void {
    view(this.#bytes).setUint32(CONTROL.hold, mode, true)
    this.#write()
  }

  #write(): void {
    this.#map.update(u32(0), this.#bytes)
  }
}
