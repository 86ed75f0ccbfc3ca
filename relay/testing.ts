// SPDX-License-Identifier: Apache-2.0
// Real gRPC peers for the relay's tests: an agent that pushes and a client that watches, both waited for by events, never by time.
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { fileURLToPath } from 'node:url'
import { Client, credentials, type ClientDuplexStream, type ClientReadableStream, type MethodDefinition, type ServiceError } from '@grpc/grpc-js'
import { loadSync } from '@grpc/proto-loader'
import { SimulatedClock } from '../runtime/clock.ts'
import { createLogger } from '../runtime/log.ts'
import { startRelay, type Relay, type RelayOptions } from './server.ts'
import type { FeedName } from './wire.ts'

const definitions = loadSync(['feeder/kubearmor.proto', 'merlon/v1/events.proto'], {
  includeDirs: [fileURLToPath(new URL('../proto', import.meta.url))],
  keepCase: true,
  longs: Number,
  defaults: true,
})

/** A method as KubeArmor's clients have it: not the relay's own definition, whose answers are not encoded. */
export function method(service: string, name: string): MethodDefinition<object, object> {
  return (definitions[service] as unknown as Record<string, MethodDefinition<object, object>>)[name] as MethodDefinition<object, object>
}

export function connect(address: string): Client {
  return new Client(address, credentials.createInsecure())
}

const METHOD_OF_FEED: Readonly<Record<FeedName, string>> = { alerts: 'WatchAlerts', logs: 'WatchLogs', messages: 'WatchMessages' }

/** One event stream of a client, as bytes, with a queue that a test takes from. */
export class Watcher {
  readonly stream: ClientReadableStream<Buffer>
  readonly received: Buffer[] = []
  readonly ended: Promise<number>
  #waiting: { readonly count: number; readonly resolve: () => void }[] = []

  constructor(client: Client, feed: FeedName, filter: string) {
    const { path, requestSerialize } = method('feeder.LogService', METHOD_OF_FEED[feed])
    this.stream = client.makeServerStreamRequest(path, requestSerialize, (bytes) => bytes, { Filter: filter })
    this.ended = new Promise((resolve) => this.stream.on('status', ({ code }) => resolve(code)))
    this.stream.on('error', () => {})
    this.stream.on('data', (bytes: Buffer) => {
      this.received.push(bytes)
      for (const wait of this.#waiting) if (this.received.length >= wait.count) wait.resolve()
    })
  }

  /** Resolves once this many events have come in all. */
  async count(count: number): Promise<readonly Buffer[]> {
    if (this.received.length < count) await new Promise<void>((resolve) => this.#waiting.push({ count, resolve }))
    return this.received
  }

  /** The next feeder.Message (from `from` on) that contains `text`. */
  async message(text: string, from = 0): Promise<Record<string, unknown>> {
    for (let at = from; ; at += 1) {
      await this.count(at + 1)
      const message = method('feeder.LogService', 'WatchMessages').responseDeserialize(this.received[at] as Buffer) as Record<string, unknown>
      if (String(message['Message']).includes(text)) return message
    }
  }
}

interface Heard {
  readonly sequence: number
  readonly logs_wanted: boolean
}

/** An agent's stream. */
export class Pusher {
  readonly stream: ClientDuplexStream<object, Heard>
  readonly ended: Promise<ServiceError | undefined>
  readonly heard: Heard[] = []
  #notify: (() => void) | undefined
  #sequence = 0
  readonly #acks = new Map<number, () => void>()

  constructor(client: Client) {
    const { path, requestSerialize, responseDeserialize } = method('merlon.v1.EventSink', 'Push')
    this.stream = client.makeBidiStreamRequest(path, requestSerialize, responseDeserialize as (bytes: Buffer) => Heard)
    this.ended = new Promise((resolve) => {
      this.stream.on('error', resolve)
      this.stream.on('end', () => resolve(undefined))
    })
    this.stream.on('data', (heard: Heard) => {
      this.heard.push(heard)
      this.#acks.get(heard.sequence)?.()
      this.#notify?.()
    })
  }

  /** Resolves with what the relay has said in all, once it is so much. */
  async hear(count: number): Promise<readonly (readonly [sequence: number, logsWanted: boolean])[]> {
    while (this.heard.length < count) await new Promise<void>((resolve) => { this.#notify = resolve })
    return this.heard.map(({ sequence, logs_wanted: wanted }) => [sequence, wanted] as const)
  }

  /** Sends a batch and resolves with its acknowledgement. */
  async push(batch: { readonly node?: string; readonly about_policies?: boolean; readonly events?: readonly object[]; readonly losses?: readonly object[]; readonly gone_nodes?: readonly string[]; readonly sequence?: number }): Promise<void> {
    this.#sequence = batch.sequence ?? this.#sequence + 1
    const acknowledged = new Promise<void>((resolve) => this.#acks.set(this.#sequence, resolve))
    this.stream.write({ node: 'node-1', ...batch, sequence: this.#sequence })
    await acknowledged
  }
}

/** An encoded feeder.Alert. */
export function alert(fields: object): Buffer {
  return method('feeder.LogService', 'WatchAlerts').responseSerialize(fields)
}

/** An encoded feeder.Log. */
export function log(fields: object): Buffer {
  return method('feeder.LogService', 'WatchLogs').responseSerialize(fields)
}

export function readLog(bytes: Buffer): Record<string, unknown> {
  return method('feeder.LogService', 'WatchLogs').responseDeserialize(bytes) as Record<string, unknown>
}

export interface Setup {
  readonly relay: Relay
  readonly client: Client
  readonly agent: Client
  readonly logged: string[]
  readonly clock: SimulatedClock
}

/** A relay that ends with the test, a client of each of its sides, and its log. */
export async function setUp(context: TestContext, changes: Partial<RelayOptions> = {}): Promise<Setup> {
  const directory = await mkdtemp(join(tmpdir(), 'merlon-relay-'))
  const logged: string[] = []
  const clock = new SimulatedClock(1_790_000_000_000)
  const relay = await startRelay({
    listen: ['127.0.0.1:0'],
    agents: `unix:${directory}/relay.sock`,
    hostName: 'relay-host',
    logger: createLogger('relay', ({ level, message }) => logged.push(`${level} ${message}`)),
    clock,
    ...changes,
  })
  const client = connect(relay.addresses[0] as string)
  const agent = connect(relay.agentsAddress)
  context.after(async () => {
    client.close()
    agent.close()
    await relay.close()
    await rm(directory, { recursive: true })
  })
  return { relay, client, agent, logged, clock }
}

/** Resolves when the relay knows of this many subscribers: a HealthCheck on the same connection is answered after them. */
export async function subscribed(client: Client, relay: Relay, count: number): Promise<void> {
  while (relay.subscribers !== count) await healthCheck(client, count)
}

export async function healthCheck(client: Client, nonce: number): Promise<number> {
  const { path, requestSerialize, responseDeserialize } = method('feeder.LogService', 'HealthCheck')
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest(path, requestSerialize, responseDeserialize, { nonce }, (error, reply) => {
      if (error !== null) reject(error)
      else resolve((reply as { Retval: number }).Retval)
    })
  })
}
