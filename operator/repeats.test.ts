// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, it } from 'node:test'
import type { Ack } from '../proto/gen/merlon/v1/Ack.ts'
import { SimulatedClock } from '../runtime/clock.ts'
import { silentLogger } from '../runtime/log.ts'
import { Repeats } from './repeats.ts'
import type { TestAgent } from './testing/agent.ts'
import { policyText } from './testing/manifests.ts'
import { app, TestServer } from './testing/server.ts'

const lacking = (workload: string, code = 'MERLON_AGENT_TABLE_MISSING'): Ack => ({ errors: [{ code, message: 'not here', workload }] })

describe('Repeats', () => {
  function start() {
    const clock = new SimulatedClock()
    const at: number[] = []
    return { clock, at, repeats: new Repeats(clock, () => { at.push(clock.now()) }) }
  }

  it('repeats at once, then after growing pauses, however often the lack is told', () => {
    const { clock, at, repeats } = start()
    for (let ms = 0; ms <= 300_000; ms += 500) {
      repeats.note(true)
      clock.advance(500)
    }
    assert.deepEqual(at, [0, 1_500, 6_500, 36_500, 156_500, 276_500])
  })

  it('begins anew once nothing lacks', () => {
    const { clock, at, repeats } = start()
    repeats.note(true)
    repeats.note(true)
    repeats.note(false)
    clock.advance(10_000)
    repeats.note(true)
    repeats.end()
    assert.deepEqual([at, clock.waiting], [[0, 10_000], 0])
  })
})

describe('An agent that lacks what it was sent', { timeout: 600_000 }, () => {
  let bench: TestServer
  let clock: SimulatedClock
  beforeEach(async () => {
    clock = new SimulatedClock(1_800_000_000_000)
    bench = new TestServer(silentLogger, clock)
    bench.policies(policyText({ name: 'p' }))
    await bench.server.start()
  })
  afterEach(() => bench.close())

  const acknowledged = async (generation: number): Promise<void> => {
    await bench.status(() => bench.server.sessions.get('n1')?.view?.lastAck?.generation === generation)
  }

  it('gets it again at once where a removal crossed a binding', async () => {
    const ack = async ({ generation }: { readonly generation: number }, agent: TestAgent): Promise<Ack> => {
      if (generation !== 2) return { tables: [...agent.tables.keys()].map((hash) => Buffer.from(hash, 'hex')) }
      // As an agent does that forgot them with `a` while this message was on its way.
      agent.tables.clear()
      agent.profiles.clear()
      await agent.report([], false, ['a'])
      return lacking('b', 'MERLON_AGENT_PROFILE_UNKNOWN')
    }
    const agent = await bench.agent([app('a', 'web')], { ack })
    await acknowledged(1)
    await agent.report([app('b', 'web')])
    await agent.until(({ messages }) => messages.length === 3)
    assert.deepEqual(agent.messages.map(({ tables, profiles, bindings }) => [tables.length, profiles.length, bindings.map(({ workload }) => workload)]), [[1, 1, ['a']], [0, 0, ['b']], [1, 1, ['b']]])
    const status = await bench.status(({ policies }) => policies[0]?.state === 'programmed')
    assert.deepEqual(status.policies[0]?.workloads, { selected: 1, programmed: 1 })
  })

  it('is not waited for when it has gone', async () => {
    const agent = await bench.agent([app('a', 'web')], { ack: () => lacking('a') })
    await acknowledged(2)
    const session = bench.server.sessions.get('n1')
    assert.ok(clock.waiting > 0)
    agent.close()
    // Its last word comes when it has let go of everything.
    await bench.status(() => session?.isOpen === false)
    assert.equal(clock.waiting, 0)
  })

  it('that says so for good gets it ever more rarely, and what is new at once', async () => {
    const agent = await bench.agent([app('a', 'web')], { ack: () => lacking('a') })
    await acknowledged(2)
    for (const [index, ms] of [1_000, 5_000, 30_000, 120_000, 120_000].entries()) {
      clock.advance(ms - 1)
      assert.equal(agent.messages.length, index + 2)
      clock.advance(1)
      await acknowledged(index + 3)
    }
    assert.ok(agent.messages.every(({ tables }) => tables.length === 1))
    bench.policies(policyText({ name: 'q' }))
    await agent.until((now) => now.policiesOf('a')?.[0] === 'q')
    assert.equal(agent.messages.length, 8)
  })
})
