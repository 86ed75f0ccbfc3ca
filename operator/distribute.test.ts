// SPDX-License-Identifier: Apache-2.0
// Many agents of one operator, some of which do not behave.
import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { VERSION } from '../policy/table.ts'
import { SimulatedClock } from '../runtime/clock.ts'
import type { Ack } from '../proto/gen/merlon/v1/Ack.ts'
import { createLogger, type LogRecord } from '../runtime/log.ts'
import type { TestAgent } from './testing/agent.ts'
import { policyText } from './testing/manifests.ts'
import { app, TestServer } from './testing/server.ts'

const web = [app('a', 'web')]
describe('a hundred agents', { timeout: 600_000 }, () => {
  let server: TestServer
  /** It stands still unless told otherwise: nobody's patience ends while a busy machine is slow. */
  let clock: SimulatedClock
  const log: LogRecord[] = []
  beforeEach(async () => {
    log.length = 0
    clock = new SimulatedClock(1_800_000_000_000)
    server = new TestServer(createLogger('operator', (record) => log.push(record)), clock)
    await server.server.start()
  })
  afterEach(() => server.close())

  const connect = (count: number): Promise<TestAgent[]> => Promise.all(Array.from({ length: count }, async (_, index) => {
    const agent = await server.agent(web, { hello: { node: `n${index}` } })
    return agent.until(({ messages }) => messages.length > 0)
  }))

  it('are not delayed by one that does not read, one that does not acknowledge, and one that ends in the middle; each gets the latest state later', async () => {
    const { promise: released, resolve: release } = Promise.withResolvers<Ack>()
    const stalled = await server.agent(web, { hello: { node: 'stalled' }, ack: () => released })
    await stalled.until(({ messages }) => messages.length === 1)
    const silent = await server.agent(web, { hello: { node: 'silent' }, ack: () => undefined })
    const leaving = await server.agent(web, { hello: { node: 'leaving' } })
    const others = await connect(97)
    const rounds = 12
    for (let round = 1; round <= rounds; round++) {
      if (round === 5) leaving.close()
      server.policies(policyText({ name: `r${round}` }))
      await Promise.all(others.map((agent) => agent.until((each) => each.policiesOf('a')?.includes(`r${round}`) === true)))
    }
    // What an agent has not acknowledged is bounded, whatever else happens.
    for (const node of ['stalled', 'silent']) assert.equal(server.server.sessions.get(node)?.view?.lag, 8, node)
    assert.notDeepEqual(silent.policiesOf('a'), [`r${rounds}`])
    release({ tables: [] })
    await stalled.until((agent) => agent.policiesOf('a')?.includes(`r${rounds}`) === true)
    assert.equal(stalled.messages.length, 9, 'what was on its way, and the latest state')
  })

  it('that do not acknowledge get the latest state from time to time, and at once where a container waits', async () => {
    const silent = await server.agent(web, { ack: () => undefined })
    for (let round = 1; round <= 12; round++) {
      server.policies(policyText({ name: `r${round}` }))
      await server.reconciler.settled()
      if (round <= 8) await silent.until((agent) => agent.policiesOf('a')?.[0] === `r${round}`)
    }
    await silent.report([app('held', 'web', { waiting: true })])
    await silent.until(({ bindings }) => bindings.has('held'))
    assert.deepEqual([silent.policiesOf('held'), silent.policiesOf('a')], [['r12'], ['r8']])
    clock.advance(5_000)
    await silent.until((agent) => agent.policiesOf('a')?.[0] === 'r12')
  })

  it('have their own tables and nothing of another\'s: a table is sent to whom it concerns, once', async () => {
    const apps = ['web', 'db']
    const agents = await Promise.all(Array.from({ length: 20 }, (_, index) => server.agent([app('a', apps[index % 2] ?? ''), app('b', apps[index % 2] ?? '')], { hello: { node: `n${index}` } })))
    server.policies(policyText({ name: 'p' }), policyText({ name: 'q', app: 'db', path: '/bin/q' }))
    await Promise.all(agents.map((agent, index) => agent.until(() => agent.policiesOf('b')?.join() === (index % 2 === 0 ? 'p' : 'q'))))
    for (const [index, agent] of agents.entries()) {
      assert.deepEqual(agent.messages.flatMap(({ tables }) => tables).length, 1)
      assert.deepEqual([...agent.profiles.values()].flatMap(({ clauses }) => clauses.map(({ policy }) => policy)).filter((policy) => policy === (index % 2 === 0 ? 'q' : 'p')), [])
    }
  })

  it('that lie in their acknowledgements harm nobody, and are not believed beyond what they were sent', async () => {
    const table = Buffer.alloc(32, 7)
    const lies: Record<string, Ack> = {
      future: { generation: Number.MAX_SAFE_INTEGER, tables: [table] },
      'no table': { tables: [] },
      'another table': { tables: [table] },
      'many tables': { tables: Array.from({ length: 20_000 }, (_, index) => Buffer.from(String(index).padStart(32, '0'))) },
      'many failures': { tables: [table], errors: Array.from({ length: 20_000 }, (_, index) => ({ code: 'X', message: 'y'.repeat(100), workload: `w${index}` })) },
      'wide failure': { errors: [{ code: 'C'.repeat(100_000), message: 'm'.repeat(100_000), workload: 'a' }], canary: { ran: true, refused: false, message: 'c'.repeat(100_000) } },
    }
    server.policies(policyText({ name: 'p' }))
    const honest = await server.agent(web, { hello: { node: 'honest' } })
    for (const [node, ack] of Object.entries(lies)) {
      const agent = await server.agent(web, { hello: { node }, ack: () => ack })
      await agent.until(({ messages }) => messages.length > 0)
      await server.status(({ nodes }) => nodes.some((each) => each.node === node && each.acknowledgedAt !== ''))
    }
    const { policies: [policy], nodes } = await server.status(({ nodes: all }) => all.length === 1 + Object.keys(lies).length && all.every(({ acknowledgedAt }) => acknowledgedAt !== ''))
    assert.equal(policy?.nodes.programmed, 1, JSON.stringify(policy))
    assert.ok(JSON.stringify(nodes).length < 2_000_000)
    assert.ok(log.filter(({ level }) => level === 'warn').length < 50, 'a liar does not fill the log')
    server.policies(policyText({ name: 'p2' }))
    await honest.until((agent) => agent.policiesOf('a')?.[0] === 'p2')
  })

  it('are refused where their node\'s name is none', async () => {
    const agent = server.raw()
    await agent.send({ hello: { node: 'n'.repeat(254), table_versions: [VERSION] } })
    const end = await agent.drain()
    assert.ok(!end.ok && end.message.startsWith('MERLON_OPERATOR_NO_NODE'), JSON.stringify(end))
    assert.equal(server.server.sessions.size, 0)
  })

  it('are forgotten when their node has left the cluster, and their stream has ended', async () => {
    const { reconciler, server: { sessions } } = server
    const node = (name: string): Map<string, { name: string; labels: Record<string, string> }> => new Map([[name, { name, labels: {} }]])
    reconciler.change({ nodes: new Map([...node('n0'), ...node('n1'), ...node('n2')]) })
    const [first, second] = await connect(2)
    reconciler.change({ nodes: new Map([['n0', undefined], ['n2', undefined]]) })
    await reconciler.settled()
    assert.deepEqual([[...reconciler.nodes.keys()], [...sessions.keys()].toSorted()], [['n0', 'n1'], ['n0', 'n1']], 'the agent of n0 is served as long as it is there')
    server.policies(policyText({ name: 'p' }))
    await first?.until((agent) => agent.policiesOf('a')?.[0] === 'p')
    first?.close()
    await server.status(({ nodes }) => nodes.length === 1)
    assert.deepEqual([[...reconciler.nodes.keys()], [...sessions.keys()]], [['n1'], ['n1']])
    second?.close()
    // That one is in the cluster: what was last known of it stays.
    await server.status(({ nodes }) => nodes[0]?.connected === false)
    assert.deepEqual([...sessions.keys()], ['n1'])
  })
})
