// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Subscriber, type Outlet } from './subscriber.ts'

/** Takes `room` events, then says that it is full until drained. */
class FakeOutlet implements Outlet {
  readonly written: string[] = []
  ended = false
  #room: number
  #onDrain = (): void => {}

  constructor(room: number) {
    this.#room = room
  }

  write(bytes: Buffer): boolean {
    this.written.push(bytes.toString())
    this.#room -= 1
    return this.#room > 0
  }

  on(_event: 'drain', listener: () => void): void {
    this.#onDrain = listener
  }

  end(): void {
    this.ended = true
  }

  drain(room: number): void {
    this.#room = room
    this.#onDrain()
  }
}

function make(room: number, capacity: number): { outlet: FakeOutlet; subscriber: Subscriber; offer: (...names: string[]) => void } {
  const outlet = new FakeOutlet(room)
  const subscriber = new Subscriber({ feed: 'alerts', peer: 'here', outlet, capacity })
  return { outlet, subscriber, offer: (...names) => {
    for (const name of names) subscriber.offer(Buffer.from(name))
  } }
}

test('what the stream does not take waits, and what does not fit is lost and counted once', () => {
  const { outlet, subscriber, offer } = make(1, 2)
  offer('a', 'b', 'c', 'd', 'e')
  assert.deepEqual(outlet.written, ['a'])
  assert.equal(subscriber.queued, 2)
  assert.equal(subscriber.takeLost(), 2)
  assert.equal(subscriber.takeLost(), 0)
  outlet.drain(10)
  offer('f')
  assert.deepEqual(outlet.written, ['a', 'b', 'c', 'f'])
  assert.equal(subscriber.queued, 0)
})

test('denials have room of their own, keep their place among the others, and are lost in the end, too', () => {
  const { outlet, subscriber, offer } = make(1, 2)
  const deny = (...names: string[]): void => names.forEach((name) => subscriber.offer(Buffer.from(name), true))
  offer('a', 'b', 'c', 'lost')
  deny('D')
  offer('lost')
  deny('E', 'lost')
  assert.equal(subscriber.takeLost(), 3)
  outlet.drain(2)
  offer('lost')
  deny('F')
  outlet.drain(10)
  assert.deepEqual(outlet.written, ['a', 'b', 'c', 'D', 'E', 'F'])
})

test('an event that comes while others wait does not overtake them', () => {
  const { outlet, offer } = make(1, 10)
  offer('a', 'b', 'c')
  outlet.drain(1)
  offer('d')
  outlet.drain(10)
  assert.deepEqual(outlet.written, ['a', 'b', 'c', 'd'])
})

test('end() closes the stream and counts what waited as lost; later offers do nothing', () => {
  const { outlet, subscriber, offer } = make(1, 10)
  offer('a', 'b', 'c')
  subscriber.end()
  subscriber.end()
  offer('d')
  outlet.drain(10)
  assert.ok(outlet.ended)
  assert.deepEqual(outlet.written, ['a'])
  assert.equal(subscriber.takeLost(), 2)
})

test('whatever the order of offers and drains: in order, none twice, written + waiting + lost = offered', () => {
  const step = fc.oneof(fc.record({ offers: fc.integer({ min: 1, max: 9 }) }), fc.record({ room: fc.integer({ min: 1, max: 9 }) }))
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), fc.integer({ min: 1, max: 6 }), (steps, capacity) => {
      const { outlet, subscriber, offer } = make(1, capacity)
      let offered = 0
      let lost = 0
      for (const each of steps) {
        if ('room' in each) outlet.drain(each.room)
        else for (let index = 0; index < each.offers; index += 1) offer(String(offered++))
        lost += subscriber.takeLost()
        assert.ok(subscriber.queued <= capacity)
        assert.equal(outlet.written.length + subscriber.queued + lost, offered)
      }
      const numbers = outlet.written.map(Number)
      assert.deepEqual(numbers, [...new Set(numbers)].toSorted((a, b) => a - b))
    }),
  )
})
