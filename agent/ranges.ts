// SPDX-License-Identifier: Apache-2.0
// Runs of counters in the kernel's map `counters`: one counter for each clause of a loaded table.
import type { BpfMap } from '../native/types.ts'
import { view } from './abi.ts'

/** Counters base + 1 to base + clauses; base itself is unused (docs/table.md, "Clauses"). */
export interface CounterRange {
  readonly base: number
  readonly clauses: number
}

const HIGHEST = 0xffff_ffff

export class CounterRanges {
  readonly #map: BpfMap
  readonly #valueSize: number
  readonly #live = new Set<CounterRange>()
  #next = 0

  constructor(counters: BpfMap, possibleCpus: number) {
    this.#map = counters
    this.#valueSize = 8 * possibleCpus
  }

  /** Makes the counters, at zero: programs only add to counters that are there. Undefined where the map is full. */
  reserve(clauses: number): CounterRange | undefined {
    const range = { base: this.#findBase(clauses), clauses }
    try {
      this.#map.updateBatch(keysOf(range), new Uint8Array(clauses * this.#valueSize))
    } catch {
      this.#delete(range)
      return undefined
    }
    this.#live.add(range)
    this.#next = range.base + clauses
    return range
  }

  /** Counters that are in the kernel already. */
  adopt(range: CounterRange): void {
    this.#live.add(range)
    this.#next = Math.max(this.#next, range.base + range.clauses)
  }

  release(range: CounterRange): void {
    this.#live.delete(range)
    this.#delete(range)
  }

  /** Deletes counters that belong to no range: an earlier agent ended before it could. */
  dropStrays(): void {
    const { keys, count } = this.#map.entries()
    for (let index = 0; index < count; index++) {
      const counter = view(keys).getUint32(index * 4, true)
      const isLive = [...this.#live].some(({ base, clauses }) => counter > base && counter <= base + clauses)
      if (!isLive) this.#map.delete(keys.subarray(index * 4, index * 4 + 4))
    }
  }

  /** The first base from the last one on, around the end of the numbers, whose run overlaps no other. */
  #findBase(clauses: number): number {
    let base = this.#next + clauses > HIGHEST ? 0 : this.#next
    for (const range of [...this.#live].toSorted((a, b) => a.base - b.base)) {
      if (base < range.base + range.clauses && range.base < base + clauses) base = range.base + range.clauses
    }
    return base
  }

  #delete(range: CounterRange): void {
    const keys = keysOf(range)
    for (let at = 0; at < keys.length; at += 4) this.#map.delete(keys.subarray(at, at + 4))
  }
}

function keysOf({ base, clauses }: CounterRange): Uint8Array {
  return new Uint8Array(Uint32Array.from({ length: clauses }, (_, index) => base + 1 + index).buffer)
}
