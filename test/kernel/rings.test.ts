// SPDX-License-Identifier: Apache-2.0
// A full ring loses events, counted, and never a verdict; audits cannot crowd out denials. This process does not read while it waits for
// a program to end (spawnSync), so the rings fill.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { after, before, test } from 'node:test'
import { BIND, STATS, VERDICT } from '../../agent/abi.ts'
import { Node, policy, testCgroup, type Loaded } from './node.ts'
import { PROGRAM } from './trial.ts'

const [DENIED, AUDITED] = ['/run/merlon-rings/denied', '/run/merlon-rings/audited']
/** Records of these paths have some 200 bytes, rings 1 MiB. */
const FLOOD = 8000

let node: Node
let directory: string
let loaded: Loaded

before(() => {
  node = new Node()
  mkdirSync('/run/merlon-rings', { recursive: true })
  for (const path of [DENIED, AUDITED]) writeFileSync(path, '')
  directory = testCgroup('rings')
  loaded = node.load(policy(`  file:\n    matchPaths:\n    - {path: ${DENIED}, action: Block}\n    - {path: ${AUDITED}, action: Audit}\n  action: Audit`))
  node.bind(directory, loaded.slot.slot, BIND.PLAIN)
})
after(() => {
  assert.deepEqual(node.errors(), {})
  node.close()
})

/** Opens a path so many times in the bound cgroup: "succeeded denied". */
function flood(path: string, times: number): string {
  const script = `echo $$ > ${directory}/cgroup.procs && exec ${PROGRAM} once flood ${path} 0 ${times}`
  const result = spawnSync('sh', ['-c', script], { encoding: 'utf8' })
  assert.equal(result.status, 0, result.stderr)
  return result.stdout.trim()
}

const lost = (): { denials: number; events: number } => ({ denials: node.stat(STATS.indexOf('denials_lost')), events: node.stat(STATS.indexOf('events_lost')) })

/** Events of each kind since the last time. */
function received(): { denials: number; audits: number } {
  const events = node.drain()
  assert.ok(events.every((event) => event.path === (event.verdict === VERDICT.BLOCK ? DENIED : AUDITED)))
  return { denials: events.filter((event) => event.verdict === VERDICT.BLOCK).length, audits: events.filter((event) => event.verdict === VERDICT.AUDIT).length }
}

test('every attempt beyond a full ring is denied, and every event that did not fit is counted', () => {
  node.drain()
  const before = lost()
  assert.equal(flood(DENIED, FLOOD), `0 0 ${FLOOD}`)
  const got = received()
  const missing = lost().denials - before.denials
  assert.ok(missing > 0, 'the ring took all of them: the flood is too small')
  assert.deepEqual([got.denials + missing, got.audits, lost().events], [FLOOD, 0, before.events])
  assert.equal(node.hits(loaded.slot, 1) + node.hits(loaded.slot, 2), FLOOD)
})

test('a flood of audits crowds out no denial', () => {
  node.drain()
  const before = lost()
  assert.equal(flood(AUDITED, FLOOD), `0 ${FLOOD} 0`)
  assert.equal(flood(DENIED, 100), '0 0 100')
  const got = received()
  const missing = lost().events - before.events
  assert.ok(missing > 0, 'the ring took all of them: the flood is too small')
  assert.deepEqual([got.denials, got.audits + missing, lost().denials], [100, FLOOD, before.denials])
})

test('once read, rings take events again', () => {
  node.drain()
  assert.equal(flood(DENIED, 10), '0 0 10')
  assert.deepEqual(received(), { denials: 10, audits: 0 })
})
