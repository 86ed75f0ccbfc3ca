// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, test } from 'node:test'
import type { BpfMap } from '../native/types.ts'
import { SimulatedClock } from '../runtime/clock.ts'
import { BIND, BINDING, encodeBinding, STAMP, TABLE, u32, u64, view } from './abi.ts'
import type { AgentProblem } from './errors.ts'
import { RETIRE_MS, TableStore } from './tables.ts'
import { bpfError, CPUS, FakeKernel } from './testing/native.ts'
import { fakeCheck, fakeTable, tableHash } from './testing/table.ts'

let directory = ''
let fake: FakeKernel
let tables: BpfMap
let counters: BpfMap
let bindings: BpfMap
const clock = new SimulatedClock()

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'merlon-tables-'))
  fake = new FakeKernel(directory)
  tables = fake.createMap({ type: 12, name: 'tables', keySize: 4, valueSize: 4, maxEntries: 4 })
  counters = fake.createMap({ type: 5, name: 'counters', keySize: 4, valueSize: 8, maxEntries: 10 })
  bindings = fake.createMap({ type: 1, name: 'bindings', keySize: 8, valueSize: BINDING.bytes, maxEntries: 10 })
})
afterEach(() => { rmSync(directory, { recursive: true }) })

let attach: (flags: number) => AgentProblem | undefined = () => undefined

const store = (uptime = 100): TableStore =>
  new TableStore({ native: fake.binding(), tables, counters, bindings, directory, verify: fakeCheck, require: (flags) => attach(flags), clock, uptime })

function load(into: TableStore, bytes: Uint8Array, slot?: number): number {
  const result = into.load(bytes, 7n, slot)
  assert.ok(result.ok, result.ok ? '' : result.problem.message)
  return result.value.slot
}

/** Page 0 of what the kernel decides on in this slot. */
function pageOf(slot: number): Uint8Array {
  const id = tables.lookup(u32(slot))
  assert.ok(id)
  return fake.mapHandle(view(id).getUint32(0, true)).lookup(u32(0)) ?? new Uint8Array()
}

const counterKeys = (): number[] => {
  const { keys, count } = counters.entries()
  return Array.from({ length: count }, (_, index) => view(keys).getUint32(index * 4, true)).toSorted((a, b) => a - b)
}

test('load() puts no table in force whose programs cannot be attached', (context) => {
  context.after(() => { attach = () => undefined })
  const tablesOf = store()
  attach = () => ({ code: 'MERLON_AGENT_LOAD_FAILED', message: 'no such hook' })
  const refused = tablesOf.load(fakeTable(1), 7n)
  assert.equal(refused.ok ? '' : refused.problem.code, 'MERLON_AGENT_LOAD_FAILED')
  assert.deepEqual([tablesOf.slots.size, counterKeys()], [0, []])
  let asked = -1
  attach = (flags) => {
    asked = flags
    assert.equal(tables.lookup(u32(1)), undefined, 'attached before it is in force')
    return undefined
  }
  load(tablesOf, fakeTable(1))
  assert.deepEqual([asked, tablesOf.flags()], [view(pageOf(1)).getUint32(TABLE.flags, true), asked])
})

test('load() stamps the kernel copy, makes the counters and pins the table', () => {
  const tablesOf = store()
  const slot = load(tablesOf, fakeTable(3))
  const page = view(pageOf(slot))
  assert.equal(page.getBigUint64(TABLE.stamp + STAMP.generation, true), 7n)
  assert.equal(page.getUint32(TABLE.stamp + STAMP.serial, true), 801)
  assert.equal(page.getUint32(TABLE.stamp + STAMP.slot, true), slot)
  const base = page.getUint32(TABLE.stamp + STAMP.counter_base, true)
  assert.deepEqual(counterKeys(), [base + 1, base + 2, base + 3])
  assert.deepEqual(counters.lookup(u32(base + 1)), new Uint8Array(8 * CPUS))
  assert.deepEqual(readdirSync(directory), [`${slot}-801`])
})

test('load() into a taken slot replaces the table and keeps its counters until they retire', () => {
  const tablesOf = store()
  const slot = load(tablesOf, fakeTable(2))
  load(tablesOf, fakeTable(3, 1), slot)
  assert.equal(tablesOf.slots.get(slot)?.hash, tableHash(fakeTable(3, 1)))
  assert.equal(counterKeys().length, 5)
  assert.deepEqual(tablesOf.sweep(), [])
  clock.advance(RETIRE_MS)
  assert.deepEqual(tablesOf.sweep(), [801])
  assert.equal(counterKeys().length, 3)
  assert.equal(readdirSync(directory).length, 1)
})

test('load() refuses a table that does not verify, and what was there stays', () => {
  const tablesOf = store()
  const slot = load(tablesOf, fakeTable(2))
  const bad = fakeTable(2, 9)
  bad[5000] = 1
  const result = tablesOf.load(bad, 8n, slot)
  assert.equal(result.ok ? '' : result.problem.code, 'MERLON_AGENT_TABLE_INVALID')
  assert.equal(Buffer.from(pageOf(slot).subarray(128, 160)).toString('hex'), tableHash(fakeTable(2)))
})

