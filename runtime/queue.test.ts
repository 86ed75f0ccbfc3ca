// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { BoundedQueue } from './queue.ts'

describe('BoundedQueue', () => {
  it('drops and counts what comes when it is full', () => {
    const queue = new BoundedQueue<number>({ capacity: 2 })
    assert.deepEqual([queue.push(1), queue.push(2), queue.push(3)], [true, true, false])
    assert.equal(queue.takeDropped(), 1)
    assert.equal(queue.takeDropped(), 0)
    assert.deepEqual(queue.takeUpTo(9), [1, 2])
  })

  it('drops the oldest where asked to', () => {
    const queue = new BoundedQueue<number>({ capacity: 2, drop: 'oldest' })
    assert.deepEqual([queue.push(1), queue.push(2), queue.push(3)], [true, true, false])
    assert.equal(queue.takeDropped(), 1)
    assert.deepEqual(queue.takeUpTo(9), [2, 3])
  })

  it('keeps the order over many rounds, as an array would', () => {
    const queue = new BoundedQueue<number>({ capacity: 5000 })
    const model: number[] = []
    for (let step = 0; step < 20_000; step++) {
      if (step % 3 !== 2) {
        if (queue.push(step)) model.push(step)
      } else assert.equal(queue.shift(), model.shift())
      assert.equal(queue.size, model.length)
    }
    assert.deepEqual(queue.takeUpTo(100_000), model)
    assert.equal(queue.size, 0)
  })

  it('iterates until it is closed and empty', async () => {
    const queue = new BoundedQueue<number>({ capacity: 10 })
    queue.push(1)
    const seen: number[] = []
    const consumer = (async () => {
      for await (const item of queue) {
        seen.push(item)
        if (item === 1) queue.push(2)
        if (item === 2) {
          queue.push(3)
          queue.close()
        }
      }
    })()
    await consumer
    assert.deepEqual(seen, [1, 2, 3])
    assert.equal(queue.push(4), false)
    assert.equal(queue.takeDropped(), 1)
  })

  it('wakes a waiting consumer', async () => {
    const queue = new BoundedQueue<string>({ capacity: 1 })
    const ready = queue.ready()
    queue.push('x')
    assert.equal(await ready, true)
    assert.equal(queue.shift(), 'x')
  })

  it('stops waiting when aborted', async () => {
    const queue = new BoundedQueue<string>({ capacity: 1 })
    const abort = new AbortController()
    const ready = queue.ready(abort.signal)
    abort.abort()
    assert.equal(await ready, false)
  })

  it('refuses a capacity that is none', () => {
    for (const capacity of [0, -1, 1.5, Number.NaN]) assert.throws(() => new BoundedQueue({ capacity }), RangeError)
  })
})
