// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Endpoints } from './endpoints.ts'

/** Numbers that look random and are the same on every run. */
function seeded(seed: number): () => number {
  let state = seed
  return () => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0
    return state / 2 ** 32
  }
}

async function take(endpoints: Endpoints, count: number): Promise<string[]> {
  const taken: string[] = []
  while (taken.length < count) taken.push(await endpoints.next())
  return taken
}

describe('Endpoints', () => {
  it('goes through all replicas before any comes again', async () => {
    const endpoints = new Endpoints('a:1', { random: seeded(1), resolve: async () => ['10.0.0.1', '10.0.0.2', 'fd00::3'] })
    for (let round = 0; round < 20; round++) assert.deepEqual((await take(endpoints, 3)).toSorted(), ['10.0.0.1:1', '10.0.0.2:1', '[fd00::3]:1'])
  })

  it('never gives the same one twice in a row where there is another', async () => {
    const taken = await take(new Endpoints('10.0.0.1:1, 10.0.0.2:1', { random: seeded(7) }), 200)
    for (const [index, address] of taken.entries()) assert.notEqual(address, taken[index + 1])
  })

  it('spreads many clients evenly over what they try first', async () => {
    const counts = new Map<string, number>()
    const random = seeded(42)
    for (let client = 0; client < 3000; client++) {
      const address = await new Endpoints('unix:/a,unix:/b,unix:/c', { random }).next()
      counts.set(address, (counts.get(address) ?? 0) + 1)
    }
    for (const count of counts.values()) assert.ok(count > 850 && count < 1150, JSON.stringify([...counts]))
  })

  it('sees replicas that come and go', async () => {
    let replicas = ['10.0.0.1']
    const endpoints = new Endpoints('a:1', { random: seeded(3), resolve: async () => replicas })
    assert.equal(await endpoints.next(), '10.0.0.1:1')
    replicas = ['10.0.0.2']
    assert.equal(await endpoints.next(), '10.0.0.2:1')
  })

  it('falls back on the name itself, and takes addresses and sockets as they are', async () => {
    const endpoints = new Endpoints('a:1', { random: seeded(3), resolve: () => Promise.reject(new Error('ENOTFOUND')) })
    assert.equal(await endpoints.next(), 'a:1')
    const never = (): Promise<string[]> => Promise.reject(new Error('asked'))
    assert.deepEqual((await take(new Endpoints('[::1]:5,unix:/x', { random: seeded(3), resolve: never }), 2)).toSorted(), ['[::1]:5', 'unix:/x'])
  })

  it('refuses what is no address', () => {
    for (const text of ['', 'a:1,', 'a', 'a:1 b:2']) assert.throws(() => new Endpoints(text, { random: Math.random }), /Cannot use address/, text)
  })
})
