// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { SimulatedClock, type Clock } from '../../runtime/clock.ts'
import { silentLogger } from '../../runtime/log.ts'
import { KubeError, type Call, type KubeApi, type KubeObject } from './api.ts'
import { LeaderElection } from './lease.ts'

const turns = async (): Promise<void> => { for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve)) }

/** One Lease, with the API server's rules for writing it. */
class Store {
  lease: KubeObject | undefined
  writes = 0
  #version = 0

  api(isReachable: () => boolean = () => true): KubeApi {
    return {
      watch: async () => ({ ok: true }),
      call: async (call) => {
        await new Promise((resolve) => setImmediate(resolve))
        if (!isReachable()) throw new KubeError(0, 'no route')
        return this.#answer(call)
      },
    }
  }

  #answer({ method, body }: Call): KubeObject {
    if (method === 'GET') {
      if (!this.lease) throw new KubeError(404, 'not found')
      return this.lease
    }
    const sent = body as KubeObject
    const isStale = this.lease === undefined ? method === 'PUT' : method === 'POST' || sent.metadata?.resourceVersion !== this.lease.metadata?.resourceVersion
    if (isStale) throw new KubeError(409, 'conflict')
    this.writes += 1
    this.lease = { ...sent, metadata: { ...sent.metadata, resourceVersion: String(++this.#version) } }
    return this.lease
  }

  get spec(): Readonly<Record<string, unknown>> {
    return this.lease?.['spec'] as Readonly<Record<string, unknown>>
  }
}

class Replica {
  readonly changes: boolean[] = []
  isReachable = true
  readonly election: LeaderElection

  constructor(store: Store, identity: string, clock: Clock) {
    this.election = new LeaderElection({
      api: store.api(() => this.isReachable), namespace: 'merlon', name: 'operator', identity, clock, logger: silentLogger, random: () => 0.5, onChange: (leads) => this.changes.push(leads),
    })
    this.election.start()
  }
}

async function pass(clock: SimulatedClock, seconds: number): Promise<void> {
  for (let step = 0; step < seconds * 4; step++) {
    await turns()
    clock.advance(250)
  }
  await turns()
}

describe('LeaderElection', () => {
  it('makes one of two the leader, who stays it', async () => {
    const [store, clock] = [new Store(), new SimulatedClock(1e12)]
    const replicas = [new Replica(store, 'a', clock), new Replica(store, 'b', clock)]
    await pass(clock, 60)
    assert.deepEqual(replicas.map(({ election }) => election.leads), [true, false])
    assert.deepEqual(replicas.map(({ changes }) => changes), [[true], []])
    assert.deepEqual([store.spec['holderIdentity'], store.spec['leaseTransitions']], ['a', 0])
    assert.match(String(store.spec['renewTime']), /^\d{4}-\d\d-\d\dT[\d:]+\.\d{6}Z$/)
  })

  it('stops to lead ten seconds after its last renewal began, before anybody else leads', async () => {
    const [store, clock] = [new Store(), new SimulatedClock(1e12)]
    const [a, b] = [new Replica(store, 'a', clock), new Replica(store, 'b', clock)]
    await pass(clock, 10)
    a.isReachable = false
    let both = false
    for (let second = 0; second < 30 && !b.election.leads; second++) {
      await pass(clock, 1)
      both ||= a.election.leads && b.election.leads
    }
    assert.deepEqual([both, a.election.leads, b.election.leads, a.changes], [false, false, true, [true, false]])
    a.isReachable = true
    await pass(clock, 30)
    assert.deepEqual([a.election.leads, b.election.leads, store.spec['leaseTransitions']], [false, true, 1])
  })

  it('does not lead by its own word when its process slept: the time is looked at with each question', async () => {
    const [store, clock] = [new Store(), new SimulatedClock(1e12)]
    const late = { now: () => clock.now() + skip, monotonic: () => clock.monotonic() + skip, after: clock.after.bind(clock) }
    let skip = 0
    const replica = new Replica(store, 'a', late)
    await pass(clock, 5)
    assert.equal(replica.election.leads, true)
    skip = 11_000
    assert.equal(replica.election.leads, false)
  })

  it('gives the lease back when it ends, so that the next one need not wait', async () => {
    const [store, clock] = [new Store(), new SimulatedClock(1e12)]
    const [a, b] = [new Replica(store, 'a', clock), new Replica(store, 'b', clock)]
    await pass(clock, 5)
    await a.election.stop()
    assert.deepEqual([a.changes, store.spec['holderIdentity']], [[true, false], ''])
    await pass(clock, 3)
    assert.equal(b.election.leads, true)
  })

  it('takes a lease over only when it has not changed for its whole duration, whatever its times say', async () => {
    const [store, clock] = [new Store(), new SimulatedClock(1e12)]
    store.lease = { metadata: { resourceVersion: '7' }, spec: { holderIdentity: 'gone', renewTime: '2001-01-01T00:00:00.000000Z', leaseTransitions: 4 } }
    const replica = new Replica(store, 'a', clock)
    await pass(clock, 14)
    assert.equal(replica.election.leads, false)
    store.lease = undefined
    await pass(clock, 5)
    assert.equal(replica.election.leads, true)
  })
})
