// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { BatchAck } from '../proto/gen/merlon/v1/BatchAck.ts'
import { SimulatedClock } from '../runtime/clock.ts'
import { Acks, type AckStream } from './acks.ts'
import { Demand } from './demand.ts'

/** Takes `room` acknowledgements, then says that it is full until drained. */
class FakeStream implements AckStream {
  readonly written: BatchAck[] = []
  writableEnded = false
  isPaused = false
  pauses = 0
  room = Infinity
  readonly #onDrain: (() => void)[] = []

  write(ack: BatchAck): boolean {
    this.written.push(ack)
    return this.written.length < this.room
  }

  once(_event: 'drain', listener: () => void): void {
    this.#onDrain.push(listener)
  }

  pause(): void {
    this.isPaused = true
    this.pauses += 1
  }

  resume(): void {
    this.isPaused = false
  }

  drain(): void {
    this.room = Infinity
    for (const listener of this.#onDrain.splice(0)) listener()
  }
}

function start(room = Infinity) {
  const clock = new SimulatedClock()
  const demand = new Demand(clock)
  const stream = Object.assign(new FakeStream(), { room })
  const acks = new Acks(stream, demand)
  const written = (): unknown[] => stream.written.map(({ sequence, logs_wanted: wanted }) => [sequence, wanted])
  return { clock, demand, stream, acks, written }
}

test('it begins with whether logs are wanted, says each change with the last batch, and acknowledges with the present value', () => {
  const { clock, demand, acks, written } = start()
  demand.arrive()
  acks.acknowledge(1)
  demand.leave()
  acks.acknowledge(2)
  clock.advance(2_000)
  acks.acknowledge(3)
  assert.deepEqual(written(), [[0, false], [0, true], [1, true], [2, true], [2, false], [3, false]])
})

test('one that does not read is not read from, and hears of the last change when it reads again', () => {
  const { clock, demand, stream, acks, written } = start(2)
  acks.acknowledge(1)
  assert.equal(stream.isPaused, true)
  for (const _ of [1, 2, 3]) {
    demand.arrive()
    demand.leave()
    clock.advance(2_000)
  }
  demand.arrive()
  // What had been read before it was held back.
  acks.acknowledge(2)
  demand.leave()
  clock.advance(2_000)
  assert.deepEqual(written(), [[0, false], [1, false], [2, true]])
  stream.drain()
  assert.deepEqual([stream.isPaused, stream.pauses], [false, 1])
  assert.deepEqual(written(), [[0, false], [1, false], [2, true], [2, false]])
})

test('nothing is written to a stream that has ended, or that was closed', () => {
  const { demand, stream, acks, written } = start()
  stream.writableEnded = true
  acks.acknowledge(1)
  stream.writableEnded = false
  acks.close()
  demand.arrive()
  assert.deepEqual(written(), [[0, false]])
})
