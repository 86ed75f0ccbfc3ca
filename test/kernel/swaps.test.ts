// SPDX-License-Identifier: Apache-2.0
// A thousand swaps of one slot between two policies while a container violates both: every outcome, event and count is one that one of
// the two would give, and what both forbid never happens.
import assert from 'node:assert/strict'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { STATS, VERDICT } from '../../agent/abi.ts'
import { compile } from '../../policy/compile.ts'
import { evaluate } from '../../policy/evaluate.ts'
import type { KernelEvent } from '../../agent/records.ts'
import type { Plan } from '../../policy/types.ts'
import { Node, planOf, policy } from './node.ts'
import { TRIAL, TrialContainer } from './trial.ts'

const SWAPS = 1000
const FILES = { x: '/s/x', y: '/s/y', z: '/s/z', free: '/s/free' } as const

// The first names a source, so that its decisions take several looks at the table: none of them may mix the two.
const FIRST = `  file:\n    matchPaths: [{path: ${FILES.x}, fromSource: [{path: ${TRIAL}}]}, {path: ${FILES.z}}]\n  action: Block`
const SECOND = `  file:\n    matchPaths: [{path: /unused}, {path: ${FILES.y}}, {path: ${FILES.z}, fromSource: [{path: ${TRIAL}}]}]\n  action: Block`

let node: Node
let place: TrialContainer
before(async () => {
  node = new Node()
  place = await TrialContainer.start({ runtime: 'crun', root: 'debian' }, ({ rootfs }) => {
    mkdirSync(join(rootfs, 's'))
    for (const path of Object.values(FILES)) writeFileSync(join(rootfs, path), '')
  })
})
after(async () => {
  await place.delete()
  assert.deepEqual(node.errors(), {})
  node.close()
})

/** Path and clause of what a plan denies to the trial. */
function denialsOf(plan: Plan): Set<string> {
  const encode = (text: string): Uint8Array => new TextEncoder().encode(text)
  const answers = Object.values(FILES).map((path) => ({ path, ...evaluate(plan, { operation: 'read', owner: true, path: encode(path), sources: [encode(TRIAL)] }) }))
  return new Set(answers.filter(({ verdict }) => verdict === 'Block').map(({ path, clause }) => `${path} ${clause}`))
}

test(`${SWAPS} swaps under a violator`, async () => {
  const plans = [FIRST, SECOND].map((spec) => planOf(policy(spec))) as [Plan, Plan]
  const tables = plans.map((plan) => {
    const compiled = compile(plan)
    assert.ok(compiled.ok)
    return compiled.table
  }) as [Uint8Array, Uint8Array]
  const { slot } = node.loadTable(tables[0])
  node.bind(place.container.cgroup, slot)
  node.drain()
  const lostBefore = node.stat(STATS.indexOf('denials_lost'))
  const denials = plans.map(denialsOf) as [Set<string>, Set<string>]
  const bySerial = new Map<number, Set<string>>()
  let events = 0
  const check = (list: readonly KernelEvent[]): void => {
    for (const event of list) {
      const possible = bySerial.get(event.serial)
      assert.ok(possible !== undefined, `an event of table ${event.serial}`)
      assert.ok(event.verdict === VERDICT.BLOCK && possible.has(`${event.path} ${event.clause}`), `${event.path} clause ${event.clause} of generation ${event.generation}`)
      events++
    }
  }
  const slots = [node.loadTable(tables[0], slot)]
  bySerial.set(slots[0]?.serial ?? 0, denials[0])
  const stop = await place.trial.violate('r', FILES.x, 'r', FILES.y, 'r', FILES.z, 'r', FILES.free)
  for (let i = 1; i <= SWAPS; i++) {
    const which = (i % 2) as 0 | 1
    bySerial.set(node.nextSerial(), denials[which])
    slots.push(node.loadTable(tables[which], slot))
    // The rings' poll has its turn.
    if (i % 10 === 0) await new Promise(setImmediate)
    check(node.take())
  }
  const [x, y, z, free] = await stop()
  check(node.drain())
  assert.ok(x && y && z && free)
  assert.equal(z.succeeded, 0)
  assert.equal(free.denied, 0)
  for (const [name, { succeeded, denied }] of Object.entries({ x, y })) assert.ok(succeeded > 0 && denied > 0, `${name}: ${succeeded} opened, ${denied} denied: no swap was seen`)
  const denied = x.denied + y.denied + z.denied
  assert.equal(events + node.stat(STATS.indexOf('denials_lost')) - lostBefore, denied)
  const counted = slots.reduce((sum, each) => sum + Array.from({ length: each.range.clauses }, (_, i) => node.hits(each, i + 1)).reduce((a, b) => a + b, 0), 0)
  assert.equal(counted, denied)
})
