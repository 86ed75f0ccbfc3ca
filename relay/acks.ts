// SPDX-License-Identifier: Apache-2.0
// What one agent hears from the relay: which batches were taken, and whether logs are wanted.
import type { BatchAck } from '../proto/gen/merlon/v1/BatchAck.ts'
import type { Demand } from './demand.ts'

/** The writing side of the agent's stream, which can hold back its reading side. */
export interface AckStream {
  readonly writableEnded: boolean
  write(ack: BatchAck): boolean
  once(event: 'drain', listener: () => void): unknown
  pause(): unknown
  resume(): unknown
}

export class Acks {
  readonly #stream: AckStream
  readonly #demand: Demand
  readonly #unwatch: () => void
  #sequence = 0
  #told: boolean | undefined
  #blocked = false

  /** Says at once whether logs are wanted, and again whenever that changes, until close(). */
  constructor(stream: AckStream, demand: Demand) {
    this.#stream = stream
    this.#demand = demand
    this.#unwatch = demand.watch(() => this.#tell())
    this.#tell()
  }

  /** Of the last batch that was taken. */
  get sequence(): number {
    return this.#sequence
  }

  acknowledge(sequence: number): void {
    this.#sequence = sequence
    this.#write()
  }

  close(): void {
    this.#unwatch()
  }

  /** An agent that does not read hears of the last change when it reads again, not of each. */
  #tell(): void {
    if (!this.#blocked && this.#told !== this.#demand.isWanted) this.#write()
  }

  #write(): void {
    if (this.#stream.writableEnded) return
    this.#told = this.#demand.isWanted
    if (this.#stream.write({ sequence: this.#sequence, logs_wanted: this.#told }) || this.#blocked) return
    // A client that does not read its acknowledgements gets no more read from it either.
    this.#blocked = true
    this.#stream.pause()
    this.#stream.once('drain', () => {
      this.#blocked = false
      this.#stream.resume()
      this.#tell()
    })
  }
}
