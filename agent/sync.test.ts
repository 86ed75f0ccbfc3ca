// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { AgentMessage } from '../proto/gen/merlon/v1/AgentMessage.ts'
import type { OperatorMessage__Output as OperatorMessage } from '../proto/gen/merlon/v1/OperatorMessage.ts'
import { Backoff } from '../runtime/backoff.ts'
import { SimulatedClock } from '../runtime/clock.ts'
import { Sync } from './sync.ts'
import { FakeDuplex, settle } from './testing/duplex.ts'

const message = (generation: number): OperatorMessage => ({ generation, full: false, tables: [], profiles: [], bindings: [], unbound: [], keep: [] })

function start() {
  const clock = new SimulatedClock()
  const streams: FakeDuplex<AgentMessage, OperatorMessage>[] = []
  const applied: number[] = []
  const abort = new AbortController()
  let held = 'one'
  let reachable = true
  const sync = new Sync({
    clock, backoff: new Backoff({ baseMs: 100, capMs: 1000, clock, random: () => 0.5 }),
    hello: () => ({ node: 'n1', kernel: held }),
    apply: async ({ generation }) => {
      applied.push(generation)
      clock.advance(3)
      return { tables: [], errors: [], canary: null }
    },
    connect: async (_signal, standing) => {
      if (standing && !reachable) return undefined
      const stream = new FakeDuplex<AgentMessage, OperatorMessage>()
      streams.push(stream)
      return { stream, close: () => {} }
    },
  })
  const run = sync.run(abort.signal)
  return { clock, streams, applied, sync, abort, hold: (value: string) => { held = value }, cutOff: () => { reachable = false }, stop: async () => { abort.abort(); await settle(); await run } }
}

/** One word for each message of the agent. */
function words(stream: FakeDuplex<AgentMessage, OperatorMessage> | undefined): string[] {
  return (stream?.sent ?? []).map(({ hello, workloads, ack, counters }) => {
    if (hello) return `hello ${hello.kernel}`
    if (workloads) return `${workloads.full ? 'all' : 'changed'} +${workloads.upserted?.map((entry) => entry.id).join()} -${workloads.removed?.join()}`
    if (ack) return `ack ${String(ack.generation)} ${String(ack.latency_us)}`
    return `counters ${counters?.clauses?.length}`
  })
}

test('a stream begins with Hello and everything that runs, changes follow', async () => {
  const { streams, sync, stop } = start()
  await settle()
  sync.upsert([{ id: 'late' }])
  sync.remove(['late', 'never'])
  sync.upsert([{ id: 'b', waiting: true }])
  await settle()
  sync.report({ clauses: [] })
  assert.deepEqual(words(streams[0]), ['hello one', 'all + -', 'changed +late -', 'changed + -late', 'changed +b -', 'counters 0'])
  await stop()
})

test('a new certificate moves the stream: the old one ends, the new one begins at once with everything that runs', async () => {
  const { streams, applied, sync, abort, clock, stop } = start()
  sync.upsert([{ id: 'a' }])
  await settle()
  streams[0]?.deliver(message(1))
  await settle()
  const waiting = clock.waiting
  await sync.renew(abort.signal)
  await settle()
  assert.deepEqual([streams.length, streams[0]?.cancelled, streams[1]?.isOpen, clock.waiting], [2, true, true, waiting])
  assert.deepEqual(words(streams[1]), ['hello one', 'all +a -'])
  streams[1]?.deliver(message(2))
  await settle()
  assert.deepEqual([applied, sync.awayMs], [[1, 2], 0])
  await stop()
})

test('a new certificate leaves the stream alone where no other connection stands', async () => {
  const { streams, sync, abort, cutOff, stop } = start()
  await settle()
  cutOff()
  await sync.renew(abort.signal)
  await settle()
  assert.deepEqual([streams.length, streams[0]?.isOpen], [1, true])
  await stop()
})

test('messages are carried out in order, each acknowledged with its generation', async () => {
  const { streams, applied, stop } = start()
  await settle()
  for (const generation of [4, 5, 9]) streams[0]?.deliver(message(generation))
  await settle()
  assert.deepEqual(applied, [4, 5, 9])
  assert.deepEqual(words(streams[0]).slice(2), ['ack 4 3000', 'ack 5 3000', 'ack 9 3000'])
  await stop()
})

test('the next stream tells all again, with what is held by then', async () => {
  const { clock, streams, sync, hold, stop } = start()
  sync.upsert([{ id: 'a' }, { id: 'b' }])
  await settle()
  streams[0]?.deliver(message(1))
  await settle()
  streams[0]?.end()
  await settle()
  hold('two')
  sync.remove(['a'])
  sync.report({ clauses: [] })
  clock.advance(50)
  await settle()
  assert.deepEqual(words(streams[1]), ['hello two', 'all +b -'])
  await stop()
})

test('awayMs counts from when the operator was last there, and ends with its first message', async () => {
  const { clock, streams, sync, stop } = start()
  await settle()
  clock.advance(40)
  assert.equal(sync.awayMs, 40)
  streams[0]?.deliver(message(1))
  await settle()
  assert.equal(sync.awayMs, 0)
  streams[0]?.end()
  await settle()
  clock.advance(30)
  assert.equal(sync.awayMs, 30)
  await stop()
})

test('an operator that refuses is asked less and less often', async () => {
  const { clock, streams, stop } = start()
  for (const [delay, count] of [[50, 2], [100, 3], [200, 4]] as const) {
    await settle()
    streams.at(-1)?.end()
    await settle()
    clock.advance(delay - 1)
    await settle()
    assert.equal(streams.length, count - 1)
    clock.advance(1)
    await settle()
    assert.equal(streams.length, count)
  }
  await stop()
})
