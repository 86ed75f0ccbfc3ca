// SPDX-License-Identifier: Apache-2.0
// Whether anybody follows logs. Agents record permitted operations only while it is so, on every node: a client that comes and goes must not make them
// begin and cease each time, so the last one's leaving takes effect after a while.
import type { Clock, Timer } from '../runtime/clock.ts'

const LINGER_MS = 2_000

export class Demand {
  readonly #clock: Clock
  readonly #listeners = new Set<() => void>()
  #followers = 0
  #isWanted = false
  #linger: Timer | undefined

  constructor(clock: Clock) {
    this.#clock = clock
  }

  get isWanted(): boolean {
    return this.#isWanted
  }

  /** Calls `listener` after each change until the returned function is called. */
  watch(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => void this.#listeners.delete(listener)
  }

  arrive(): void {
    this.#followers += 1
    this.#linger?.cancel()
    this.#linger = undefined
    this.#set(true)
  }

  leave(): void {
    this.#followers -= 1
    if (this.#followers > 0) return
    this.#linger = this.#clock.after(LINGER_MS, () => {
      this.#linger = undefined
      this.#set(false)
    })
  }

  /** Nothing changes any more. */
  end(): void {
    this.#linger?.cancel()
    this.#listeners.clear()
  }

  #set(isWanted: boolean): void {
    if (isWanted === this.#isWanted) return
    this.#isWanted = isWanted
    for (const listener of this.#listeners) listener()
  }
}
