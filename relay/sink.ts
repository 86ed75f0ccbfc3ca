// SPDX-License-Identifier: Apache-2.0
// merlon.v1.EventSink: agents push batches, each is acknowledged once its events are with the subscribers' queues. Agents hear as well whether anybody
// follows logs.
import { status, type ServerDuplexStream, type UntypedServiceImplementation } from '@grpc/grpc-js'
import type { BatchAck } from '../proto/gen/merlon/v1/BatchAck.ts'
import type { EventBatch__Output as EventBatch } from '../proto/gen/merlon/v1/EventBatch.ts'
import { Acks } from './acks.ts'
import type { Hub } from './hub.ts'
import type { Nodes } from './nodes.ts'
import { FEED_OF_TYPE, VERDICT_BLOCK } from './wire.ts'

export type Stream = ServerDuplexStream<EventBatch, BatchAck>

/** Streams that are open, so that a shutdown can end them. */
export interface Sink {
  readonly implementation: UntypedServiceImplementation
  end(): void
}

/** Who is at the other end of a stream, by its certificate. */
export type Sender =
  /** The batches of one node, and no other's. */
  | { readonly kind: 'agent'; readonly node: string }
  /** The operator speaks of any. */
  | { readonly kind: 'operator' }

/** Undefined: nobody that we know. */
export type SenderOf = (stream: Stream) => Sender | undefined

/** `senderOf` is absent where the transport is plaintext: then a sender is what it says. */
export function eventSink(hub: Hub, nodes: Nodes, senderOf?: SenderOf): Sink {
  const open = new Set<Stream>()
  const push = (stream: Stream): void => {
    const sender: Sender | undefined = senderOf ? senderOf(stream) : { kind: 'operator' }
    if (!sender) {
      stream.emit('error', { code: status.UNAUTHENTICATED, details: 'MERLON_RELAY_NO_CERTIFICATE: events are taken from agents and operators that have a certificate: enrol first' })
      return
    }
    open.add(stream)
    receive(stream, { hub, nodes, sender }, () => open.delete(stream))
  }
  return {
    implementation: { Push: push },
    end: () => {
      for (const stream of open) stream.end()
    },
  }
}

interface Receiving {
  readonly hub: Hub
  readonly nodes: Nodes
  readonly sender: Sender
}

function receive(stream: Stream, { hub, nodes, sender }: Receiving, onEnd: () => void): void {
  const acks = new Acks(stream, hub.demand)
  let node: string | undefined
  let ended = false
  const arrive = (name: string): void => {
    node = name
    nodes.arrive(name)
  }
  const leave = (): void => {
    if (ended) return
    ended = true
    acks.close()
    if (node !== undefined) nodes.leave(node)
    onEnd()
  }
  const refuse = (code: status, details: string): void => {
    stream.emit('error', { code, details })
    leave()
  }
  // A peaceful node may have nothing to send for days, and is to be missed all the same.
  if (sender.kind === 'agent') arrive(sender.node)
  stream.on('data', (batch: EventBatch) => {
    if (ended) return
    if (batch.node === '') return refuse(status.INVALID_ARGUMENT, 'MERLON_RELAY_NO_NODE: the batch does not name its node')
    if (sender.kind === 'agent' && sender.node !== batch.node) {
      return refuse(status.PERMISSION_DENIED, `MERLON_RELAY_NOT_YOUR_NODE: this certificate is for node "${sender.node}", not for "${batch.node}"`)
    }
    if (sender.kind === 'agent' && batch.gone_nodes.length > 0) {
      return refuse(status.PERMISSION_DENIED, `MERLON_RELAY_NOT_YOUR_NODE: this certificate is for node "${sender.node}", and which nodes have left the cluster an operator says`)
    }
    if (batch.sequence !== acks.sequence + 1) {
      const details = `MERLON_RELAY_BAD_SEQUENCE: expected batch ${acks.sequence + 1} of this stream, got ${batch.sequence}`
      return refuse(status.INVALID_ARGUMENT, details)
    }
    if (node === undefined && !batch.about_policies) arrive(batch.node)
    publish(batch, hub)
    for (const gone of batch.gone_nodes) nodes.depart(gone)
    acks.acknowledge(batch.sequence)
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
    else hub.publish(feed, event.payload, event.verdict === VERDICT_BLOCK)
  }
  for (const loss of batch.losses) {
    hub.announce('WARN', `Lost ${loss.count} events on node ${batch.node} (${loss.where}): more happened than could be carried`, batch.node)
  }
  if (unknown > 0) {
    hub.announce('ERROR', `Lost ${unknown} events of node ${batch.node}: of a type that this relay does not know, it is older than the agent`, batch.node)
  }
}
