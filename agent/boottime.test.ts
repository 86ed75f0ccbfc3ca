// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { BootClock } from './boottime.ts'

function simulated(monotonicNs: bigint, uptime: string) {
  const state = { monotonicNs, uptime, nowMs: 1_795_324_480_000 }
  return { state, clock: new BootClock({ monotonicNs: () => state.monotonicNs, uptime: () => `${state.uptime} 99.00\n`, nowMs: () => state.nowMs }) }
}

test('without a suspend, both clocks are one', () => {
  const { clock } = simulated(1_583_418_255_097n, '1583.41')
  assert.equal(clock.nowNs(), 1_583_418_255_097n)
})

test('a suspend is added, also one that comes later', () => {
  const { clock, state } = simulated(100_000_000_000n, '160.00')
  assert.equal(clock.nowNs(), 160_000_000_000n)
  state.monotonicNs += 1_000_000_000n
  state.uptime = '171.00'
  clock.refresh()
  assert.equal(clock.nowNs(), 171_000_000_000n)
})

test('the step of the coarse clock does not make time jump', () => {
  const { clock, state } = simulated(100_000_000_000n, '160.00')
  state.monotonicNs += 1_009_000_000n
  state.uptime = '161.00'
  clock.refresh()
  assert.equal(clock.nowNs(), 161_009_000_000n)
})

test('unixNs() gives the moment in wall time', () => {
  const { clock } = simulated(100_000_000_000n, '100.00')
  assert.equal(clock.unixNs(99_999_000_000n), 1_795_324_479_999_000_000n)
})

test('the real clock agrees with /proc/uptime', () => {
  const difference = new BootClock().nowNs() - new BootClock().nowNs()
  assert.ok(difference <= 0n && difference > -60_000_000_000n)
})
