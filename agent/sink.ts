// SPDX-License-Identifier: Apache-2.0
// Events to the relay: in batches, soon, and from a bounded buffer while the relay is away. A batch is kept until it is acknowledged and sent
// again on the next stream, so an event may arrive twice, but what is lost is only what was dropped here, and that is counted and said. Logs, events of
// what was permitted, go only where the relay says that somebody follows them.
import type { BatchAck__Output as BatchAck } from '../proto/gen/merlon/v1/BatchAck.ts'
import type { Event } from '../proto/gen/merlon/v1/Event.ts'
import type { EventBatch } from '../proto/gen/merlon/v1/EventBatch.ts'
import { sleep, type Clock } from '../runtime/clock.ts'
import { keepStreaming, type Connection } from '../runtime/grpc.ts'
import type { Backoff } from '../runtime/backoff.ts'
import { BoundedQueue } from '../runtime/queue.ts'
import type { ClientDuplex, StreamEnd } from '../runtime/stream.ts'

export type EventKind = 'denial' | 'audit' | 'message' | 'log'

/** Each kind has room of its own: a flood of audits or logs cannot crowd out denials. In the order in which batches take them. */
const CAPACITY: Readonly<Record<EventKind, number>> = { denial: 8192, audit: 8192, message: 256, log: 4096 }
const KINDS = Object.keys(CAPACITY) as EventKind[]
const KINDS_BUT_LOGS = KINDS.filter((kind) => kind !== 'log')
const BATCH_EVENTS = 64
/** A batch that is not full waits so long for company. */
const BATCH_MS = 5
/** Batches on their way. More wait in the buffer, where they are counted when dropped. */
const UNACKNOWLEDGED = 32
/** Beyond so many, none carries logs or goes for the sake of a count alone: where the relay is slow, half of the way is left to all else. */
const UNACKNOWLEDGED_WITH_LOGS = 16

export type SinkConnection = Connection<ClientDuplex<EventBatch, BatchAck>>

export interface SinkOptions {
  readonly node: string
  /** Undefined where `signal` aborted first. */
  readonly connect: (signal: AbortSignal) => Promise<SinkConnection | undefined>
  readonly clock: Clock
  readonly backoff: Backoff
  readonly capacity?: Readonly<Record<EventKind, number>>
  readonly onLost?: (end: StreamEnd, delayMs: number) => void
  /** Events that found no room here. */
  readonly onLoss?: (where: string, count: number) => void
  /** The relay has begun, or has ceased, to want logs. At first it wants none. */
  readonly onLogsWanted?: () => void
}

export class Sink {
  readonly #options: SinkOptions
  readonly #queues: Readonly<Record<EventKind, BoundedQueue<Event>>>
  #losses = new Map<string, number>()
  /** Sent, not acknowledged, oldest first. */
  #pending: EventBatch[] = []
  #wantsLogs = false
  #changed = Promise.withResolvers<void>()

  constructor(options: SinkOptions) {
    this.#options = options
    const capacity = options.capacity ?? CAPACITY
    const queue = (kind: EventKind): BoundedQueue<Event> => new BoundedQueue({ capacity: capacity[kind], drop: 'oldest' })
    this.#queues = { denial: queue('denial'), audit: queue('audit'), message: queue('message'), log: queue('log') }
  }

