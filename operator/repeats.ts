// SPDX-License-Identifier: Apache-2.0
// When an agent is sent again what it says is not there: at once, and ever more rarely while it goes on saying so.
import type { Clock, Timer } from '../runtime/clock.ts'

/** Before each repeat; the last one before all that follow. A table may have megabytes. */
const DELAYS_MS = [0, 1_000, 5_000, 30_000, 120_000]

export class Repeats {
  readonly #clock: Clock
  readonly #repeat: () => void
  #count = 0
  #timer: Timer | undefined

  constructor(clock: Clock, repeat: () => void) {
    this.#clock = clock
    this.#repeat = repeat
  }

  /** Of each acknowledgement: whether it says so. */
  note(hasLack: boolean): void {
    if (!hasLack) return this.end()
    if (this.#timer) return
    const delay = DELAYS_MS[Math.min(this.#count, DELAYS_MS.length - 1)] ?? 0
    this.#count += 1
    if (delay === 0) return this.#repeat()
    this.#timer = this.#clock.after(delay, () => {
      this.#timer = undefined
      this.#repeat()
    })
  }

  /** Nothing is repeated any more; the next lack is the first again. */
  end(): void {
    this.#timer?.cancel()
    this.#timer = undefined
    this.#count = 0
  }
}
