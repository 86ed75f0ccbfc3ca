// SPDX-License-Identifier: Apache-2.0
// Findings, as messages to people who follow the relay (feeder.LogService/WatchMessages), and nodes that have left the cluster. What the relay does not take in time is dropped: the status
// and the log have it all.
import { hostname } from 'node:os'
import type { Finding } from '../policy/types.ts'
import type { BatchAck__Output as BatchAck } from '../proto/gen/merlon/v1/BatchAck.ts'
import type { EventBatch } from '../proto/gen/merlon/v1/EventBatch.ts'
import { encodeFeederMessage, EventSink } from '../proto/load.ts'
import { Backoff } from '../runtime/backoff.ts'
import type { Clock } from '../runtime/clock.ts'
import { connectAt, type Target } from '../runtime/connect.ts'
import { keepStreaming, type Connection } from '../runtime/grpc.ts'
import type { Logger } from '../runtime/log.ts'
import { BoundedQueue } from '../runtime/queue.ts'
import { Seats } from '../runtime/seats.ts'
import { clientDuplex, type ClientDuplex, type StreamEnd } from '../runtime/stream.ts'

export interface MessagesOptions {
  /** The EventSink of every relay. */
  readonly relay: Target
  readonly clock: Clock
  readonly logger: Logger
  readonly random: () => number
  readonly signal: AbortSignal
}

const WAITING_MAX = 1000

/** What there is to say to all relays. */
export class Messages {
  readonly #options: MessagesOptions
  readonly #seats: Seats<Herald>

  constructor(options: MessagesOptions) {
    const { relay, clock } = options
    this.#options = options
    this.#seats = new Seats({
      addresses: () => relay.endpoints.all(),
      clock,
      open: (address) => new Herald(options, address),
      keep: (herald, signal) => herald.run(signal),
    })
  }

  add(finding: Finding): void {
    const now = this.#options.clock.now()
    const payload = encodeFeederMessage({
      Timestamp: Math.floor(now / 1000),
      UpdatedTime: new Date(now).toISOString(),
      HostName: hostname(),
      Type: 'Policy',
      Level: finding.severity === 'error' ? 'ERROR' : 'WARN',
      Message: sentenceOf(finding),
    })
    this.#tell({ events: [{ type: 'MESSAGE', payload, time_unix_ns: `${now}000000` }] })
  }

  /** It has left the cluster: relays need not miss its events. */
  depart(node: string): void {
    this.#tell({ gone_nodes: [node] })
  }

  #tell(batch: EventBatch): void {
    for (const herald of this.#seats.all) herald.add({ node: hostname(), about_policies: true, ...batch })
  }

  /** Lives until `signal` aborts. */
  run(): Promise<void> {
    return this.#seats.run(this.#options.signal)
  }
}

/** Says it to one relay. */
class Herald {
  readonly #options: MessagesOptions
  readonly #address: () => Promise<string | undefined>
  readonly #queue = new BoundedQueue<EventBatch>({ capacity: WAITING_MAX, drop: 'oldest' })
  /** Sent, or about to be, and not acknowledged yet. */
  #current: EventBatch | undefined
  #sequence = 0

  constructor(options: MessagesOptions, address: () => Promise<string | undefined>) {
    this.#options = options
    this.#address = address
  }

  add(batch: EventBatch): void {
    this.#queue.push(batch)
  }

  async run(signal: AbortSignal): Promise<void> {
    const { clock, random, logger, relay } = this.#options
    const backoff = new Backoff({ baseMs: 200, capMs: 10_000, clock, random })
    const onLost = (end: StreamEnd, delayMs: number): void => logger.debug('Lost the relay', { ...end, delayMs })
    const connect = async (): Promise<Connection<ClientDuplex<EventBatch, BatchAck>> | undefined> => {
      const client = await connectAt(EventSink, { ...relay, address: this.#address }, signal)
      return client && { stream: clientDuplex(client.Push()), close: () => client.close() }
    }
    await keepStreaming(connect, (stream, established) => this.#live(stream, established), { backoff, signal, onLost })
  }

  async #live(stream: ClientDuplex<EventBatch, BatchAck>, established: () => void): Promise<void> {
    const over = new AbortController()
    let answered = (_isTaken: boolean): void => {}
    void stream.ended.then(() => {
      over.abort()
      answered(false)
    })
    // One at a time: findings are few, and none is given up before the relay has acknowledged it.
    this.#sequence = 0
    const acks = (async () => {
      for await (const { sequence } of stream.messages()) {
        // A relay also says whether logs are wanted: that acknowledges nothing.
        if (sequence === 0 || sequence < this.#sequence) continue
        established()
        answered(true)
      }
    })()
    while (this.#current || (await this.#queue.ready(over.signal))) {
      this.#current ??= this.#queue.shift()
      const done = new Promise<boolean>((resolve) => { answered = resolve })
      if (!(await stream.send({ ...this.#current, sequence: ++this.#sequence, losses: this.#losses() }))) break
      if (!(await done)) break
      this.#current = undefined
    }
    stream.cancel()
    await acks
  }

  #losses(): { where: string; count: number }[] {
    const count = this.#queue.takeDropped()
    return count > 0 ? [{ where: 'operator_buffer', count }] : []
  }
}

function sentenceOf({ code, message, position, text, hint }: Finding): string {
  const place = position.file === '' ? '' : position.line === 0 ? `${position.file}: ` : `${position.file}:${position.line}:${position.column}: `
  return `${place}${message}${text === '' ? '' : ` ("${text}")`} [${code}]: ${hint}`
}
