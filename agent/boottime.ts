// SPDX-License-Identifier: Apache-2.0
// CLOCK_BOOTTIME, in which the kernel side stamps events and measures the heartbeat. Node reads CLOCK_MONOTONIC only, which stands still
// in suspend; /proc/uptime is CLOCK_BOOTTIME, in steps of 10 ms. So: the fine clock, moved by what the coarse one is ahead.
import { readFileSync } from 'node:fs'

const STEP_NS = 10_000_000n

export interface BootClockSources {
  /** Nanoseconds of CLOCK_MONOTONIC. */
  readonly monotonicNs: () => bigint
  /** Content of /proc/uptime. */
  readonly uptime: () => string
  /** Milliseconds since 1970. */
  readonly nowMs: () => number
}

export const systemBootSources: BootClockSources = {
  monotonicNs: () => process.hrtime.bigint(),
  uptime: () => readFileSync('/proc/uptime', 'utf8'),
  nowMs: () => Date.now(),
}

export class BootClock {
  readonly #sources: BootClockSources
  #suspendedNs = 0n

  constructor(sources: BootClockSources = systemBootSources) {
    this.#sources = sources
    this.refresh()
  }

  /** Notices a suspend. Call it about once a second. */
  refresh(): void {
    const text = this.#sources.uptime().split(' ')[0] ?? ''
    const [seconds = '0', hundredths = '0'] = text.split('.')
    const coarse = BigInt(seconds) * 1_000_000_000n + BigInt(hundredths.padEnd(2, '0')) * STEP_NS
    const ahead = coarse - this.#sources.monotonicNs()
    const error = ahead - this.#suspendedNs
    // Within the coarse clock's step (and the time between the two readings) there is nothing to correct.
    if (error > 5n * STEP_NS || error < -5n * STEP_NS) this.#suspendedNs = ahead > STEP_NS ? ahead : 0n
  }

  nowNs(): bigint {
    return this.#sources.monotonicNs() + this.#suspendedNs
  }

  /** Nanoseconds since 1970 of a moment in CLOCK_BOOTTIME. */
  unixNs(bootNs: bigint): bigint {
    return BigInt(Math.round(this.#sources.nowMs() * 1000)) * 1000n - (this.nowNs() - bootNs)
  }
}