test('load() takes back everything when the slot write fails', () => {
  const tablesOf = store()
  const slot = load(tablesOf, fakeTable(2))
  fake.hook = (operation) => { if (operation === 'updateInner') throw bpfError('ENOMEM', 12, 'bpf_map_update_elem') }
  const result = tablesOf.load(fakeTable(2, 1), 8n, slot)
  assert.equal(result.ok ? '' : result.problem.code, 'MERLON_AGENT_MAP_WRITE')
  assert.equal(tablesOf.slots.get(slot)?.hash, tableHash(fakeTable(2)))
  assert.equal(counterKeys().length, 2)
  assert.deepEqual(readdirSync(directory), [`${slot}-801`])
})

test('load() says when slots or counters have run out, and uses what retired first', () => {
  const tablesOf = store()
  for (const salt of [1, 2, 3]) load(tablesOf, fakeTable(1, salt))
  const noSlot = tablesOf.load(fakeTable(1, 4), 7n)
  assert.equal(noSlot.ok ? '' : noSlot.problem.code, 'MERLON_AGENT_SLOTS_FULL')
  const noCounter = tablesOf.load(fakeTable(8, 5), 7n, 1)
  assert.equal(noCounter.ok ? '' : noCounter.problem.code, 'MERLON_AGENT_COUNTERS_FULL')
  assert.equal(counterKeys().length, 3)
  load(tablesOf, fakeTable(4, 6), 1)
  load(tablesOf, fakeTable(4, 7), 1)
  assert.equal(counterKeys().length, 10)
})

test('free() empties the slot only after a while, and does not give it away before', () => {
  const tablesOf = store()
  const slot = load(tablesOf, fakeTable(1))
  tablesOf.free(slot)
  assert.ok(tables.lookup(u32(slot)), 'a program on its way still finds the table')
  assert.notEqual(load(tablesOf, fakeTable(1, 1)), slot)
  clock.advance(RETIRE_MS)
  tablesOf.sweep()
  assert.equal(tables.lookup(u32(slot)), undefined)
  assert.equal(load(tablesOf, fakeTable(1, 2)), slot)
})

test('a new store learns from the kernel what is in force', () => {
  const before = store()
  const slot = load(before, fakeTable(3))
  load(before, fakeTable(2, 1))
  const after = store(0)
  assert.deepEqual(after.slots.get(slot)?.range, before.slots.get(slot)?.range)
  assert.deepEqual(after.hashes(), [tableHash(fakeTable(3)), tableHash(fakeTable(2, 1))].toSorted())
  assert.equal(after.slots.get(slot)?.generation, 7n)
  const next = after.load(fakeTable(1, 2), 8n)
  assert.equal(next.ok ? next.value.serial : 0, 803, 'serials go on after the highest that is pinned')
  assert.equal(new Set(counterKeys()).size, 6)
})

test('a new store removes pins that no slot leads to, and counters of nobody', () => {
  const before = store()
  const slot = load(before, fakeTable(2))
  // An agent that ended just before the slot write: pinned, counted, not in force.
  fake.createMap({ type: 2, name: 'merlon_table', keySize: 4, valueSize: 4096, maxEntries: 2 }).pin(join(directory, '2-900'))
  counters.update(u32(77), new Uint8Array(8 * CPUS))
  const after = store()
  assert.deepEqual(readdirSync(directory), [`${slot}-801`])
  assert.deepEqual([...after.slots.keys()], [slot])
  assert.deepEqual(counterKeys(), [1, 2])
})

test('a new store leaves a table alone that it cannot read back', () => {
  const before = store()
  const slot = load(before, fakeTable(2))
  rmSync(join(directory, `${slot}-801`))
  bindings.update(u64(9n), encodeBinding(slot, BIND.PLAIN))
  const after = store()
  assert.equal(after.slots.get(slot)?.hash, '')
  assert.deepEqual(after.hashes(), [])
  assert.equal(after.content(''), undefined)
  assert.ok(tables.lookup(u32(slot)))
  assert.notEqual(load(after, fakeTable(1, 1)), slot)
})

test('a new store asks for no more slots than there are pins and bindings: a lookup costs a grace period up to Linux 6.7', () => {
  tables = fake.createMap({ type: 12, name: 'tables', keySize: 4, valueSize: 4, maxEntries: 16_384 })
  const slot = load(store(), fakeTable(2))
  bindings.update(u64(9n), encodeBinding(slot, BIND.PLAIN))
  bindings.update(u64(10n), encodeBinding(0, BIND.PLAIN))
  bindings.update(u64(11n), encodeBinding(77, BIND.PLAIN))
  const asked: number[] = []
  const lookup = tables.lookup.bind(tables)
  tables.lookup = (key) => {
    asked.push(view(key).getUint32(0, true))
    return lookup(key)
  }
  assert.deepEqual([...store().slots.keys()], [slot])
  assert.deepEqual(asked, [slot, 77])
})

test('content() gives the table as it was at rest', () => {
  const bytes = fakeTable(2, 5, 3)
  load(store(), bytes)
  assert.deepEqual(store().content(tableHash(bytes)), bytes)
})
