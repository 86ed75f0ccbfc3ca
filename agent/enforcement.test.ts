// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, test } from 'node:test'
import type { BpfMap } from '../native/types.ts'
import { SimulatedClock } from '../runtime/clock.ts'
import { BIND, BINDING, BOUND, u32, u64, view } from './abi.ts'
import { Control } from './control.ts'
import { Enforcement, type Order } from './enforcement.ts'
import { Recording } from './recording.ts'
import { RETIRE_MS, TableStore } from './tables.ts'
import { FakeKernel } from './testing/native.ts'
import { fakeCheck, fakeTable, tableHash } from './testing/table.ts'

let directory = ''
let fake: FakeKernel
let maps: Record<'tables' | 'counters' | 'bindings' | 'control', BpfMap>
const clock = new SimulatedClock()

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'merlon-enforcement-'))
  fake = new FakeKernel(directory)
  maps = {
    tables: fake.createMap({ type: 12, name: 'tables', keySize: 4, valueSize: 4, maxEntries: 5 }),
    counters: fake.createMap({ type: 5, name: 'counters', keySize: 4, valueSize: 8, maxEntries: 40 }),
    bindings: fake.createMap({ type: 1, name: 'bindings', keySize: 8, valueSize: 8, maxEntries: 8 }),
    control: fake.createMap({ type: 2, name: 'control', keySize: 4, valueSize: 24, maxEntries: 1 }),
  }
})
afterEach(() => { rmSync(directory, { recursive: true }) })

function start(): Enforcement {
  const tables = new TableStore({ native: fake.binding(), tables: maps.tables, counters: maps.counters, bindings: maps.bindings, directory, verify: fakeCheck, require: () => undefined, clock, uptime: 1 })
  return new Enforcement({ tables, bindings: maps.bindings, control: new Control(maps.control), recording: new Recording({ require: () => undefined, onProblem: ({ message }) => assert.fail(message) }) })
}

let generation = 0
const A = fakeTable(2, 1)
const B = fakeTable(2, 2)

interface Sketch {
  readonly full?: boolean
  readonly tables?: readonly Uint8Array[]
  readonly profiles?: Readonly<Record<string, Uint8Array | null>>
  readonly bindings?: Readonly<Record<string, string>>
  /** Of each of its bindings. */
  readonly visible?: string[]
  readonly holds?: boolean
  readonly unbound?: string[]
  readonly keep?: string[]
}

function order(sketch: Sketch): Order {
  return {
    generation: ++generation,
    full: sketch.full ?? false,
    tables: (sketch.tables ?? []).map((content) => ({ hash: Buffer.from(tableHash(content), 'hex'), content: Buffer.from(content) })),
    profiles: Object.entries(sketch.profiles ?? {}).map(([id, table]) => ({ id, table: Buffer.from(table ? tableHash(table) : '', 'hex'), clauses: [] })),
    bindings: Object.entries(sketch.bindings ?? {}).map(([workload, profile]) => ({ workload, profile, identity: null, visible: sketch.visible ?? [], holds: sketch.holds ?? false })),
    unbound: sketch.unbound ?? [],
    keep: sketch.keep ?? [],
  }
}

/** cgroup -> hash of the table that decides for it; '' when bound without rules, undefined when not bound. */
function deciding(cgroupId: bigint): string | undefined {
  const binding = maps.bindings.lookup(u64(cgroupId))
  if (binding === undefined) return undefined
  const slot = view(binding).getUint32(0, true)
  if (slot === 0) return ''
  const id = maps.tables.lookup(u32(slot))
  assert.ok(id, `slot ${slot} is empty`)
  return tableHash(fake.mapHandle(view(id).getUint32(0, true)).lookup(u32(0)) ?? new Uint8Array(4096))
}

const epoch = (): bigint => view(maps.control.lookup(u32(0)) ?? new Uint8Array(24)).getBigUint64(0, true)
const target = (workload: string, cgroupId: bigint) => ({ workload, cgroupId, kind: BIND.CONTAINER })
const writes = (map: string): string[] => {
  const seen: string[] = []
  fake.hook = (operation, name) => { if (name === map) seen.push(operation) }
  return seen
}

