// SPDX-License-Identifier: Apache-2.0
// Time, as a value that is passed in: code that waits is tested by advancing a clock, never by sleeping.

export interface Timer {
  /** After this the callback is not called. Twice is harmless. */
  cancel(): void
}

export interface Clock {
  /** Milliseconds since 1970, for people and files. It may jump. */
  now(): number
  /** Milliseconds from an arbitrary start, never backwards, with fractions: for durations. */
  monotonic(): number
  /** Calls `callback` once, after `ms` milliseconds. A pending timer keeps the process alive. */
  after(ms: number, callback: () => void): Timer
}

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  after(ms, callback) {
    const handle = setTimeout(callback, ms)
    return { cancel: () => clearTimeout(handle) }
  },
}

/** Waits. True when the time passed, false when `signal` came first. Never rejects. */
export function sleep(clock: Clock, ms: number, signal?: AbortSignal): Promise<boolean> {
  return new Promise((resolve) => {
    if (signal?.aborted) return resolve(false)
    const timer = clock.after(ms, () => {
      signal?.removeEventListener('abort', onAbort)
      resolve(true)
    })
    const onAbort = (): void => {
      timer.cancel()
      resolve(false)
    }
    signal?.addEventListener('abort', onAbort, { once: true })
  })
}

/** Calls `run` every `ms` milliseconds, for the first time after as many, until it is cancelled; a call that throws does not end it. */
export function every(clock: Clock, ms: number, run: () => void): Timer {
  let timer = clock.after(ms, again)
  function again(): void {
    timer = clock.after(ms, again)
    run()
  }
  return { cancel: () => timer.cancel() }
}

interface Pending {
  readonly at: number
  readonly order: number
  readonly callback: () => void
}

/** A clock that moves only when it is told to. Timers fire in the order of their times, then of their creation. */
export class SimulatedClock implements Clock {
  #time: number
  #order = 0
  readonly #pending = new Set<Pending>()

  constructor(startMs = 0) {
    this.#time = startMs
  }

  now(): number {
    return this.#time
  }

  monotonic(): number {
    return this.#time
  }

  after(ms: number, callback: () => void): Timer {
    const entry: Pending = { at: this.#time + Math.max(0, ms), order: this.#order++, callback }
    this.#pending.add(entry)
    return { cancel: () => void this.#pending.delete(entry) }
  }

  /** How many timers wait. */
  get waiting(): number {
    return this.#pending.size
  }

  /** Moves on by `ms`, firing on the way what falls due, timers set by those callbacks included. */
  advance(ms: number): void {
    const end = this.#time + ms
    for (let next = this.#next(end); next !== undefined; next = this.#next(end)) {
      this.#pending.delete(next)
      this.#time = Math.max(this.#time, next.at)
      next.callback()
    }
    this.#time = end
  }

  #next(end: number): Pending | undefined {
    let first: Pending | undefined
    for (const entry of this.#pending) {
      if (entry.at > end) continue
      if (first === undefined || entry.at < first.at || (entry.at === first.at && entry.order < first.order)) first = entry
    }
    return first
  }
}
