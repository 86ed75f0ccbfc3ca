// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { chmodSync, existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
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

/** A directory that takes the place of a cgroup, and a program that says how often it ran. */
function scratch() {
  const root = mkdtempSync(join(tmpdir(), 'merlon-canary-'))
  const program = join(root, 'probe')
  const runs = join(root, 'runs')
  writeFileSync(program, `#!/bin/sh\necho >> ${runs}\n`, { mode: 0o755 })
  return { root, program, runs: () => (existsSync(runs) ? readFileSync(runs, 'utf8').length : 0), place: makeProbe(join(root, 'cgroup'), ['/nonexistent/true', program]) }
}

test('runProbe() runs the program outside the cgroup, moves into it, and runs it again', async () => {
  const { root, program, runs, place } = scratch()
  assert.deepEqual(place, { cgroup: join(root, 'cgroup', 'merlon-canary'), program, invoked: program })
  assert.deepEqual(await runProbe(place), { status: 0, output: '' })
  assert.equal(runs(), 2)
  assert.match(readFileSync(join(place.cgroup, 'cgroup.procs'), 'utf8'), /^\d+\n$/)
  rmSync(root, { recursive: true })
})

test('a program that is refused everywhere, as on a noexec mount, is no proof', async () => {
  const { root, program, place } = scratch()
  // Without the x bit even root gets EACCES: what noexec gives, and what the LSM gives.
  chmodSync(program, 0o600)
  const end = await runProbe(place)
  assert.equal(existsSync(join(place.cgroup, 'cgroup.procs')), false)
  const canary = await start(end).canary.check()
  assert.deepEqual({ ran: canary.ran, refused: canary.refused }, { ran: false, refused: false })
  assert.match(canary.message ?? '', /proves nothing: .*Permission denied/)
  rmSync(root, { recursive: true })
})

test('a program that is refused only after the move is a proof', async () => {
  const { root, program, place } = scratch()
  // Its own first run takes its x bit away.
  writeFileSync(program, `#!/bin/sh\nchmod 600 ${program}\n`)
  assert.deepEqual(await start(await runProbe(place)).canary.check(), { ran: true, refused: true, message: '' })
  rmSync(root, { recursive: true })
})

test('a cgroup that is gone is said', async () => {
  const { root, place } = scratch()
  rmSync(place.cgroup, { recursive: true })
  const { ran, message } = await start(await runProbe(place)).canary.check()
  assert.equal(ran, false)
  assert.match(message ?? '', /status 125/)
  rmSync(root, { recursive: true })
})

test('makeProbe() follows links: the kernel sees where they lead', () => {
  const { root, program } = scratch()
  symlinkSync(program, join(root, 'true'))
  const { program: seen, invoked } = makeProbe(join(root, 'cgroup'), [join(root, 'true')])
  assert.deepEqual([seen, invoked], [program, join(root, 'true')])
  assert.throws(() => makeProbe(join(root, 'cgroup'), ['/nonexistent/true']), /\/nonexistent\/true/)
  rmSync(root, { recursive: true })
})
