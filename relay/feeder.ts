// SPDX-License-Identifier: Apache-2.0
// KubeArmor's feeder.LogService as its clients know it: filters, HealthCheck, live streams without history.
import type { ServerWritableStream, UntypedServiceImplementation, handleUnaryCall } from '@grpc/grpc-js'
import type { Hub } from './hub.ts'
import type { Nodes } from './nodes.ts'
import type { Subscriber } from './subscriber.ts'
import type { FeedName, Payload } from './wire.ts'

interface Request {
  readonly Filter: string
}

type Stream = ServerWritableStream<Request, Payload>

// KubeArmor ends a stream with any other filter at once and without an error; its clients count on that.
const FILTERS: Readonly<Record<FeedName, readonly string[] | 'any'>> = {
  alerts: ['all', 'policy'],
  logs: ['all', 'system'],
  messages: 'any',
}

export function feederImplementation(hub: Hub, nodes: Nodes): UntypedServiceImplementation {
  const healthCheck: handleUnaryCall<{ readonly nonce: number }, { readonly Retval: number }> = (call, reply) => {
    reply(null, { Retval: call.request.nonce })
  }
  return {
    HealthCheck: healthCheck,
    WatchAlerts: (stream: Stream) => void watch(hub, 'alerts', stream),
    WatchLogs: (stream: Stream) => void watch(hub, 'logs', stream),
    WatchMessages: (stream: Stream) => {
      const subscriber = watch(hub, 'messages', stream)
      // Whoever begins to watch learns what is missing now, not only what changes from here on.
      for (const node of nodes.missing) subscriber?.offer(hub.message('WARN', `Node ${node} is missing: no event stream from it`, node))
    },
  }
}

function watch(hub: Hub, feed: FeedName, stream: Stream): Subscriber | undefined {
  const filters = FILTERS[feed]
  if (filters !== 'any' && !filters.includes(stream.request.Filter)) {
    stream.end()
    return undefined
  }
  const subscriber = hub.subscribe(feed, stream.getPeer(), stream)
  const leave = (): void => hub.unsubscribe(subscriber)
  stream.on('cancelled', leave)
  stream.on('close', leave)
  stream.on('error', leave)
  return subscriber
}