test('apply() binds a container to its table, whichever comes first', () => {
  const first = start()
  first.addTarget(target('c1', 11n))
  assert.equal(deciding(11n), undefined)
  assert.deepEqual(first.apply(order({ full: true, tables: [A], profiles: { p: A }, bindings: { c1: 'p', c2: 'p' } })), [])
  assert.equal(deciding(11n), tableHash(A))
  first.addTarget(target('c2', 12n))
  assert.equal(deciding(12n), tableHash(A))
  assert.equal(epoch(), 2n)
})

test('apply() changes the table of all members with one slot write and no binding write', () => {
  const enforcement = start()
  enforcement.addTarget(target('c1', 11n))
  enforcement.addTarget(target('c2', 12n))
  enforcement.apply(order({ full: true, tables: [A], profiles: { p: A }, bindings: { c1: 'p', c2: 'p' } }))
  const before = epoch()
  const bindingWrites = writes('bindings')
  enforcement.apply(order({ tables: [B], profiles: { q: B }, bindings: { c1: 'q', c2: 'q' } }))
  assert.deepEqual([deciding(11n), deciding(12n)], [tableHash(B), tableHash(B)])
  assert.deepEqual(bindingWrites, [])
  assert.equal(epoch(), before)
})

test('apply() moves one of two members to a slot of its own and bumps the epoch', () => {
  const enforcement = start()
  enforcement.addTarget(target('c1', 11n))
  enforcement.addTarget(target('c2', 12n))
  enforcement.apply(order({ full: true, tables: [A], profiles: { p: A }, bindings: { c1: 'p', c2: 'p' } }))
  const before = epoch()
  enforcement.apply(order({ tables: [B], profiles: { q: B }, bindings: { c2: 'q' } }))
  assert.deepEqual([deciding(11n), deciding(12n)], [tableHash(A), tableHash(B)])
  assert.equal(epoch(), before + 1n)
})

test('apply() binds a workload without rules to slot 0', () => {
  const enforcement = start()
  enforcement.addTarget(target('c1', 11n))
  enforcement.apply(order({ full: true, profiles: { none: null }, bindings: { c1: 'none' } }))
  assert.equal(deciding(11n), '')
  assert.equal(enforcement.covers(11n), true)
})

test('a pod whose containers are to be told apart is bound, covers none of them, and does when it no longer is', () => {
  const enforcement = start()
  enforcement.addTarget(target('pod/1', 11n))
  const flags = (): number | undefined => maps.bindings.lookup(u64(11n))?.[BINDING.flags]
  enforcement.apply(order({ full: true, tables: [A], profiles: { p: A }, bindings: { 'pod/1': 'p' }, holds: true }))
  assert.deepEqual([deciding(11n), flags(), enforcement.covers(11n)], [tableHash(A), BOUND.HOLDS, false])
  // Another agent takes that over.
  assert.equal(start().covers(11n), false)
  const before = epoch()
  enforcement.apply(order({ bindings: { 'pod/1': 'p' } }))
  assert.deepEqual([deciding(11n), flags(), enforcement.covers(11n), epoch()], [tableHash(A), 0, true, before + 1n])
})

test('apply() keeps the old table where the new one is broken, and reports each workload', () => {
  const enforcement = start()
  enforcement.addTarget(target('c1', 11n))
  enforcement.apply(order({ full: true, tables: [A], profiles: { p: A }, bindings: { c1: 'p' } }))
  const broken = B.slice()
  broken[4100] = 7
  const problems = enforcement.apply(order({ tables: [broken], profiles: { q: B, r: fakeTable(1, 3) }, bindings: { c1: 'q', c2: 'q', c3: 'r', c4: 'x' } }))
  assert.equal(deciding(11n), tableHash(A))
  assert.deepEqual(problems.map(({ code, workload }) => [code, workload]), [
    ['MERLON_AGENT_TABLE_INVALID', 'c1'], ['MERLON_AGENT_TABLE_INVALID', 'c2'],
    ['MERLON_AGENT_TABLE_MISSING', 'c3'], ['MERLON_AGENT_PROFILE_UNKNOWN', 'c4'],
  ])
  enforcement.apply(order({ tables: [B] }))
  assert.equal(deciding(11n), tableHash(B), 'the next good message brings it')
})

test('apply() unbinds, and a complete message drops what it does not name', () => {
  const enforcement = start()
  for (const [index, name] of ['c1', 'c2', 'c3'].entries()) enforcement.addTarget(target(name, BigInt(11 + index)))
  enforcement.apply(order({ full: true, tables: [A], profiles: { p: A }, bindings: { c1: 'p', c2: 'p', c3: 'p' } }))
  enforcement.apply(order({ unbound: ['c1'] }))
  assert.equal(deciding(11n), undefined)
  assert.equal(enforcement.isAnswered('c1'), true)
  enforcement.apply(order({ full: true, bindings: { c3: 'p' } }))
  assert.deepEqual([deciding(12n), deciding(13n)], [undefined, tableHash(A)])
})

