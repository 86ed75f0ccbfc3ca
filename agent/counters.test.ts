// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { STATS, u32, view } from './abi.ts'
import { CounterReader } from './counters.ts'
import type { Slot } from './tables.ts'
import { FakeKernel } from './testing/native.ts'

/** One value for each of two CPUs. */
function perCpu(first: number, second: number): Uint8Array {
  const bytes = new Uint8Array(16)
  view(bytes).setBigUint64(0, BigInt(first), true)
  view(bytes).setBigUint64(8, BigInt(second), true)
  return bytes
}

function start() {
  const fake = new FakeKernel('')
  const counters = fake.createMap({ type: 5, name: 'counters', keySize: 4, valueSize: 8, maxEntries: 32 })
  const stats = fake.createMap({ type: 6, name: 'stats', keySize: 4, valueSize: 8, maxEntries: 8 })
  const errors = fake.createMap({ type: 5, name: 'errors', keySize: 8, valueSize: 8, maxEntries: 32 })
  const slots: Slot[] = []
  const losses: string[] = []
  const profiles: Record<number, string> = { 1: 'p', 2: 'q', 3: 'p' }
  const make = () => new CounterReader({ counters, stats, errors, slots: () => slots, profileOf: (serial) => profiles[serial], onLoss: (where, count) => { losses.push(`${where} ${count}`) } })
  const slot = (serial: number, base: number, clauses: number): Slot => ({ slot: serial, serial, generation: 1n, hash: 'h', flags: 0, range: { base, clauses } })
  return { counters, stats, errors, slots, losses, make, slot }
}

test('hits are added up over CPUs and over the tables of a profile', () => {
  const { counters, slots, make, slot } = start()
  slots.push(slot(1, 0, 2), slot(2, 2, 1), slot(3, 3, 2), slot(9, 5, 1))
  for (const [key, first, second] of [[1, 5, 1], [3, 0, 7], [4, 10, 0], [6, 1, 1]] as const) counters.update(u32(key), perCpu(first, second))
  assert.deepEqual(make().poll()?.clauses, [{ profile: 'p', clause: 1, hits: 16 }, { profile: 'q', clause: 1, hits: 7 }])
})

test('poll() is silent while nothing changes', () => {
  const { counters, slots, make, slot } = start()
  slots.push(slot(1, 0, 1))
  counters.update(u32(1), perCpu(1, 0))
  const reader = make()
  assert.ok(reader.poll())
  assert.equal(reader.poll(), undefined)
  counters.update(u32(1), perCpu(1, 1))
  assert.equal(reader.poll()?.clauses?.[0]?.hits, 2)
  reader.forget()
  assert.ok(reader.poll())
})

test('ring losses are reported as they grow, and those of before are not', () => {
  const { stats, make, losses } = start()
  stats.update(u32(STATS.indexOf('denials_lost')), perCpu(5, 5))
  const reader = make()
  reader.poll()
  assert.deepEqual(losses, [])
  stats.update(u32(STATS.indexOf('denials_lost')), perCpu(6, 7))
  stats.update(u32(STATS.indexOf('events_lost')), perCpu(1, 0))
  stats.update(u32(STATS.indexOf('logs_lost')), perCpu(0, 9))
  reader.poll()
  reader.poll()
  assert.deepEqual(losses, ['denials_ring 3', 'events_ring 1', 'logs_ring 9'])
})

test('statistics have their names, and errors their place', () => {
  const { stats, errors, make } = start()
  stats.update(u32(STATS.indexOf('undecidable')), perCpu(2, 2))
  const key = new Uint8Array(8)
  view(key).setUint16(0, 3, true)
  view(key).setUint16(2, 120, true)
  view(key).setUint32(4, 12, true)
  errors.update(key, perCpu(1, 2))
  const read = make().poll()
  assert.equal(read?.stats?.['undecidable'], 4)
  assert.deepEqual(read?.errors, { 'path:120:12': 3 })
})