  /** Never blocks. Where there is no room, the oldest of its kind goes. A log that nobody wants is no loss. */
  push(event: Event, kind: EventKind): void {
    if (kind === 'log' && !this.#wantsLogs) return
    if (!this.#queues[kind].push(event)) {
      const [where, count] = [`agent_buffer/${kind}`, this.#queues[kind].takeDropped()]
      this.lose(where, count)
      this.#options.onLoss?.(where, count)
    }
    this.#notify()
  }

  /** Tells the relay's clients of events that were lost before they came here. */
  lose(where: string, count: number): void {
    if (count === 0) return
    this.#losses.set(where, (this.#losses.get(where) ?? 0) + count)
    this.#notify()
  }

  /** Events that wait. */
  get waiting(): number {
    return this.#sizeOf(KINDS)
  }

  get wantsLogs(): boolean {
    return this.#wantsLogs
  }

  /** Keeps a stream to the relay until `signal` aborts. */
  run(signal: AbortSignal): Promise<void> {
    const { connect, backoff, onLost } = this.#options
    return keepStreaming(connect, (stream, established) => this.#live(stream, established), { backoff, signal, ...(onLost ? { onLost } : {}) })
  }

  async #live(stream: ClientDuplex<EventBatch, BatchAck>, established: () => void): Promise<void> {
    // Sequence numbers start again with the stream.
    this.#pending = this.#pending.map((batch, index) => ({ ...batch, sequence: index + 1 }))
    const acknowledging = this.#readAcks(stream, established)
    void stream.ended.then(() => this.#notify())
    await this.#send(stream)
    await acknowledging
  }

  async #readAcks(stream: ClientDuplex<EventBatch, BatchAck>, established: () => void): Promise<void> {
    let taken = 0
    for await (const { sequence, logs_wanted: wantsLogs } of stream.messages()) {
      // A relay that only says whether it wants logs has taken nothing yet, and may refuse what comes.
      if (sequence > taken) {
        taken = sequence
        established()
        this.#pending = this.#pending.filter((batch) => Number(batch.sequence) > sequence)
      }
      this.#setWantsLogs(wantsLogs)
      // Of the time when it did: nobody is there to miss them.
      if (!wantsLogs) this.#queues.log.takeUpTo(this.#queues.log.size)
      this.#notify()
    }
    // What waits is kept: the next stream says whether it is wanted.
    this.#setWantsLogs(false)
    this.#notify()
  }

  #setWantsLogs(wantsLogs: boolean): void {
    if (wantsLogs === this.#wantsLogs) return
    this.#wantsLogs = wantsLogs
    this.#options.onLogsWanted?.()
  }

  async #send(stream: ClientDuplex<EventBatch, BatchAck>): Promise<void> {
    const again = this.#pending
    // Of all of them: those that the relay takes meanwhile are pending no more.
    let sequence = again.length
    for (const batch of again) await stream.send(batch)
    while (stream.isOpen) {
      const changed = this.#changed.promise
      if (this.#pending.length >= UNACKNOWLEDGED || !this.#hasWork()) {
        await changed
        continue
      }
      if (this.#sizeOf(this.#kinds()) < BATCH_EVENTS) await sleep(this.#options.clock, BATCH_MS)
      // Meanwhile logs may have ceased to be wanted.
      if (!this.#hasWork()) continue
      const batch = this.#takeBatch(++sequence)
      this.#pending.push(batch)
      await stream.send(batch)
    }
  }

  #hasWork(): boolean {
    return this.#sizeOf(this.#kinds()) > 0 || (this.#losses.size > 0 && this.#pending.length < UNACKNOWLEDGED_WITH_LOGS)
  }

  /** Those that the next batch may carry. */
  #kinds(): readonly EventKind[] {
    return this.#wantsLogs && this.#pending.length < UNACKNOWLEDGED_WITH_LOGS ? KINDS : KINDS_BUT_LOGS
  }

  #sizeOf(kinds: readonly EventKind[]): number {
    return kinds.reduce((sum, kind) => sum + this.#queues[kind].size, 0)
  }

  #takeBatch(sequence: number): EventBatch {
    const events: Event[] = []
    for (const kind of this.#kinds()) events.push(...this.#queues[kind].takeUpTo(BATCH_EVENTS - events.length))
    const losses = [...this.#losses].map(([where, count]) => ({ where, count }))
    this.#losses = new Map()
    return { sequence, node: this.#options.node, events, losses }
  }

  #notify(): void {
    this.#changed.resolve()
    this.#changed = Promise.withResolvers<void>()
  }
}