test('a complete message leaves alone what it says to keep, by an agent that bound it and by the next one', () => {
  const before = start()
  for (const [index, name] of ['c1', 'c2'].entries()) before.addTarget(target(name, BigInt(11 + index)))
  before.apply(order({ full: true, tables: [A], profiles: { p: A }, bindings: { c1: 'p', c2: 'p' } }))
  before.apply(order({ full: true, keep: ['c1'] }))
  assert.deepEqual([deciding(11n), deciding(12n)], [tableHash(A), undefined])
  const after = start()
  after.addTarget(target('c1', 11n))
  after.apply(order({ full: true, keep: ['c1', 'c3'] }))
  after.addTarget(target('c3', 13n))
  clock.advance(RETIRE_MS)
  after.sweep()
  assert.deepEqual([deciding(11n), deciding(13n)], [tableHash(A), undefined])
  assert.equal(after.isAnswered('c1'), false)
  after.apply(order({ tables: [B], profiles: { q: B }, bindings: { c1: 'q' } }))
  assert.equal(deciding(11n), tableHash(B))
  after.apply(order({ unbound: ['c1'] }))
  assert.equal(deciding(11n), undefined)
  after.apply(order({ full: true }))
  assert.equal(deciding(11n), undefined)
})

test('a table that is held serves a second profile without being sent again', () => {
  const enforcement = start()
  enforcement.addTarget(target('c1', 11n))
  enforcement.apply(order({ full: true, tables: [A], profiles: { p: A }, bindings: { c1: 'p' } }))
  assert.deepEqual(enforcement.apply(order({ profiles: { q: A }, bindings: { c2: 'q' } })), [])
  enforcement.addTarget(target('c2', 12n))
  assert.equal(deciding(12n), tableHash(A))
  assert.notDeepEqual(maps.bindings.lookup(u64(11n)), maps.bindings.lookup(u64(12n)))
})

test('the answer for a container that ended before it came is forgotten, with its table; a pod\'s waits for its cgroup', () => {
  const enforcement = start()
  enforcement.addTarget(target('c1', 11n))
  enforcement.removeTarget(11n)
  enforcement.apply(order({ full: true, tables: [A, B], profiles: { p: A, q: B }, bindings: { c1: 'p', 'pod/1': 'q' } }))
  for (let i = 0; i < 3; i++) {
    clock.advance(RETIRE_MS)
    enforcement.sweep()
  }
  enforcement.addTarget(target('c1', 12n))
  enforcement.addTarget(target('pod/1', 13n))
  assert.deepEqual([deciding(12n), deciding(13n)], [undefined, tableHash(B)])
  assert.equal(maps.counters.entries().count, 2, 'those of q')
})

test('slots of profiles that nobody wants are freed after a while', () => {
  const enforcement = start()
  enforcement.addTarget(target('c1', 11n))
  for (let salt = 10; salt < 30; salt++) {
    const table = fakeTable(1, salt)
    const problems = enforcement.apply(order({ full: true, tables: [table], profiles: { [`p${salt}`]: table }, bindings: { c1: `p${salt}` } }))
    assert.deepEqual(problems, [])
    clock.advance(RETIRE_MS)
    enforcement.sweep()
  }
  assert.equal(maps.counters.entries().count, 1)
})

test('a new agent writes nothing when the operator wants what is there', () => {
  const before = start()
  before.addTarget(target('c1', 11n))
  before.addTarget(target('gone', 99n))
  const wanted: Sketch = { full: true, profiles: { p: A }, bindings: { c1: 'p', gone: 'p' } }
  before.apply(order({ ...wanted, tables: [A] }))

  const after = start()
  assert.equal(deciding(11n), tableHash(A), 'adopted as it is')
  after.addTarget(target('c1', 11n))
  assert.equal(deciding(11n), tableHash(A), 'not unbound before the operator has spoken')
  const slotWrites = writes('tables')
  const serial = view(maps.tables.lookup(u32(1)) ?? new Uint8Array(4)).getUint32(0, true)
  assert.deepEqual(after.apply(order(wanted)), [])
  assert.deepEqual(slotWrites, [])
  assert.equal(view(maps.tables.lookup(u32(1)) ?? new Uint8Array(4)).getUint32(0, true), serial)
  assert.equal(deciding(11n), tableHash(A))
  assert.equal(deciding(99n), undefined, 'a cgroup without container is unbound')
})

