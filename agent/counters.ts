// SPDX-License-Identifier: Apache-2.0
// Counters of the kernel side, read from time to time: hits by clause, statistics, errors by line.
import type { BpfMap } from '../native/types.ts'
import type { ClauseCount } from '../proto/gen/merlon/v1/ClauseCount.ts'
import type { Counters } from '../proto/gen/merlon/v1/Counters.ts'
import { ERROR_FILES, ERROR_KEY, STATS, sumPerCpu, u32, view } from './abi.ts'
import type { Slot } from './tables.ts'

/** Statistics that are events lost in the kernel, and what the relay's clients know them by. */
const RING_LOSSES = { denials_lost: 'denials_ring', events_lost: 'events_ring', logs_lost: 'logs_ring' } as const

export interface CounterReaderOptions {
  readonly counters: BpfMap
  readonly stats: BpfMap
  readonly errors: BpfMap
  /** Tables whose counters are there. */
  readonly slots: () => readonly Slot[]
  /** Profile that a table was loaded for. */
  readonly profileOf: (serial: number) => string | undefined
  readonly onLoss: (where: string, count: number) => void
}

export class CounterReader {
  readonly #options: CounterReaderOptions
  #last = ''
  #lost: Record<string, bigint>

  constructor(options: CounterReaderOptions) {
    this.#options = options
    // What was lost before this agent came was an earlier one's to tell.
    this.#lost = this.#readStats()
  }

  /** Reports new ring losses, and returns all counters where any changed since the last call. */
  poll(): Counters | undefined {
    const stats = this.#readStats()
    for (const [name, where] of Object.entries(RING_LOSSES)) {
      const more = (stats[name] ?? 0n) - (this.#lost[name] ?? 0n)
      if (more > 0n) this.#options.onLoss(where, Number(more))
    }
    this.#lost = stats
    const counters = { clauses: this.#readClauses(), stats: numbers(stats), errors: this.#readErrors() }
    const text = JSON.stringify(counters)
    if (text === this.#last) return undefined
    this.#last = text
    return counters
  }

  /** The last reading is sent again: a new operator does not have it. */
  forget(): void {
    this.#last = ''
  }

  /** Several tables of one profile (a replaced one, and its successor) count together. */
  #readClauses(): ClauseCount[] {
    const { counters, slots, profileOf } = this.#options
    const sums = new Map<string, { profile: string; clause: number; hits: number }>()
    for (const { serial, range } of slots()) {
      const profile = profileOf(serial)
      if (profile === undefined) continue
      for (let clause = 1; clause <= range.clauses; clause++) {
        const value = counters.lookup(u32(range.base + clause))
        const hits = value ? Number(sumPerCpu(value)) : 0
        if (hits === 0) continue
        const key = `${profile} ${clause}`
        const sum = sums.get(key) ?? { profile, clause, hits: 0 }
        sum.hits += hits
        sums.set(key, sum)
      }
    }
    return [...sums.values()]
  }

  #readStats(): Record<string, bigint> {
    return Object.fromEntries(STATS.map((name, index) => [name, sumPerCpu(this.#options.stats.lookup(u32(index)) ?? new Uint8Array())]))
  }

  #readErrors(): Record<string, number> {
    const { keys, values, count } = this.#options.errors.entries()
    const valueSize = count === 0 ? 0 : values.length / count
    return Object.fromEntries(Array.from({ length: count }, (_, index) => {
      const key = view(keys.subarray(index * ERROR_KEY.bytes, (index + 1) * ERROR_KEY.bytes))
      const file = key.getUint16(ERROR_KEY.file, true)
      const name = `${ERROR_FILES[file - 1] ?? file}:${key.getUint16(ERROR_KEY.line, true)}:${key.getUint32(ERROR_KEY.error, true)}`
      return [name, Number(sumPerCpu(values.subarray(index * valueSize, (index + 1) * valueSize)))]
    }))
  }
}

function numbers(values: Readonly<Record<string, bigint>>): Record<string, number> {
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [name, Number(value)]))
}
