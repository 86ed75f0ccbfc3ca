// SPDX-License-Identifier: Apache-2.0
import { sleep, type Clock } from './clock.ts'

export interface BackoffOptions {
  readonly baseMs: number
  readonly capMs: number
  readonly clock: Clock
  /** From 0 (inclusive) to 1 (exclusive). */
  readonly random: () => number
}

/** Delays between attempts: a random share of a limit that doubles up to a cap ("full jitter"), so that many clients spread out. */
export class Backoff {
  readonly #options: BackoffOptions
  #attempt = 0

  constructor(options: BackoffOptions) {
    this.#options = options
  }

  /** Attempts since the last reset. */
  get attempts(): number {
    return this.#attempt
  }

  /** The next delay in whole milliseconds. */
  next(): number {
    const { baseMs, capMs, random } = this.#options
    const limit = Math.min(capMs, baseMs * 2 ** Math.min(this.#attempt, 30))
    this.#attempt += 1
    return Math.floor(random() * limit)
  }

  /** After a success: the next delay is short again. */
  reset(): void {
    this.#attempt = 0
  }

  /** Waits `ms`, or the next delay. False when `signal` came first. */
  wait(signal?: AbortSignal, ms = this.next()): Promise<boolean> {
    return sleep(this.#options.clock, ms, signal)
  }
}
