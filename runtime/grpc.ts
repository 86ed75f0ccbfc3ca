// SPDX-License-Identifier: Apache-2.0
// Servers and channels of gRPC with the settings that the defaults get wrong for long streams.
import { credentials as plain, Server, ServerCredentials, status, type ChannelCredentials, type ChannelOptions, type Client, type ServiceClientConstructor, type ServiceDefinition, type UntypedServiceImplementation } from '@grpc/grpc-js'
import { clearSocket, formatAddress, parseAddress, protectSocket, type Address } from './address.ts'
import type { Backoff } from './backoff.ts'
import type { StreamEnd } from './stream.ts'

/** Larger than any message: a table has at most 16 MiB, and a snapshot carries several. grpc-js's default is 4 MiB. */
const MESSAGE_BYTES_MAX = 256 * 1024 * 1024

/** What a client may send, where its server does not say: requests are small. */
const REQUEST_BYTES_MAX = 4 * 1024 * 1024

const COMMON: ChannelOptions = {
  'grpc.keepalive_time_ms': 20_000,
  'grpc.keepalive_timeout_ms': 10_000,
  'grpc.max_send_message_length': MESSAGE_BYTES_MAX,
}

const SERVER_OPTIONS: ChannelOptions = {
  ...COMMON,
  // Of one connection. Ours need four, a proxy of many people's browsers some more.
  'grpc.max_concurrent_streams': 256,
  // A connection without a stream is of no use to anybody.
  'grpc.max_connection_idle_ms': 120_000,
}

const CLIENT_OPTIONS: ChannelOptions = {
  ...COMMON,
  'grpc.max_receive_message_length': MESSAGE_BYTES_MAX,
  'grpc.keepalive_permit_without_calls': 1,
  // Channels to one address otherwise share connections, and with them the delays after failures: ours is the only backoff.
  'grpc.use_local_subchannel_pool': 1,
  'grpc.initial_reconnect_backoff_ms': 100,
  'grpc.max_reconnect_backoff_ms': 1_000,
  // An http_proxy in the environment is for other things.
  'grpc.enable_http_proxy': 0,
  'grpc.enable_retries': 0,
  // Statistics that nobody asks for. A server keeps them: grpc-js finds the connections that a forced stop must end by them.
  'grpc.enable_channelz': 0,
}

/** Peers are known by the ID in their certificates: the name that TLS sends stands for none of their addresses. */
const SECURE_CLIENT_OPTIONS: ChannelOptions = { ...CLIENT_OPTIONS, 'grpc.ssl_target_name_override': 'merlon' }

export interface Service {
  readonly definition: ServiceDefinition
  readonly implementation: UntypedServiceImplementation
}

export interface ServeOptions {
  /** unix:/path or host:port; port 0 takes a free one. */
  readonly address: string
  readonly services: readonly Service[]
  /** Default: plaintext, which is for sockets of one owner and loopback. */
  readonly credentials?: ServerCredentials
  /** The largest message that is taken from a client. Default: 4 MiB. */
  readonly requestBytesMax?: number
}

export interface RunningServer {
  /** With the port that was taken. */
  readonly address: string
  readonly port: number
  /** Refuses new calls, waits for running ones up to `graceMs`, then cancels them. */
  stop(graceMs: number): Promise<void>
}

/** Throws where the address cannot be used. */
export async function serve(options: ServeOptions): Promise<RunningServer> {
  const address = addressOf(options.address)
  const server = new Server({ ...SERVER_OPTIONS, 'grpc.max_receive_message_length': options.requestBytesMax ?? REQUEST_BYTES_MAX })
  for (const { definition, implementation } of options.services) server.addService(definition, implementation)
  if (address.kind === 'unix') await clearSocket(address.path)
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync(formatAddress(address), options.credentials ?? ServerCredentials.createInsecure(), (error, bound) => {
      if (error) reject(new Error(`Cannot listen on "${options.address}": ${error.message}`, { cause: error }))
      else resolve(bound)
    })
  })
  if (address.kind === 'unix') await protectSocket(address.path)
  return { address: formatAddress(address.kind === 'tcp' ? { ...address, port } : address), port, stop: (graceMs) => stop(server, graceMs) }
}

function stop(server: Server, graceMs: number): Promise<void> {
  return new Promise((resolve) => {
    const force = setTimeout(() => server.forceShutdown(), graceMs)
    server.tryShutdown(() => {
      clearTimeout(force)
      resolve()
    })
  })
}

/** A client of one service on its own connection, in plaintext by default. It connects at its first call; close() it. Throws on a malformed address. */
export function openClient<C extends Client>(constructor: new (...args: ConstructorParameters<ServiceClientConstructor>) => C, address: string, credentials?: ChannelCredentials): C {
  return new constructor(formatAddress(addressOf(address)), credentials ?? plain.createInsecure(), credentials ? SECURE_CLIENT_OPTIONS : CLIENT_OPTIONS)
}

/** Whether the client is connected within `ms`. */
export function isReady(client: Client, ms: number): Promise<boolean> {
  return new Promise((resolve) => client.waitForReady(Date.now() + ms, (error) => resolve(error === undefined)))
}

function addressOf(text: string): Address {
  const parsed = parseAddress(text)
  if (!parsed.ok) throw new Error(parsed.message)
  return parsed.value
}

export interface KeepConnectedOptions {
  readonly backoff: Backoff
  readonly signal: AbortSignal
  /** Whether the next session can begin at once: the last one was ended for it. */
  readonly isNextReady?: () => boolean
  /** After each end, with the wait before the next attempt. */
  readonly onLost?: (end: StreamEnd, delayMs: number) => void
}

/**
 * Runs one session after another until `signal` aborts. A session opens its own client, lives on it, and returns how it ended; it
 * calls `established` once it works, which makes the next wait short again. It must end soon after `signal` aborts.
 */
export async function keepConnected(session: (established: () => void) => Promise<StreamEnd>, options: KeepConnectedOptions): Promise<void> {
  const { backoff, signal, onLost, isNextReady } = options
  while (!signal.aborted) {
    const end = await session(() => backoff.reset())
    if (signal.aborted) return
    if (isNextReady?.()) continue
    const delay = backoff.next()
    onLost?.(end, delay)
    await backoff.wait(signal, delay)
  }
}

/** A client of its own with one stream on it. */
export interface Connection<S extends ClosableStream> {
  readonly stream: S
  close(): void
}

interface ClosableStream {
  readonly ended: Promise<StreamEnd>
  cancel(): void
}

/**
 * As keepConnected(), for sessions that are one stream each: opens a connection, lives on its stream, cancels it when `signal` aborts, and
 * closes the connection whatever happened. `connect` gives undefined where `signal` aborted first. `live` returns when it has read the stream to its end.
 */
export function keepStreaming<S extends ClosableStream>(connect: (signal: AbortSignal) => Promise<Connection<S> | undefined>, live: (stream: S, established: () => void) => Promise<void>, options: KeepConnectedOptions): Promise<void> {
  const { signal } = options
  return keepConnected(async (established) => {
    const connection = await connect(signal)
    if (!connection) return { ok: false, code: status.CANCELLED, message: 'not connected' }
    const { stream } = connection
    if (signal.aborted) stream.cancel()
    const cancel = (): void => stream.cancel()
    signal.addEventListener('abort', cancel, { once: true })
    try {
      await live(stream, established)
      return await stream.ended
    } finally {
      signal.removeEventListener('abort', cancel)
      connection.close()
    }
  }, options)
}
