// SPDX-License-Identifier: Apache-2.0
// Work by key: a key that is added ten times before its turn has one turn, a key that fails comes back after a pause that grows, and no key is
// worked on twice at once. What the work is, is found out when it is done.
import { Backoff } from './backoff.ts'
import type { Clock, Timer } from './clock.ts'

export type Outcome =
  | 'done'
  /** There was nothing to do: it does not count as a turn. */
  | 'nothing'
  /** It is to come again, after a pause; so is a key whose work rejects. */
  | 'again'

export interface WorkQueueOptions {
  readonly clock: Clock
  readonly random: () => number
  readonly work: (key: string) => Promise<Outcome>
  readonly onError?: (key: string, error: unknown) => void
  /** Between the starts of two turns: a limit on how fast the whole queue goes. Default 0. */
  readonly intervalMs?: number
  readonly baseMs?: number
  readonly capMs?: number
}

export class WorkQueue {
  readonly #options: WorkQueueOptions
  readonly #ready = new Set<string>()
  readonly #delayed = new Map<string, Timer>()
  readonly #backoffs = new Map<string, Backoff>()
  #working: string | undefined
  #again = false
  #next: Timer | undefined
  #lastStart = -Infinity
  #isPaused = false

  constructor(options: WorkQueueOptions) {
    this.#options = options
  }

  /** Keys that wait for their turn, or for their pause to end. */
  get size(): number {
    return this.#ready.size + this.#delayed.size
  }

  add(key: string): void {
    if (key === this.#working) this.#again = true
    else if (!this.#delayed.has(key)) this.#ready.add(key)
    this.#go()
  }

  /** No turn begins until resume(). */
  pause(): void {
    this.#isPaused = true
    this.#next?.cancel()
    this.#next = undefined
  }

  resume(): void {
    this.#isPaused = false
    this.#go()
  }

  clear(): void {
    this.#ready.clear()
    for (const timer of this.#delayed.values()) timer.cancel()
    this.#delayed.clear()
    this.#backoffs.clear()
  }

  #go(): void {
    if (this.#isPaused || this.#working !== undefined || this.#next || this.#ready.size === 0) return
    const { clock, intervalMs = 0 } = this.#options
    const wait = this.#lastStart + intervalMs - clock.monotonic()
    if (wait <= 0) return void this.#turn()
    this.#next = clock.after(wait, () => {
      this.#next = undefined
      this.#go()
    })
  }

  async #turn(): Promise<void> {
    const [key = ''] = this.#ready
    this.#ready.delete(key)
    this.#working = key
    this.#again = false
    const started = this.#options.clock.monotonic()
    const outcome = await this.#try(key)
    this.#working = undefined
    if (outcome !== 'nothing') this.#lastStart = started
    if (outcome !== 'again') {
      this.#backoffs.delete(key)
      if (this.#again) this.#ready.add(key)
    } else this.#delay(key)
    this.#go()
  }

  async #try(key: string): Promise<Outcome> {
    try {
      return await this.#options.work(key)
    } catch (error) {
      this.#options.onError?.(key, error)
      return 'again'
    }
  }

  #delay(key: string): void {
    const { clock, random, baseMs = 200, capMs = 30_000 } = this.#options
    const backoff = this.#backoffs.get(key) ?? new Backoff({ baseMs, capMs, clock, random })
    this.#backoffs.set(key, backoff)
    this.#delayed.set(key, clock.after(backoff.next(), () => {
      this.#delayed.delete(key)
      this.add(key)
    }))
  }
}
