// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { BpfMap } from '../native/types.ts'
import { HOLD, u32, view } from './abi.ts'
import { Control } from './control.ts'
import { FakeKernel } from './testing/native.ts'

const map = (): BpfMap => new FakeKernel('').createMap({ type: 2, name: 'control', keySize: 4, valueSize: 24, maxEntries: 1 })

function words(from: BpfMap): [bigint, bigint, number] {
  const data = view(from.lookup(u32(0)) ?? new Uint8Array(24))
  return [data.getBigUint64(0, true), data.getBigUint64(8, true), data.getUint32(16, true)]
}

test('each call changes its own field and leaves the others', () => {
  const control = map()
  const agent = new Control(control)
  agent.beat(123_000_000_000n)
  agent.setHold(HOLD.LIVE)
  agent.bumpEpoch()
  assert.deepEqual(words(control), [1n, 123_000_000_000n, 1])
  agent.setHold(HOLD.OFF)
  assert.deepEqual(words(control), [1n, 123_000_000_000n, 0])
})

test('a new agent goes on from the epoch that it finds', () => {
  const control = map()
  new Control(control).bumpEpoch()
  new Control(control).bumpEpoch()
  assert.equal(words(control)[0], 2n)
})
