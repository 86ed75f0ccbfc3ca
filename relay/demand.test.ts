// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SimulatedClock } from '../runtime/clock.ts'
import { Demand } from './demand.ts'

function start() {
  const clock = new SimulatedClock()
  const demand = new Demand(clock)
  const heard: boolean[] = []
  return { clock, demand, heard, unwatch: demand.watch(() => { heard.push(demand.isWanted) }) }
}

test('the first follower makes logs wanted, the leaving of the last one makes them unwanted two seconds later', () => {
  const { clock, demand, heard } = start()
  assert.equal(demand.isWanted, false)
  demand.arrive()
  demand.arrive()
  demand.leave()
  clock.advance(60_000)
  assert.deepEqual(heard, [true])
  demand.leave()
  clock.advance(1_999)
  assert.deepEqual(heard, [true])
  clock.advance(1)
  assert.deepEqual(heard, [true, false])
  assert.equal(clock.waiting, 0)
})

test('a follower that comes and goes a hundred times in a second makes two changes', () => {
  const { clock, demand, heard } = start()
  for (let round = 0; round < 100; round++) {
    demand.arrive()
    clock.advance(5)
    demand.leave()
    clock.advance(5)
  }
  assert.deepEqual([heard, clock.waiting], [[true], 1])
  clock.advance(2_000)
  assert.deepEqual([heard, clock.waiting], [[true, false], 0])
})

test('who does not watch any more hears nothing, and after the end nobody does', () => {
  const { clock, demand, heard, unwatch } = start()
  const others: boolean[] = []
  demand.watch(() => { others.push(demand.isWanted) })
  unwatch()
  demand.arrive()
  demand.leave()
  demand.end()
  clock.advance(5_000)
  assert.deepEqual([heard, others, clock.waiting], [[], [true], 0])
})
