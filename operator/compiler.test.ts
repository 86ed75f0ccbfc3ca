// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { after, beforeEach, test } from 'node:test'
import { SimulatedClock } from '../runtime/clock.ts'
import { createLogger, type LogRecord } from '../runtime/log.ts'
import { Compiler, Examiner, IDLE_MS } from './compiler.ts'
import { policyLibrary } from './library.ts'

const TEXT = `
apiVersion: security.kubearmor.com/v1
kind: KubeArmorPolicy
metadata: { name: shells, namespace: shop }
spec:
  selector: { matchLabels: { app: web } }
  process:
    matchPaths:
      - path: /bin/sh
      - { path: /bin/sh, action: Audit }
  action: Block
`
const { policies } = policyLibrary.read(TEXT, 'shells.yaml')
const [policy] = policies
assert(policy)
const plan = policyLibrary.makePlan(policies, { namespace: 'shop', pod: 'web-1', container: 'main', labels: { app: 'web' }, host: false }, { filePosture: 'audit' })

let clock = new SimulatedClock()
let log: LogRecord[] = []
const logger = createLogger('operator', (record) => log.push(record))
let compiler = new Compiler({ logger, clock })
/** As the kernel shows the threads of this process. */
const runs = (name = 'compiler'): boolean => readdirSync('/proc/self/task').some((id) => nameOfThread(id) === name)

/** Nothing where it has ended since it was listed. */
function nameOfThread(id: string): string {
  try {
    return readFileSync(`/proc/self/task/${id}/comm`, 'utf8').trimEnd()
  } catch {
    return ''
  }
}

beforeEach(async () => {
  await compiler.stop()
  clock = new SimulatedClock()
  log = []
  compiler = new Compiler({ logger, clock })
})
after(() => compiler.stop())

async function ended(): Promise<void> {
  while (runs()) await new Promise((resolve) => { setTimeout(resolve, 5) })
}

test('a thread compiles what this one would', async () => {
  assert.deepEqual(await compiler.compile(plan), policyLibrary.compile(plan))
})

test('a thread that is asked nothing for a while ends, and another one answers what is asked then', async () => {
  const first = await compiler.compile(plan)
  assert.ok(runs())
  clock.advance(IDLE_MS - 1)
  assert.ok(runs())
  // Counted from the last answer.
  await compiler.compile(plan)
  clock.advance(IDLE_MS - 1)
  assert.ok(runs())
  clock.advance(1)
  await ended()
  assert.deepEqual(await compiler.compile(plan), first)
  assert.ok(runs())
  assert.deepEqual(log, [])
})

test('a thread that was asked something is not idle, however long that takes', async () => {
  await compiler.compile(plan)
  const answer = compiler.compile(plan)
  clock.advance(10 * IDLE_MS)
  assert.ok((await answer).ok)
})

test('stopped with something to answer: that has failed, and nothing is left to wait for', async () => {
  const answer = compiler.compile(plan)
  await compiler.stop()
  const failed = await answer
  assert.deepEqual(failed.ok ? [] : failed.findings.map(({ code }) => code), ['MERLON_OPERATOR_INTERNAL'])
  assert.equal(clock.waiting, 0)
})

test('an examiner gives up what takes too long, and goes on with the next', async () => {
  const examiner = new Examiner({ logger, clock })
  const slow = examiner.examine(policy, 1000)
  clock.advance(1000)
  assert.deepEqual(await slow, [])
  assert.deepEqual(log.map(({ message }) => message), ['Gave up examining a policy'])
  assert.equal((await examiner.examine(policy, 1000)).length, 1, 'the audited one never decides')
  await examiner.stop()
  assert.equal(clock.waiting, 0)
})
