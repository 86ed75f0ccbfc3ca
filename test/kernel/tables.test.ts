// SPDX-License-Identifier: Apache-2.0
// Tables that must not get into force: damaged, cut short, of a version that is not known here, with a hash that fits and a content that does not.
// The kernel goes on with the one that it has, and a violator notices nothing.
import assert from 'node:assert/strict'
import { mkdirSync, writeFileSync } from 'node:fs'
import { after, before, test } from 'node:test'
import { BIND } from '../../agent/abi.ts'
import { compile } from '../../policy/compile.ts'
import { HEADER, PAGE, VERSION } from '../../policy/table.ts'
import { mutateTable, rehash } from '../support/corrupt.ts'
import { enter, Node, planOf, policy, testCgroup } from './node.ts'
import { hostTrial } from './trial.ts'

const [DENIED, FREE] = ['/run/merlon-tables/denied', '/run/merlon-tables/free']

let node: Node
let directory: string
before(() => {
  node = new Node()
  mkdirSync('/run/merlon-tables', { recursive: true })
  for (const path of [DENIED, FREE]) writeFileSync(path, '')
  directory = testCgroup('tables')
})
after(() => {
  assert.deepEqual(node.errors(), {})
  node.close()
})

function table(path: string): Uint8Array {
  const compiled = compile(planOf(policy(`  file:\n    matchPaths: [{path: ${path}}]\n  action: Block`)))
  assert.ok(compiled.ok)
  return compiled.table
}

function withWord(bytes: Uint8Array, at: number, value: number): Uint8Array {
  const copy = bytes.slice()
  new DataView(copy.buffer).setUint32(at, value, true)
  return rehash(copy)
}

test('a damaged, cut or newer table is refused, and the one in force goes on deciding', async () => {
  const good = table(DENIED)
  const slot = node.loadTable(good)
  node.bind(directory, slot.slot, BIND.PLAIN)
  const { trial, pid } = hostTrial()
  enter(directory, pid)
  node.drain()
  const stop = await trial.violate('r', DENIED, 'r', FREE)
  const next = table(FREE)
  const flipped = next.slice()
  flipped[PAGE + 5] = (flipped[PAGE + 5] ?? 0) ^ 0x10
  const bad: Readonly<Record<string, Uint8Array>> = {
    flipped,
    'cut by a page': next.subarray(0, next.length - PAGE),
    'cut by a byte': next.subarray(0, next.length - 1),
    empty: new Uint8Array(),
    'of the next version': withWord(next, HEADER.version, VERSION + 1),
    'not a table': withWord(next, 0, 0x464c457f),
    ...Object.fromEntries(Array.from({ length: 20 }, (_, i) => [`changed at ${i}, with the old hash`, mutateTable(next, [i * 7919, i * 104_729 + 4])] as const).filter(([, bytes]) => !Buffer.from(bytes).equals(next))),
  }
  for (const [name, bytes] of Object.entries(bad)) {
    const result = node.tables.load(bytes, 99n, slot.slot)
    assert.equal(result.ok ? 'taken' : result.problem.code, 'MERLON_AGENT_TABLE_INVALID', name)
  }
  assert.equal(node.tables.slots.get(slot.slot)?.serial, slot.serial)
  const [denied, free] = await stop()
  assert.ok(denied && free)
  assert.deepEqual([denied.succeeded, free.denied], [0, 0])
  assert.ok(denied.denied > 0)
  assert.deepEqual([...new Set(node.drain().map((event) => event.serial))], [slot.serial])
  await trial.end()
})
