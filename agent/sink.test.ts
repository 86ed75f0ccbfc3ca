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

function start(capacity?: Readonly<Record<EventKind, number>>, prepare: (stream: FakeDuplex<EventBatch, BatchAck>, index: number) => void = () => {}) {
  const clock = new SimulatedClock()
  const streams: FakeDuplex<EventBatch, BatchAck>[] = []
  const abort = new AbortController()
  const delays: number[] = []
  const wanted: boolean[] = []
  const sink: Sink = new Sink({
    node: 'n1', clock, backoff: new Backoff({ baseMs: 100, capMs: 1000, clock, random: () => 0.5 }), ...(capacity ? { capacity } : {}),
    onLost: (_end, delay) => { delays.push(delay) },
    onLogsWanted: () => { wanted.push(sink.wantsLogs) },
    connect: async () => {
      const stream = new FakeDuplex<EventBatch, BatchAck>()
      prepare(stream, streams.push(stream) - 1)
      return { stream, close: () => {} }
    },
  })
  const run = sink.run(abort.signal)
  const pass = async (ms: number): Promise<void> => { await settle(); clock.advance(ms); await settle() }
  return { clock, streams, sink, delays, wanted, pass, stop: async () => { abort.abort(); await pass(0); await run } }
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

test('an acknowledgement that comes while the rest is sent again changes no number: the relay refuses one that is not the next', async () => {
  let drain = (): void => {}
  const { streams, sink, pass, stop } = start(undefined, (stream, index) => { if (index === 1) drain = stream.fill() })
  for (const name of ['a', 'b', 'c']) {
    sink.push(event(name), 'denial')
    await pass(5)
  }
  streams[0]?.end()
  await pass(50)
  assert.deepEqual(carried(streams[1]), ['a'], 'and the rest waits for room')
  streams[1]?.deliver({ sequence: 1, logs_wanted: false })
  await settle()
  drain()
  await settle()
  sink.push(event('d'), 'denial')
  await pass(5)
  assert.deepEqual([carried(streams[1]), streams[1]?.sent.map((batch) => batch.sequence)], [['a', 'b', 'c', 'd'], [1, 2, 3, 4]])
  await stop()
})

test('while the relay is away the oldest go, each kind by itself, and the count follows', async () => {
  const { streams, sink, pass, stop } = start({ denial: 2, audit: 3, message: 1, log: 2 })
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

test('logs go only while the relay wants them', async () => {
  const { streams, sink, wanted, pass, stop } = start()
  await pass(0)
  sink.push(event('before'), 'log')
  assert.equal(sink.waiting, 0)
  streams[0]?.deliver({ sequence: 0, logs_wanted: true })
  await pass(0)
  sink.push(event('wanted'), 'log')
  await pass(5)
  streams[0]?.deliver({ sequence: 1, logs_wanted: true })
  sink.push(event('late'), 'log')
  // Both are taken up before the batch with the log is made.
  streams[0]?.deliver({ sequence: 1, logs_wanted: false })
  await pass(5)
  assert.equal(sink.waiting, 0)
  sink.push(event('after'), 'log')
  sink.push(event('denial'), 'denial')
  await pass(5)
  assert.deepEqual(carried(streams[0]), ['wanted', 'denial'])
  assert.deepEqual(streams[0]?.sent.map(({ losses }) => losses), [[], []])
  assert.deepEqual(wanted, [true, false])
  await stop()
})

test('a relay whose stream ends wants no logs until it says so again; what waits for it is kept until then', async () => {
  const { streams, sink, wanted, pass, stop } = start()
  await pass(0)
  streams[0]?.deliver({ sequence: 0, logs_wanted: true })
  await settle()
  sink.push(event('kept'), 'log')
  streams[0]?.end()
  await settle()
  sink.push(event('meanwhile'), 'log')
  assert.deepEqual(wanted, [true, false])
  await pass(50)
  await pass(5)
  assert.deepEqual(carried(streams[1]), [])
  streams[1]?.deliver({ sequence: 0, logs_wanted: true })
  await pass(5)
  assert.deepEqual(carried(streams[1]), ['kept'])
  assert.deepEqual(wanted, [true, false, true])
  await stop()
})

test('a relay that says whether it wants logs has taken nothing by that, nor proved that it works', async () => {
  const { streams, sink, delays, pass, stop } = start()
  sink.push(event('a'), 'denial')
  for (const [index, delay] of [50, 100, 200].entries()) {
    streams[index]?.deliver({ sequence: 0, logs_wanted: true })
    await pass(5)
    assert.deepEqual(carried(streams[index]), ['a'])
    streams[index]?.end()
    await pass(delay)
  }
  assert.deepEqual(delays, [50, 100, 200])
  await stop()
})

test('a flood of logs keeps nothing else waiting, and only its own overflow is lost', async () => {
  const { streams, sink, pass, stop } = start()
  await pass(0)
  streams[0]?.deliver({ sequence: 0, logs_wanted: true })
  await settle()
  const flood = async (count: number): Promise<void> => {
    for (let index = 0; index < count; index++) sink.push(event('log'), 'log')
    await pass(5)
  }
  await flood(64 * 16)
  // The relay takes nothing: the flood waits at half of the way, and goes on growing.
  for (let round = 0; round < 50; round++) await flood(100)
  assert.equal(streams[0]?.sent.length, 16)
  assert.equal(sink.waiting, 4096)
  for (const [name, kind] of [['message', 'message'], ['audit', 'audit'], ['denial', 'denial']] as const) sink.push(event(name), kind)
  await pass(5)
  assert.deepEqual(carried(streams[0]).slice(16), ['denial audit message'])
  assert.deepEqual(streams[0]?.sent[16]?.losses, [{ where: 'agent_buffer/log', count: 5000 - 4096 }])
  sink.push(event('next'), 'denial')
  // Where the way is free again, what else there is goes first.
  streams[0]?.deliver({ sequence: 17, logs_wanted: true })
  await pass(5)
  assert.equal(carried(streams[0])[17], ['next', ...Array.from({ length: 63 }, () => 'log')].join(' '))
  await stop()
})
