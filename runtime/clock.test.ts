// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Backoff } from './backoff.ts'
import { every, SimulatedClock, sleep, systemClock } from './clock.ts'

describe('SimulatedClock', () => {
  it('fires timers in the order of their times, then of their creation', () => {
    const clock = new SimulatedClock(1000)
    const fired: string[] = []
    clock.after(20, () => fired.push(`b@${clock.now()}`))
    clock.after(10, () => fired.push(`a@${clock.now()}`))
    clock.after(20, () => fired.push('c'))
    clock.advance(19)
    assert.deepEqual(fired, ['a@1010'])
    clock.advance(1)
    assert.deepEqual(fired, ['a@1010', 'b@1020', 'c'])
  })

  it('fires timers that a callback sets on the way', () => {
    const clock = new SimulatedClock()
    let count = 0
    const tick = (): void => {
      count += 1
      clock.after(10, tick)
    }
    clock.after(10, tick)
    clock.advance(100)
    assert.equal(count, 10)
    assert.equal(clock.now(), 100)
    assert.equal(clock.waiting, 1)
  })

  it('leaves cancelled timers alone', () => {
    const clock = new SimulatedClock()
    const timer = clock.after(1, () => assert.fail('fired'))
    timer.cancel()
    timer.cancel()
    clock.advance(10)
    assert.equal(clock.waiting, 0)
  })
})

describe('every()', () => {
  it('repeats until cancelled, which may be from within; one that throws goes on', () => {
    const clock = new SimulatedClock()
    const fired: number[] = []
    const timer = every(clock, 10, () => {
      fired.push(clock.now())
      if (fired.length === 2) throw new Error('once')
      if (fired.length === 3) timer.cancel()
    })
    assert.throws(() => clock.advance(25), /once/)
    clock.advance(100)
    assert.deepEqual(fired, [10, 20, 30])
    assert.equal(clock.waiting, 0)
  })
})

describe('sleep()', () => {
  it('resolves true after its time', async () => {
    const clock = new SimulatedClock()
    const slept = sleep(clock, 50)
    clock.advance(50)
    assert.equal(await slept, true)
  })

  it('resolves false when aborted, before or during, and leaves no timer', async () => {
    const clock = new SimulatedClock()
    assert.equal(await sleep(clock, 50, AbortSignal.abort()), false)
    const abort = new AbortController()
    const slept = sleep(clock, 50, abort.signal)
    abort.abort()
    assert.equal(await slept, false)
    assert.equal(clock.waiting, 0)
  })

  it('works on the system clock', async () => {
    const start = systemClock.monotonic()
    assert.equal(await sleep(systemClock, 5), true)
    assert.ok(systemClock.monotonic() - start >= 4)
  })
})

describe('Backoff', () => {
  const options = { baseMs: 100, capMs: 1000, clock: new SimulatedClock() }

  it('doubles its limit up to the cap', () => {
    const backoff = new Backoff({ ...options, random: () => 0.999 })
    assert.deepEqual(Array.from({ length: 6 }, () => backoff.next()), [99, 199, 399, 799, 999, 999])
  })

  it('takes a random share of the limit, zero included', () => {
    const shares = [0, 0.5, 0.25]
    const backoff = new Backoff({ ...options, random: () => shares.shift() ?? 0 })
    assert.deepEqual([backoff.next(), backoff.next(), backoff.next()], [0, 100, 100])
  })

  it('starts over after a reset', () => {
    const backoff = new Backoff({ ...options, random: () => 0.5 })
    backoff.next()
    backoff.next()
    assert.equal(backoff.attempts, 2)
    backoff.reset()
    assert.equal(backoff.next(), 50)
  })

  it('stays at the cap after thousands of attempts', () => {
    const backoff = new Backoff({ ...options, random: () => 0.5 })
    for (let index = 0; index < 5000; index++) backoff.next()
    assert.equal(backoff.next(), 500)
  })

  it('waits on the clock', async () => {
    const clock = new SimulatedClock()
    const backoff = new Backoff({ ...options, clock, random: () => 0.5 })
    const waited = backoff.wait()
    clock.advance(49)
    assert.equal(clock.waiting, 1)
    clock.advance(1)
    assert.equal(await waited, true)
  })
})
