// SPDX-License-Identifier: Apache-2.0
// Every event to every relay: whoever follows events asks any of them, and is to miss nothing.
import type { Event } from '../proto/gen/merlon/v1/Event.ts'
import { Seats } from '../runtime/seats.ts'
import { Sink, type EventKind, type SinkConnection, type SinkOptions } from './sink.ts'
import type { Backoff } from '../runtime/backoff.ts'

/** How they are reached. */
export interface Relays {
  readonly addresses: () => Promise<readonly string[]>
  /** Undefined where `signal` aborted first, or there is no address. */
  readonly connect: (address: () => Promise<string | undefined>, signal: AbortSignal) => Promise<SinkConnection | undefined>
}

export interface EventsOptions extends Omit<SinkOptions, 'connect' | 'backoff' | 'onLogsWanted'> {
  readonly relays: Relays
  /** One for each. */
  readonly backoff: () => Backoff
  /** Logs are wanted by a relay, or by none any more. At first none wants them. Called on changes only. */
  readonly onLogsWanted?: (wanted: boolean) => void
}

export class Events {
  readonly #seats: Seats<Sink>
  readonly #onLoss: SinkOptions['onLoss']
  readonly #onLogsWanted: EventsOptions['onLogsWanted']
  #areLogsWanted = false

  constructor({ relays, backoff, onLogsWanted, ...options }: EventsOptions) {
    this.#onLoss = options.onLoss
    this.#onLogsWanted = onLogsWanted
    this.#seats = new Seats({
      addresses: relays.addresses,
      clock: options.clock,
      open: (address) => new Sink({ ...options, backoff: backoff(), connect: (signal) => relays.connect(address, signal), onLogsWanted: () => this.#noteLogsWanted() }),
      keep: (sink, signal) => sink.run(signal),
    })
  }

  /** Never blocks. Logs go to the relays that want them. */
  push(event: Event, kind: EventKind): void {
    for (const sink of this.#seats.all) sink.push(event, kind)
  }

  /** Tells the relays' clients of events that were lost before they came here. */
  lose(where: string, count: number): void {
    for (const sink of this.#seats.all) sink.lose(where, count)
    // Once, however many are told.
    if (count > 0) this.#onLoss?.(where, count)
  }

  /** Events that wait, for the relay that is the furthest behind. */
  get waiting(): number {
    return Math.max(...this.#seats.all.map(({ waiting }) => waiting))
  }

  /** Keeps streams to the relays until `signal` aborts. */
  run(signal: AbortSignal): Promise<void> {
    return this.#seats.run(signal)
  }

  #noteLogsWanted(): void {
    const wanted = this.#seats.all.some(({ wantsLogs }) => wantsLogs)
    if (wanted === this.#areLogsWanted) return
    this.#areLogsWanted = wanted
    this.#onLogsWanted?.(wanted)
  }
}
