// SPDX-License-Identifier: Apache-2.0
// One client's stream and its bounded queue. What a slow client cannot take is lost to it alone, and counted.
import type { FeedName, Payload } from './wire.ts'

/** What a subscriber writes to: a gRPC server stream, or a test's stand-in. */
export interface Outlet {
  /** False: full, wait for `drain`. */
  write(bytes: Payload): boolean
  on(event: 'drain', listener: () => void): unknown
  end(): void
}

export interface SubscriberOptions {
  readonly feed: FeedName
  /** The client's address, for messages about it. */
  readonly peer: string
  readonly outlet: Outlet
  /** Events that wait at most, beyond what the stream itself buffers; denials may wait in as many places again. */
  readonly capacity: number
}

export class Subscriber {
  readonly feed: FeedName
  readonly peer: string
  readonly #outlet: Outlet
  readonly #capacity: number
  #queue: Payload[] = []
  #head = 0
  #blocked = false
  #ended = false
  #lost = 0

  constructor(options: SubscriberOptions) {
    this.feed = options.feed
    this.peer = options.peer
    this.#outlet = options.outlet
    this.#capacity = options.capacity
    options.outlet.on('drain', () => {
      this.#blocked = false
      this.#send()
    })
  }

  get queued(): number {
    return this.#queue.length - this.#head
  }

  /**
   * Sends, queues, or loses the event: the newest is lost, so that what arrives stays in order and begins at the beginning. Half of the room is for
   * denials alone: a flood of what was permitted cannot crowd them out.
   */
  offer(bytes: Payload, isDenial = false): void {
    if (this.#ended) return
    if (!this.#blocked) {
      this.#blocked = !this.#outlet.write(bytes)
    } else if (this.queued < (isDenial ? 2 * this.#capacity : this.#capacity)) {
      this.#queue.push(bytes)
    } else {
      this.#lost += 1
    }
  }

  /** Events lost since the last call. */
  takeLost(): number {
    const lost = this.#lost
    this.#lost = 0
    return lost
  }

  /** Ends the stream after what is already written; what is queued is counted as lost. */
  end(): void {
    if (this.#ended) return
    this.close()
    this.#outlet.end()
  }

  /** The client has gone: nothing is written any more. */
  close(): void {
    this.#ended = true
    this.#lost += this.queued
    this.#queue = []
    this.#head = 0
  }

  #send(): void {
    while (!this.#blocked && this.#head < this.#queue.length) {
      const bytes = this.#queue[this.#head] as Payload
      this.#head += 1
      this.#blocked = !this.#outlet.write(bytes)
    }
    // Moving the rest down at half the capacity keeps the cost per event constant and the array short.
    if (this.#head === this.#queue.length || this.#head > this.#capacity / 2) {
      this.#queue = this.#queue.slice(this.#head)
      this.#head = 0
    }
  }
}
