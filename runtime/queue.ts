// SPDX-License-Identifier: Apache-2.0

export interface QueueOptions {
  readonly capacity: number
  /** What a full queue gives up: the item that comes (default) or the one that waited longest. */
  readonly drop?: 'newest' | 'oldest'
}

/** A first-in, first-out queue between a producer that must not wait and one consumer. What does not fit is dropped and counted. */
export class BoundedQueue<T> implements AsyncIterable<T> {
  readonly #capacity: number
  readonly #dropOldest: boolean
  #items: T[] = []
  #head = 0
  #dropped = 0
  #closed = false
  #wake: (() => void) | undefined

  constructor(options: QueueOptions) {
    if (!Number.isInteger(options.capacity) || options.capacity < 1) throw new RangeError('Cannot make a queue: capacity must be a positive integer')
    this.#capacity = options.capacity
    this.#dropOldest = options.drop === 'oldest'
  }

  get size(): number {
    return this.#items.length - this.#head
  }

  get closed(): boolean {
    return this.#closed
  }

  /** False when something was dropped for it, or it was itself. Pushing to a closed queue drops. */
  push(item: T): boolean {
    let kept = true
    if (this.#closed || this.size >= this.#capacity) {
      this.#dropped += 1
      kept = false
      if (this.#closed || !this.#dropOldest) return false
      this.shift()
    }
    this.#items.push(item)
    this.#notify()
    return kept
  }

  /** The oldest item, undefined when empty. */
  shift(): T | undefined {
    if (this.size === 0) return undefined
    const item = this.#items[this.#head]
    this.#items[this.#head++] = undefined as T
    if (this.#head === this.#items.length) {
      this.#items = []
      this.#head = 0
    } else if (this.#head > 1024 && this.#head * 2 > this.#items.length) {
      this.#items = this.#items.slice(this.#head)
      this.#head = 0
    }
    return item
  }

  /** Up to `limit` items at once, for batches. */
  takeUpTo(limit: number): T[] {
    const taken = this.#items.slice(this.#head, this.#head + limit)
    for (let index = 0; index < taken.length; index++) this.shift()
    return taken
  }

  /** How many were dropped since the last call. */
  takeDropped(): number {
    const count = this.#dropped
    this.#dropped = 0
    return count
  }

  /** No more items; the consumer still gets those that wait. */
  close(): void {
    this.#closed = true
    this.#notify()
  }

  /** Resolves when there is something to take (true), or the queue is closed and empty or `signal` aborted (false). One waiter. */
  async ready(signal?: AbortSignal): Promise<boolean> {
    const onAbort = (): void => this.#notify()
    signal?.addEventListener('abort', onAbort, { once: true })
    while (this.size === 0 && !this.#closed && !signal?.aborted) {
      await new Promise<void>((resolve) => { this.#wake = resolve })
    }
    signal?.removeEventListener('abort', onAbort)
    return this.size > 0 && !signal?.aborted
  }

  async *[Symbol.asyncIterator](): AsyncIterator<T> {
    while (await this.ready()) yield this.shift() as T
  }

  #notify(): void {
    const wake = this.#wake
    this.#wake = undefined
    wake?.()
  }
}
