// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { SimulatedClock } from './clock.ts'
import { Seats } from './seats.ts'

/** A seat that asks for an address when told to. */
interface Place {
  readonly find: () => Promise<string | undefined>
  at: string | undefined
  isOver: boolean
}

class Service {
  readonly clock = new SimulatedClock(1)
  readonly #abort = new AbortController()
  readonly seats: Seats<Place>
  readonly #running: Promise<void>
  addresses: readonly string[]

  constructor(...addresses: readonly string[]) {
    this.addresses = addresses
    this.seats = new Seats<Place>({
      clock: this.clock,
      addresses: () => Promise.resolve(this.addresses),
      open: (find) => ({ find, at: undefined, isOver: false }),
      keep: async (place, signal) => {
        place.at = await place.find()
        await new Promise((resolve) => { signal.addEventListener('abort', resolve) })
        place.isOver = true
      },
    })
    this.#running = this.seats.run(this.#abort.signal)
  }

  get at(): readonly (string | undefined)[] {
    return this.seats.all.map(({ at }) => at)
  }

  async pass(ms: number): Promise<void> {
    for (let left = ms; left > 0; left -= 5_000) {
      this.clock.advance(Math.min(left, 5_000))
      await turn()
    }
    await turn()
  }

  /** The replica of this seat is gone: it looks for another. */
  async lose(address: string): Promise<void> {
    const place = this.seats.all.find(({ at }) => at === address)
    if (place) place.at = await place.find()
  }

  async stop(): Promise<void> {
    this.#abort.abort()
    await this.#running
  }
}

async function turn(): Promise<void> {
  for (let count = 0; count < 20; count++) await Promise.resolve()
}

describe('Seats', () => {
  it('are one for each replica, each at its own', async () => {
    const service = new Service('a', 'b', 'c')
    await turn()
    assert.deepEqual(new Set(service.at), new Set(['a', 'b', 'c']))
    await service.stop()
    assert.deepEqual(service.seats.all.map(({ isOver }) => isOver), [true, true, true])
  })

  it('follow replicas that come', async () => {
    const service = new Service('a')
    await turn()
    service.addresses = ['a', 'b']
    await service.pass(15_000)
    assert.deepEqual(service.at, ['a', 'b'])
    await service.stop()
  })

  it('wait for a replacement, which takes over with what waits for it', async () => {
    const service = new Service('a', 'b')
    await turn()
    const [, seat] = service.seats.all
    service.addresses = ['a']
    await service.lose('b')
    assert.deepEqual(service.at, ['a', undefined])
    service.addresses = ['a', 'c']
    await service.pass(15_000)
    if (seat) seat.at = await seat.find()
    assert.deepEqual(service.at, ['a', 'c'])
    await service.stop()
  })

  it('are given up when nobody has come for a while, but for the last one', async () => {
    const service = new Service('a', 'b')
    await turn()
    const [, seat] = service.seats.all
    service.addresses = ['a']
    await service.lose('b')
    await service.pass(45_000)
    assert.equal(service.seats.all.length, 2)
    await service.pass(30_000)
    assert.deepEqual([service.at, seat?.isOver], [['a'], true])
    service.addresses = []
    await service.lose('a')
    await service.pass(300_000)
    assert.deepEqual(service.at, [undefined])
    await service.stop()
  })

  it('prefer another replica to the one that was just lost, and take that where there is no other', async () => {
    const service = new Service('a')
    await turn()
    await service.lose('a')
    assert.deepEqual(service.at, ['a'])
    service.addresses = ['a', 'b']
    await service.lose('a')
    assert.deepEqual(service.at, ['b'])
    await service.stop()
  })

  it('are bounded', async () => {
    const service = new Service(...Array.from({ length: 100 }, (_, index) => `r${index}`))
    await turn()
    assert.equal(service.seats.all.length, 16)
    await service.stop()
  })
})
