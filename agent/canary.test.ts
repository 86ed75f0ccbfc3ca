// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { SimulatedClock } from '../runtime/clock.ts'
import { Canary, CANARY_EVERY_MS, makeProbe, runProbe, type ProbeEnd } from './canary.ts'

function start(end: ProbeEnd | Error, obstacle?: string) {
  const clock = new SimulatedClock()
  const state = { runs: 0, obstacle }
  const canary = new Canary({
    clock, prepare: () => state.obstacle,
    probe: async () => {
      state.runs += 1
      if (end instanceof Error) throw end
      return end
    },
  })
  return { clock, canary, state }
}

test('a refused probe proves enforcement', async () => {
  const { canary } = start({ status: 126, output: 'sh: 1: exec: /run/x: Permission denied' })
  assert.deepEqual(await canary.check(), { ran: true, refused: true, message: '' })
})

test('a probe that runs, and one that fails for another reason, prove nothing', async () => {
  assert.deepEqual(await start({ status: 0, output: '' }).canary.check(), { ran: true, refused: false, message: 'The probe ran though a rule blocks it' })
  assert.deepEqual(await start({ status: 125, output: 'cannot create' }).canary.check(), { ran: false, refused: false, message: 'The probe ended with status 125: cannot create' })
  assert.equal((await start(new Error('no shell')).canary.check()).message, 'Cannot run the probe: no shell')
  assert.deepEqual(await start({ status: 0, output: '' }, 'not bound').canary.check(), { ran: false, refused: false, message: 'not bound' })
})

test('the probe runs at most once in a while, and once for all who ask meanwhile', async () => {
  const { canary, clock, state } = start({ status: 126, output: 'Permission denied' })
  await Promise.all([canary.check(), canary.check()])
  await canary.check()
  assert.equal(state.runs, 1)
  clock.advance(CANARY_EVERY_MS)
  await canary.check()
  assert.equal(state.runs, 2)
})

test('runProbe() moves into the cgroup first, and tells a refusal from a run', async () => {
  const root = mkdtempSync(join(tmpdir(), 'merlon-canary-'))
  const place = makeProbe(join(root, 'cgroup'), join(root, 'run'))
  assert.deepEqual(await runProbe(place), { status: 0, output: '' })
  // Without the x bit even root gets EACCES, as from the LSM.
  chmodSync(place.program, 0o600)
  const refused = await runProbe(place)
  assert.equal(refused.status, 126)
  assert.match(refused.output, /Permission denied/)
  rmSync(join(root, 'cgroup'), { recursive: true })
  assert.equal((await runProbe(place)).status, 125)
  rmSync(root, { recursive: true })
})

test('makeProbe() keeps what is there', () => {
  const root = mkdtempSync(join(tmpdir(), 'merlon-canary-'))
  mkdirSync(join(root, 'run'))
  writeFileSync(join(root, 'run', 'merlon-canary-probe'), '')
  assert.deepEqual(makeProbe(join(root, 'cgroup'), join(root, 'run')), makeProbe(join(root, 'cgroup'), join(root, 'run')))
  rmSync(root, { recursive: true })
})
