// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { BatchAck__Output as BatchAck } from '../proto/gen/merlon/v1/BatchAck.ts'
import type { EventBatch } from '../proto/gen/merlon/v1/EventBatch.ts'
import { Backoff } from '../runtime/backoff.ts'
import { SimulatedClock } from '../runtime/clock.ts'
import { Events } from './relays.ts'
import type { EventKind } from './sink.ts'
import { FakeDuplex, settle } from './testing/duplex.ts'

function start(...addresses: readonly string[]) {
  const clock = new SimulatedClock(1)
  const streams = new Map<string, FakeDuplex<EventBatch, BatchAck>>()
  const losses: string[] = []
  const wanted: boolean[] = []
  const abort = new AbortController()
  const world = { addresses }
  const events = new Events({
    node: 'n1', clock, backoff: () => new Backoff({ baseMs: 100, capMs: 1000, clock, random: () => 0.5 }), capacity: { denial: 2, audit: 2, message: 2, log: 2 },
    onLoss: (where, count) => { losses.push(`${where} ${count}`) },
    onLogsWanted: (any) => { wanted.push(any) },
    relays: {
      addresses: () => Promise.resolve(world.addresses),
      connect: async (find) => {
        const address = await find()
        if (address === undefined) return undefined
        const stream = new FakeDuplex<EventBatch, BatchAck>()
        streams.set(address, stream)
        return { stream, close: () => {} }
      },
    },
  })
  const run = events.run(abort.signal)
  const pass = async (ms: number): Promise<void> => { await settle(); clock.advance(ms); await settle() }
  const push = (name: string, kind: EventKind = 'denial'): void => events.push({ type: kind === 'log' ? 'LOG' : 'ALERT', payload: Buffer.from(name) }, kind)
  const carried = (address: string): readonly string[] => (streams.get(address)?.sent ?? []).flatMap(({ events: all = [] }) => all.map(({ payload }) => Buffer.from(payload as Uint8Array).toString()))
  return { world, streams, losses, wanted, events, push, pass, carried, stop: async () => { abort.abort(); await pass(0); await run } }
}

test('every relay gets every event, and one that is slow keeps nothing from the others', async () => {
  const { streams, push, pass, carried, losses, events, stop } = start('a', 'b')
  await pass(0)
  push('1')
  await pass(5)
  assert.deepEqual([carried('a'), carried('b')], [['1'], ['1']])
  streams.get('b')?.end()
  await settle()
  for (const name of ['2', '3', '4']) {
    push(name)
    streams.get('a')?.deliver({ sequence: 1, logs_wanted: false })
    await pass(5)
  }
  assert.deepEqual(carried('a'), ['1', '2', '3', '4'])
  assert.deepEqual(losses, ['agent_buffer/denial 1'])
  assert.equal(events.waiting, 2)
  await pass(100)
  await pass(5)
  // What was not acknowledged, then what fitted; what did not is told.
  assert.deepEqual(carried('b'), ['1', '3', '4'])
  assert.deepEqual(streams.get('b')?.sent.at(-1)?.losses, [{ where: 'agent_buffer/denial', count: 1 }])
  await stop()
})

test('a relay that replaces another gets what that one did not', async () => {
  const { world, streams, push, pass, carried, stop } = start('old')
  await pass(0)
  streams.get('old')?.end()
  await settle()
  push('meanwhile')
  world.addresses = ['new']
  await pass(100)
  await pass(5)
  assert.deepEqual(carried('new'), ['meanwhile'])
  await stop()
})

test('a loss is told to every relay and counted once', async () => {
  const { streams, events, pass, losses, stop } = start('a', 'b')
  await pass(0)
  events.lose('denials_ring', 7)
  await pass(5)
  for (const stream of streams.values()) assert.deepEqual(stream.sent[0]?.losses, [{ where: 'denials_ring', count: 7 }])
  assert.deepEqual([streams.size, losses], [2, ['denials_ring 7']])
  await stop()
})

test('logs go to the relays that want them, and are wanted as long as one does', async () => {
  const { streams, push, pass, carried, wanted, stop } = start('a', 'b')
  await pass(0)
  const say = async (address: string, logsWanted: boolean, sequence = 0): Promise<void> => {
    streams.get(address)?.deliver({ sequence, logs_wanted: logsWanted })
    await settle()
  }
  await say('a', false)
  assert.deepEqual(wanted, [])
  await say('a', true)
  push('first', 'log')
  await pass(5)
  assert.deepEqual([carried('a'), carried('b')], [['first'], []])
  await say('b', true)
  await say('a', true, 1)
  await say('a', false, 1)
  assert.deepEqual(wanted, [true])
  push('second', 'log')
  push('denial')
  await pass(5)
  assert.deepEqual([carried('a'), carried('b')], [['first', 'denial'], ['denial', 'second']])
  streams.get('b')?.end()
  await settle()
  assert.deepEqual(wanted, [true, false])
  await stop()
})

test('who stops wants no logs any more', async () => {
  const { streams, pass, wanted, stop } = start('a')
  await pass(0)
  streams.get('a')?.deliver({ sequence: 0, logs_wanted: true })
  await settle()
  await stop()
  assert.deepEqual(wanted, [true, false])
})
