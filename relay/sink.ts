// SPDX-License-Identifier: Apache-2.0
// merlon.v1.EventSink: agents push batches, each is acknowledged once its events are with the subscribers' queues.
import { status, type ServerDuplexStream, type UntypedServiceImplementation } from '@grpc/grpc-js'
import type { BatchAck } from '../proto/gen/merlon/v1/BatchAck.ts'
import type { EventBatch__Output as EventBatch } from '../proto/gen/merlon/v1/EventBatch.ts'
import type { Hub } from './hub.ts'
import type { Nodes } from './nodes.ts'
import { FEED_OF_TYPE } from './wire.ts'

type Stream = ServerDuplexStream<EventBatch, BatchAck>

/** Streams that are open, so that a shutdown can end them. */
export interface Sink {
  readonly implementation: UntypedServiceImplementation
  end(): void
}

export function eventSink(hub: Hub, nodes: Nodes): Sink {
  const open = new Set<Stream>()
  const push = (stream: Stream): void => {
    open.add(stream)
    receive(stream, hub, nodes, () => open.delete(stream))
  }
  return {
    implementation: { Push: push },
    end: () => {
      for (const stream of open) stream.end()
    },
  }
}

function receive(stream: Stream, hub: Hub, nodes: Nodes, onEnd: () => void): void {
  let node: string | undefined
  let sequence = 0
  let ended = false
  const leave = (): void => {
    if (ended) return
    ended = true
    if (node !== undefined) nodes.leave(node)
    onEnd()
  }
  const refuse = (code: status, details: string): void => {
    stream.emit('error', { code, details })
    leave()
  }
  stream.on('data', (batch: EventBatch) => {
    if (ended) return
    if (batch.node === '') return refuse(status.INVALID_ARGUMENT, 'MERLON_RELAY_NO_NODE: the batch does not name its node')
    if (batch.sequence !== sequence + 1) {
      const details = `MERLON_RELAY_BAD_SEQUENCE: expected batch ${sequence + 1} of this stream, got ${batch.sequence}`
      return refuse(status.INVALID_ARGUMENT, details)
    }
    sequence = batch.sequence
    if (node === undefined) {
      node = batch.node
      nodes.arrive(node)
    }
    publish(batch, hub)
    // A client that does not read its acknowledgements gets no more read from it either.
    if (!stream.write({ sequence })) {
      stream.pause()
      stream.once('drain', () => stream.resume())
    }
  })
  stream.on('end', () => {
    stream.end()
    leave()
  })
  stream.on('cancelled', leave)
  stream.on('close', leave)
  stream.on('error', leave)
}

function publish(batch: EventBatch, hub: Hub): void {
  let unknown = 0
  for (const event of batch.events) {
    const feed = FEED_OF_TYPE[event.type]
    if (feed === undefined) unknown += 1
    else hub.publish(feed, event.payload)
  }
  for (const loss of batch.losses) {
    hub.announce('WARN', `Lost ${loss.count} events on node ${batch.node} (${loss.where}): more happened than could be carried`, batch.node)
  }
  if (unknown > 0) {
    hub.announce('ERROR', `Lost ${unknown} events of node ${batch.node}: of a type that this relay does not know, it is older than the agent`, batch.node)
  }
}
