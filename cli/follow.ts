// SPDX-License-Identifier: Apache-2.0
// The event streams of a relay, or of anything that speaks KubeArmor's LogService, over and over until told to stop.
import type { ChannelCredentials, ClientReadableStream } from '@grpc/grpc-js'
import { LogService } from '../proto/load.ts'
import { keepConnected, isReady, openClient } from '../runtime/grpc.ts'
import { clientReader, type StreamEnd } from '../runtime/stream.ts'
import type { Backoff } from '../runtime/backoff.ts'
import type { ShownEvent } from './event-line.ts'

export type Filter = 'policy' | 'system' | 'all'

export interface FollowOptions {
  readonly address: string
  /** Absent: plaintext. */
  readonly credentials?: ChannelCredentials
  readonly filter: Filter
  readonly signal: AbortSignal
  readonly backoff: Backoff
  readonly onEvent: (event: ShownEvent) => void
  /** Connections, losses, missing nodes: sentences. */
  readonly onNotice: (text: string) => void
}

const CONNECT_MS = 3000

/** Returns when `signal` aborts. Connections that fail or end are tried again. */
export async function follow(options: FollowOptions): Promise<void> {
  const { address, onNotice } = options
  await keepConnected((established) => session(options, established), {
    backoff: options.backoff,
    signal: options.signal,
    onLost: (end, delayMs) => {
      const why = end.ok ? 'the relay ended the stream' : end.message
      onNotice(`No connection to ${address} (${why}); trying again in ${(delayMs / 1000).toFixed(1)} s`)
    },
  })
}

async function session(options: FollowOptions, established: () => void): Promise<StreamEnd> {
  const { address, credentials, filter, signal, onNotice } = options
  const client = openClient(LogService, address, credentials)
  try {
    if (!(await isReady(client, CONNECT_MS))) return { ok: false, code: 14, message: 'nothing answers there: is merlon up running?' }
    const streams: Promise<StreamEnd>[] = []
    const cancels: (() => void)[] = []
    const open = <T>(call: ClientReadableStream<T>, each: (message: T) => void): void => {
      const reader = clientReader(call)
      cancels.push(() => reader.cancel())
      streams.push(readAll(reader, each))
    }
    // Messages first: what is missing or lost is to be known before the first event.
    open(client.WatchMessages({ Filter: 'all' }), ({ Level, Message }) => onNotice(`${Level}: ${Message}`))
    if (filter !== 'system') open(client.WatchAlerts({ Filter: filter }), options.onEvent)
    if (filter !== 'policy') open(client.WatchLogs({ Filter: filter }), options.onEvent)
    const stop = (): void => {
      for (const cancel of cancels) cancel()
    }
    signal.addEventListener('abort', stop, { once: true })
    if (signal.aborted) stop()
    // As KubeArmor's clients do it: when the answer comes, the relay has seen the streams that were opened before it.
    if (await echoes(client)) {
      established()
      onNotice(`Connected to ${address}`)
    } else stop()
    const end = await Promise.race(streams)
    signal.removeEventListener('abort', stop)
    stop()
    return end
  } finally {
    client.close()
  }
}

/** Whether a HealthCheck comes back as it went. */
function echoes(client: InstanceType<typeof LogService>): Promise<boolean> {
  return new Promise((resolve) => {
    client.HealthCheck({ nonce: 32_767 }, { deadline: Date.now() + CONNECT_MS }, (error, reply) => resolve(error === null && reply?.Retval === 32_767))
  })
}

async function readAll<T>(reader: { messages(): AsyncGenerator<T>; readonly ended: Promise<StreamEnd> }, each: (message: T) => void): Promise<StreamEnd> {
  for await (const message of reader.messages()) each(message)
  return reader.ended
}
