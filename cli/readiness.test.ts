// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { sleep, systemClock } from '../runtime/clock.ts'
import { agentReady } from './readiness.ts'
import { scratch } from './testing.ts'

const NODE = { node: 'n', connected: true, bpfLsm: true, reasons: [], workloads: 0, generation: { sent: 1, acknowledged: 1 }, errors: [], canary: null, acknowledgedAt: '2026-01-01T00:00:00.000Z' }

function statusAt(time: string): string {
  return JSON.stringify({ version: 1, time, directory: '/p', policies: [], nodes: [NODE], findings: [] })
}

test('a status that an earlier run left proves nothing; a new one does, though the clock was set back meanwhile', async (context) => {
  const file = join(await scratch(context), 'status.json')
  await writeFile(file, statusAt('2026-06-01T00:00:00.000Z'))
  let isReady = false
  const ready = agentReady(file, new AbortController().signal).then((answer) => { isReady = answer })
  // Some looks.
  await sleep(systemClock, 500)
  assert.equal(isReady, false)
  await writeFile(file, statusAt('2026-05-31T23:00:00.000Z'))
  await ready
  assert.equal(isReady, true)
})
