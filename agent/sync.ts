// SPDX-License-Identifier: Apache-2.0
// The agent's side of NodeSync: says what it is, what runs here and what it holds; carries out what comes back, in order, and acknowledges each
// generation. Enforcement never depends on this stream.
import type { Ack } from '../proto/gen/merlon/v1/Ack.ts'
import type { AgentMessage } from '../proto/gen/merlon/v1/AgentMessage.ts'
import type { Counters } from '../proto/gen/merlon/v1/Counters.ts'
import type { Hello } from '../proto/gen/merlon/v1/Hello.ts'
import type { OperatorMessage__Output as OperatorMessage } from '../proto/gen/merlon/v1/OperatorMessage.ts'
import type { Workload } from '../proto/gen/merlon/v1/Workload.ts'
import type { Backoff } from '../runtime/backoff.ts'
import type { Clock } from '../runtime/clock.ts'
import { keepStreaming, type Connection } from '../runtime/grpc.ts'
import type { ClientDuplex, StreamEnd } from '../runtime/stream.ts'

export type SyncConnection = Connection<ClientDuplex<AgentMessage, OperatorMessage>>

export interface SyncOptions {
  /** `standing`: only once the connection stands. Undefined: `signal` aborted first, or it does not stand. */
  readonly connect: (signal: AbortSignal, standing: boolean) => Promise<SyncConnection | undefined>
  /** Asked for each stream: what is held changes. */
  readonly hello: () => Hello
  /** Carries out one message; generation and latency are added here. */
  readonly apply: (message: OperatorMessage) => Promise<Omit<Ack, 'generation' | 'latency_us'>>
  readonly clock: Clock
  readonly backoff: Backoff
  readonly onLost?: (end: StreamEnd, delayMs: number) => void
}

export class Sync {
  readonly #options: SyncOptions
  readonly #workloads = new Map<string, Workload>()
  #stream: ClientDuplex<AgentMessage, OperatorMessage> | undefined
  #lostAt: number

  constructor(options: SyncOptions) {
    this.#options = options
    this.#lostAt = options.clock.monotonic()
  }

  /** For how long, in milliseconds, the operator has not been there; 0 while it is. */
  get awayMs(): number {
    return this.#stream ? 0 : this.#options.clock.monotonic() - this.#lostAt
  }

  /** Workloads that are new or changed. Kept for the next stream as well. */
  upsert(workloads: readonly Workload[]): void {
    for (const workload of workloads) this.#workloads.set(workload.id ?? '', workload)
    if (workloads.length > 0) void this.#send({ workloads: { full: false, upserted: [...workloads], removed: [] } })
  }

  remove(ids: readonly string[]): void {
    const known = ids.filter((id) => this.#workloads.delete(id))
    if (known.length > 0) void this.#send({ workloads: { full: false, upserted: [], removed: known } })
  }

  /** Dropped while the operator is away: counters are totals, the next ones say it all. */
  report(counters: Counters): void {
    void this.#send({ counters })
  }

  /** An acknowledgement that changed after it was sent: of the canary, which is slower than the rest. */
  acknowledge(ack: Ack): void {
    void this.#send({ ack })
  }

  /** Keeps a stream to the operator until `signal` aborts. */
  run(signal: AbortSignal): Promise<void> {
    const { connect, backoff, onLost } = this.#options
    const next = async (): Promise<SyncConnection | undefined> => this.#takePrepared() ?? (await connect(signal, false))
    return keepStreaming(next, (stream, established) => this.#live(stream, established), { backoff, signal, isNextReady: () => this.#prepared !== undefined, ...(onLost ? { onLost } : {}) })
  }

  /**
   * Moves to a new stream, for which `connect` is called now: with a new certificate, perhaps to another replica. The old stream ends when the new
   * connection stands, and between the two no time passes: nothing is carried out twice or out of order.
   */
  async renew(signal: AbortSignal): Promise<void> {
    const connection = await this.#options.connect(signal, true)
    // Then the old stream is better than none, and whatever ends it brings the new certificate.
    if (!connection) return
    this.#prepared?.close()
    this.#prepared = connection
    this.#candidate?.cancel()
  }

  #takePrepared(): SyncConnection | undefined {
    const prepared = this.#prepared
    this.#prepared = undefined
    return prepared
  }

  async #live(stream: ClientDuplex<AgentMessage, OperatorMessage>, established: () => void): Promise<void> {
    try {
      void stream.send({ hello: this.#options.hello() })
      void stream.send({ workloads: { full: true, upserted: [...this.#workloads.values()], removed: [] } })
      // Changes from here on follow the complete list on the same stream; its order is kept.
      this.#candidate = stream
      for await (const message of stream.messages()) {
        established()
        this.#stream = stream
        await this.#answer(stream, message)
      }
    } finally {
      if (this.#stream) this.#lostAt = this.#options.clock.monotonic()
      this.#candidate = undefined
      this.#stream = undefined
    }
  }

  /** Stands ready to take over. */
  #prepared: SyncConnection | undefined
  /** Connected or about to be. */
  #candidate: ClientDuplex<AgentMessage, OperatorMessage> | undefined

  async #answer(stream: ClientDuplex<AgentMessage, OperatorMessage>, message: OperatorMessage): Promise<void> {
    const { clock, apply } = this.#options
    const start = clock.monotonic()
    const ack = await apply(message)
    await stream.send({ ack: { ...ack, generation: message.generation, latency_us: Math.round((clock.monotonic() - start) * 1000) } })
  }

  async #send(message: AgentMessage): Promise<void> {
    await this.#candidate?.send(message)
  }
}
