// SPDX-License-Identifier: Apache-2.0
// The process that loaded the kernel side is killed; another adopts what it left; a third brings another object. A violator goes on all
// the while and is denied each time: there is no gap.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { after, afterEach, before, beforeEach, test } from 'node:test'
import { detachKernel } from '../../agent/kernel.ts'
import { STATS } from '../../agent/abi.ts'
import { enter, Node, OBJECT, policy, testCgroup } from './node.ts'
import { hostTrial, O, type Trial } from './trial.ts'

const PINS = '/sys/fs/bpf/merlon-adoption'
const [DENIED, FREE] = ['/run/merlon-adoption/denied', '/run/merlon-adoption/free']
const LOADER = fileURLToPath(new URL('loader.ts', import.meta.url))

let directory: string
let trial: Trial
let pid: number
before(() => {
  mkdirSync('/run/merlon-adoption', { recursive: true })
  for (const path of [DENIED, FREE]) writeFileSync(path, '')
  directory = testCgroup('adoption')
})
beforeEach(() => { ({ trial, pid } = hostTrial()) })
afterEach(() => trial.end())
after(() => { detachKernel(PINS) })

interface Said {
  readonly origin: string
  readonly slot: number
  readonly serial: number
  readonly hash: string
}

/** Runs loader.ts until it has bound the cgroup, then kills it. Returns what it said. */
async function loadAndKill(): Promise<Said> {
  const child = spawn(process.execPath, [LOADER, PINS, directory, policy(`  file:\n    matchPaths: [{path: ${DENIED}}]\n  action: Block`)], { stdio: ['ignore', 'pipe', 'inherit'] })
  const exited = once(child, 'exit').then(([status]) => { throw new Error(`The loader ended with ${String(status)}`) })
  const [line] = (await Promise.race([once(createInterface({ input: child.stdout }), 'line'), exited])) as [string]
  exited.catch(() => {})
  child.kill('SIGKILL')
  await exited.catch(() => {})
  return JSON.parse(line) as Said
}

test('kill -9, adoption and replacement leave no gap, and no attempt goes uncounted', async () => {
  const said = await loadAndKill()
  assert.equal(said.origin, 'fresh')
  enter(directory, pid)
  const stop = await trial.violate('r', DENIED, 'r', FREE)

  const adopted = new Node(PINS, { keepBindings: true })
  assert.equal(adopted.kernel.origin, 'adopted')
  const slot = adopted.tables.slots.get(said.slot)
  assert.deepEqual([slot?.serial, slot?.hash], [said.serial, said.hash])
  assert.ok(slot)
  adopted.close({ keepBindings: true })

  const replaced = new Node(PINS, { keepBindings: true, object: Buffer.concat([readFileSync(OBJECT), Buffer.from('another')]) })
  assert.equal(replaced.kernel.origin, 'replaced')
  assert.equal(replaced.tables.slots.get(said.slot)?.hash, said.hash)

  const [denied, free] = await stop()
  assert.ok(denied && free)
  assert.equal(denied.succeeded, 0)
  assert.ok(denied.denied > 100, `only ${denied.denied} attempts`)
  assert.equal(free.denied, 0)
  // The first program that denies is the last that is asked, so two sets side by side count an attempt once.
  assert.equal(replaced.hits(slot, 1), denied.denied)

  replaced.drain()
  const lost = replaced.stat(STATS.indexOf('denials_lost'))
  assert.equal((await trial.ask('flood', DENIED, O.RDONLY, 5)).text, '0 5')
  assert.equal(replaced.drain().length, 5)
  assert.equal(replaced.stat(STATS.indexOf('denials_lost')), lost)
  assert.deepEqual(replaced.errors(), {})
  replaced.close()
})

test('an object that does not load leaves the old one in force', async () => {
  await loadAndKill()
  enter(directory, pid)
  // A hook that no kernel has.
  const broken = Buffer.from(readFileSync(OBJECT).toString('latin1').replaceAll('lsm/file_open', 'lsm/file_0pen'), 'latin1')
  const stop = await trial.violate('r', DENIED)
  const kept = new Node(PINS, { keepBindings: true, object: broken })
  assert.equal(kept.kernel.origin, 'kept')
  const [denied] = await stop()
  assert.equal(denied?.succeeded, 0)
  kept.close()
})
