// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { claimPins } from './single.ts'

test('one claim for each pin directory, beside it; none where no pins can be', async (context) => {
  const place = mkdtempSync(join(tmpdir(), 'merlon-single-'))
  context.after(() => rmSync(place, { recursive: true }))
  const pins = join(place, 'merlon')
  const first = await claimPins(pins, () => true)
  assert.ok(first)
  assert.equal(await claimPins(pins, () => true), undefined)
  const beside = await claimPins(join(place, 'other'), () => true)
  assert.ok(beside)
  beside.close()
  first.close()
  assert.ok(await claimPins(pins))
  assert.deepEqual(readdirSync(place), [])
})