test('attribution() finds the clauses of a serial, also after the table was replaced', () => {
  const enforcement = start()
  enforcement.addTarget(target('c1', 11n))
  enforcement.apply(order({ full: true, tables: [A], profiles: { p: A }, bindings: { c1: 'p' } }))
  enforcement.apply(order({ tables: [B], profiles: { q: B }, bindings: { c1: 'q' } }))
  assert.deepEqual([9, 10].map((serial) => enforcement.attribution(serial)?.profile), ['p', 'q'])
  enforcement.sweep()
  assert.equal(enforcement.attribution(9)?.profile, 'p')
  clock.advance(RETIRE_MS)
  enforcement.sweep()
  assert.equal(enforcement.attribution(9), undefined)
  assert.equal(enforcement.attribution(10)?.profile, 'q')
})

test('removeTarget() unbinds the cgroup and remembers its owner for late events', () => {
  const enforcement = start()
  enforcement.addTarget(target('c1', 11n))
  enforcement.apply(order({ full: true, tables: [A], profiles: { p: A }, bindings: { c1: 'p' } }))
  enforcement.removeTarget(11n)
  assert.equal(deciding(11n), undefined)
  assert.equal(enforcement.workloadOf(11n), 'c1')
  enforcement.sweep()
  assert.equal(enforcement.workloadOf(11n), undefined)
})

test('a profile without workloads is freed with the last of them, and one with workloads stays', () => {
  const enforcement = start()
  enforcement.addTarget(target('c1', 11n))
  enforcement.addTarget(target('c2', 12n))
  enforcement.addTarget(target('c3', 13n))
  enforcement.apply(order({ full: true, tables: [A, B], profiles: { p: A, q: B }, bindings: { c1: 'p', c2: 'q', c3: 'q' } }))
  enforcement.removeTarget(12n)
  enforcement.removeTarget(11n)
  assert.equal(enforcement.isAnswered('c1'), false)
  clock.advance(RETIRE_MS)
  enforcement.sweep()
  assert.equal(maps.counters.entries().count, 2)
  assert.equal(deciding(13n), tableHash(B))
})

test('setOwn() stays in force whatever the operator says', () => {
  const enforcement = start()
  enforcement.addTarget({ workload: 'merlon:canary', cgroupId: 5n, kind: BIND.PLAIN })
  assert.deepEqual(enforcement.setOwn('merlon:canary', B, tableHash(B), []), [])
  enforcement.apply(order({ full: true }))
  assert.equal(deciding(5n), tableHash(B))
})

test('what is visible is recorded while somebody follows logs, of this agent and not of one before it', () => {
  const visible = (cgroupId: bigint): number => view(maps.bindings.lookup(u64(cgroupId)) ?? new Uint8Array()).getUint16(BINDING.visible, true)
  const agent = start()
  agent.addTarget(target('c1', 11n))
  agent.addTarget({ workload: 'host', cgroupId: 1n, kind: BIND.HOST })
  agent.apply(order({ full: true, tables: [A], profiles: { a: A, none: null }, bindings: { c1: 'a', host: 'none' }, visible: ['process', 'file', 'network'] }))
  assert.deepEqual([visible(11n), visible(1n)], [0, 0])
  const before = epoch()
  assert.deepEqual(agent.record(true), [])
  assert.deepEqual([visible(11n), visible(1n), epoch()], [3, 3, before + 1n])
  agent.apply(order({ bindings: { c1: 'a' }, visible: ['process'] }))
  assert.deepEqual([visible(11n), visible(1n), epoch()], [1, 3, before + 2n])
  agent.addTarget(target('c1', 12n))
  assert.equal(visible(12n), 1)
  agent.record(false)
  assert.deepEqual([visible(11n), visible(12n), visible(1n)], [0, 0, 0])
  agent.record(true)
  const next = start()
  next.addTarget(target('c1', 11n))
  assert.equal(visible(11n), 1, 'until the operator has said what holds')
  next.apply(order({ full: true, tables: [A], profiles: { a: A }, bindings: { c1: 'a' }, visible: ['process'] }))
  assert.equal(visible(11n), 0, 'nobody has asked this one')
})
