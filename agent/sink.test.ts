// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { BatchAck__Output as BatchAck } from '../proto/gen/merlon/v1/BatchAck.ts'
import type { Event } from '../proto/gen/merlon/v1/Event.ts'
import type { EventBatch } from '../proto/gen/merlon/v1/EventBatch.ts'
import { Backoff } from '../runtime/backoff.ts'
import { SimulatedClock } from '../runtime/clock.ts'
import { Sink, type EventKind } from './sink.ts'
import { FakeDuplex, settle } from './testing/duplex.ts'

const event = (name: string): Event => ({ type: 'ALERT', payload: Buffer.from(name) })

function start(capacity?: Readonly<Record<EventKind, number>>) {
  const clock = new SimulatedClock()
  const streams: FakeDuplex<EventBatch, BatchAck>[] = []
  const abort = new AbortController()
  const delays: number[] = []
  const sink = new Sink({
    node: 'n1', clock, backoff: new Backoff({ baseMs: 100, capMs: 1000, clock, random: () => 0.5 }), ...(capacity ? { capacity } : {}),
    onLost: (_end, delay) => { delays.push(delay) },
    connect: async () => {
      const stream = new FakeDuplex<EventBatch, BatchAck>()
      streams.push(stream)
      return { stream, close: () => {} }
    },
  })
  const run = sink.run(abort.signal)
  const pass = async (ms: number): Promise<void> => { await settle(); clock.advance(ms); await settle() }
  return { clock, streams, sink, delays, pass, stop: async () => { abort.abort(); await pass(0); await run } }
}

/** What one stream carried: names of events, a batch each. */
const carried = (stream: FakeDuplex<EventBatch, BatchAck> | undefined): string[] =>
  (stream?.sent ?? []).map((batch) => (batch.events ?? []).map((entry) => Buffer.from(entry.payload as Uint8Array).toString()).join(' '))

test('events that come together travel together, after 5 ms', async () => {
  const { streams, sink, pass, stop } = start()
  sink.push(event('a'), 'denial')
  sink.push(event('b'), 'audit')
  await pass(4)
  assert.deepEqual(carried(streams[0]), [])
  await pass(1)
  assert.deepEqual(carried(streams[0]), ['a b'])
  assert.deepEqual([streams[0]?.sent[0]?.sequence, streams[0]?.sent[0]?.node], [1, 'n1'])
  await stop()
})

test('a full batch does not wait', async () => {
  const { streams, sink, pass, stop } = start()
  for (let index = 0; index < 130; index++) sink.push(event('x'), 'audit')
  await pass(0)
  assert.deepEqual(streams[0]?.sent.map((batch) => batch.events?.length), [64, 64])
  await pass(5)
  assert.equal(streams[0]?.sent[2]?.events?.length, 2)
  await stop()
})

test('denials go first', async () => {
  const { streams, sink, pass, stop } = start()
  sink.push(event('audit'), 'audit')
  sink.push(event('denial'), 'denial')
  await pass(5)
  assert.deepEqual(carried(streams[0]), ['denial audit'])
  await stop()
})

test('what was not acknowledged is sent again on the next stream, once it is there', async () => {
  const { streams, sink, pass, delays, stop } = start()
  sink.push(event('a'), 'denial')
  await pass(5)
  sink.push(event('b'), 'denial')
  await pass(5)
  streams[0]?.deliver({ sequence: 1, logs_wanted: false })
  await settle()
  streams[0]?.end()
  await settle()
  sink.push(event('c'), 'denial')
  assert.equal(streams.length, 1)
  assert.deepEqual(delays, [50])
  await pass(50)
  await pass(5)
  assert.deepEqual(carried(streams[1]), ['b', 'c'])
  assert.deepEqual(streams[1]?.sent.map((batch) => batch.sequence), [1, 2])
  await stop()
})

test('while the relay is away the oldest go, each kind by itself, and the count follows', async () => {
  const { streams, sink, pass, stop } = start({ denial: 2, audit: 3, message: 1 })
  await pass(0)
  streams[0]?.end()
  await settle()
  for (const name of ['d1', 'd2', 'd3']) sink.push(event(name), 'denial')
  for (let index = 0; index < 10; index++) sink.push(event(`a${index}`), 'audit')
  sink.lose('denials_ring', 4)
  sink.lose('denials_ring', 3)
  await pass(50)
  await pass(5)
  assert.deepEqual(carried(streams[1]), ['d2 d3 a7 a8 a9'])
  assert.deepEqual(streams[1]?.sent[0]?.losses, [
    { where: 'agent_buffer/denial', count: 1 }, { where: 'agent_buffer/audit', count: 7 }, { where: 'denials_ring', count: 7 },
  ])
  await stop()
})

test('losses are told even when there is no event', async () => {
  const { streams, sink, pass, stop } = start()
  await pass(0)
  sink.lose('events_ring', 9)
  await pass(5)
  assert.deepEqual(streams[0]?.sent.map((batch) => [batch.events, batch.losses]), [[[], [{ where: 'events_ring', count: 9 }]]])
  await stop()
})

test('a relay that does not acknowledge gets 32 batches, then the buffer fills', async () => {
  const { streams, sink, pass, stop } = start()
  for (let index = 0; index < 64 * 40; index++) sink.push(event('x'), 'denial')
  await pass(0)
  assert.equal(streams[0]?.sent.length, 32)
  assert.equal(sink.waiting, 64 * 8)
  streams[0]?.deliver({ sequence: 5, logs_wanted: false })
  await pass(0)
  assert.equal(streams[0]?.sent.length, 37)
  await stop()
})

test('run() ends its stream when it is told to stop', async () => {
  const { streams, pass, stop } = start()
  await pass(0)
  await stop()
  assert.equal(streams[0]?.cancelled, true)
})
