// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { SimulatedClock } from './clock.ts'
import { WorkQueue } from './workqueue.ts'

const turns = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

class Scenario {
  readonly clock = new SimulatedClock(1000)
  readonly worked: string[] = []
  readonly errors: unknown[] = []
  outcome: (key: string) => Promise<boolean> = async () => true
  readonly queue: WorkQueue

  constructor(intervalMs = 0) {
    this.queue = new WorkQueue({
      clock: this.clock, random: () => 0.999, intervalMs, onError: (_key, error) => this.errors.push(error),
      work: (key) => {
        this.worked.push(key)
        return this.outcome(key)
      },
    })
  }
}

describe('WorkQueue', () => {
  it('gives a key one turn, however often it was added before it', async () => {
    const scenario = new Scenario(100)
    for (const key of ['a', 'b', 'b', 'a', 'b']) scenario.queue.add(key)
    await turns()
    assert.deepEqual(scenario.worked, ['a'])
    scenario.clock.advance(100)
    await turns()
    assert.deepEqual(scenario.worked, ['a', 'b'])
    scenario.clock.advance(100)
    await turns()
    // Added again after its first turn had begun: what had changed by then may not have been seen.
    assert.deepEqual(scenario.worked, ['a', 'b', 'a'])
    scenario.clock.advance(1000)
    await turns()
    assert.equal(scenario.worked.length, 3)
  })

  it('comes back to a key that was added while it was worked on', async () => {
    const scenario = new Scenario()
    let release: (done: boolean) => void = () => {}
    scenario.outcome = () => new Promise((resolve) => { release = resolve })
    scenario.queue.add('a')
    scenario.queue.add('a')
    assert.deepEqual(scenario.worked, ['a'])
    release(true)
    await turns()
    assert.deepEqual(scenario.worked, ['a', 'a'])
  })

  it('lets a failing key wait longer and longer, and the others pass', async () => {
    const scenario = new Scenario()
    scenario.outcome = async (key) => {
      if (key === 'bad') throw new Error('no')
      return true
    }
    scenario.queue.add('bad')
    scenario.queue.add('good')
    await turns()
    assert.deepEqual([scenario.worked, scenario.queue.size, scenario.errors.length], [['bad', 'good'], 1, 1])
    // Adding it does not shorten its pause.
    scenario.queue.add('bad')
    await turns()
    assert.equal(scenario.worked.length, 2)
    for (const ms of [199, 399, 799]) {
      scenario.clock.advance(ms - 1)
      await turns()
      const before: number = scenario.worked.length
      scenario.clock.advance(1)
      await turns()
      assert.equal(scenario.worked.length, before + 1)
    }
    scenario.outcome = async () => true
    scenario.clock.advance(2000)
    await turns()
    assert.equal(scenario.queue.size, 0)
  })

  it('never goes faster than its interval', async () => {
    const scenario = new Scenario(100)
    for (let index = 0; index < 50; index++) scenario.queue.add(`k${index}`)
    for (let step = 0; step < 100; step++) {
      await turns()
      scenario.clock.advance(10)
    }
    // At 0 and at each 100 of 1,000 ms.
    assert.equal(scenario.worked.length, 11)
  })

  it('begins nothing while it is paused, and forgets all when it is cleared', async () => {
    const scenario = new Scenario()
    scenario.queue.pause()
    scenario.queue.add('a')
    await turns()
    assert.deepEqual(scenario.worked, [])
    scenario.queue.resume()
    await turns()
    assert.deepEqual(scenario.worked, ['a'])
    scenario.queue.pause()
    scenario.queue.add('b')
    scenario.queue.clear()
    scenario.queue.resume()
    await turns()
    assert.deepEqual(scenario.worked, ['a'])
  })
})
