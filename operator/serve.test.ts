// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { status } from '@grpc/grpc-js'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { VERSION } from '../policy/table.ts'
import { systemClock } from '../runtime/clock.ts'
import { silentLogger } from '../runtime/log.ts'
import { nameOf } from './files.ts'
import { policyLibrary } from './library.ts'
import type { OperatorStatus } from './status.ts'
import type { TestAgent } from './testing/agent.ts'
import { hostPolicyText, policyText } from './testing/manifests.ts'
import { app, TestServer } from './testing/server.ts'

describe('NodeSyncServer', { timeout: 600_000 }, () => {
  let bench: TestServer
  beforeEach(async () => {
    bench = new TestServer()
    await bench.server.start()
  })
  afterEach(() => bench.close())

  it('answers a report with one snapshot, and an edit with what changed', async () => {
    bench.policies(policyText({ name: 'p' }), policyText({ name: 'q', app: 'db', path: '/bin/q' }))
    const agent = await bench.agent([app('a', 'web'), app('b', 'db'), app('c', 'none')])
    await agent.until(({ messages }) => messages.length === 1)
    assert.equal(agent.messages[0]?.full, true)
    assert.deepEqual(['a', 'b', 'c'].map((id) => agent.policiesOf(id)), [['p'], ['q'], []])
    bench.policies(policyText({ name: 'p', path: '/bin/new' }), policyText({ name: 'q', app: 'db', path: '/bin/q' }))
    await agent.until(({ messages }) => messages.length === 2)
    const [, delta] = agent.messages
    assert.equal(delta?.full, false)
    assert.equal(delta?.tables.length, 1)
    // The policies were all read again: profiles say the same but for what was edited, so only that workload is sent.
    assert.deepEqual(delta?.bindings.map((binding) => binding.workload), ['a'])
  })

  it('binds new workloads, the waiting ones in a message of their own, and forgets those that are gone', async () => {
    bench.policies(policyText({ name: 'p' }))
    const agent = await bench.agent([])
    await agent.until(({ messages }) => messages.length === 1)
    await agent.report([app('slow', 'web'), app('held', 'web', { waiting: true })])
    await agent.until(({ bindings }) => bindings.has('held') && bindings.has('slow'))
    assert.deepEqual(agent.messages[1]?.bindings.map((binding) => binding.workload), ['held'])
    const seen = agent.messages.length
    await agent.report([], false, ['held'])
    await agent.report([app('next', 'web')])
    await agent.until(({ bindings }) => bindings.has('next'))
    assert.deepEqual(agent.messages.slice(seen).flatMap((message) => message.unbound), [])
  })

  it('gives the host its node labels, and those of the settings', async () => {
    bench.policies(hostPolicyText('by-site', 'site: lab'), hostPolicyText('by-name', 'kubernetes.io/hostname: n1'), hostPolicyText('by-agent', 'zone: z1'), hostPolicyText('other', 'zone: z2'))
    const agent = await bench.agent([{ id: 'host' }], { hello: { node_labels: { zone: 'z1' } } })
    await agent.until(({ bindings }) => bindings.has('host'))
    assert.deepEqual(agent.policiesOf('host')?.toSorted(), ['by-agent', 'by-name', 'by-site'])
  })

  it('respects what a returning agent holds: generation and tables', async () => {
    bench.policies(policyText({ name: 'p' }))
    const first = await (await bench.agent([app('a', 'web')])).until(({ messages }) => messages.length === 1)
    const held = [...first.tables.keys()].map((hash) => Buffer.from(hash, 'hex'))
    first.close()
    const second = await bench.agent([app('a', 'web')], { hello: { generation: 70, held_tables: held } })
    await second.until(({ messages }) => messages.length === 1)
    const [snapshot] = second.messages
    assert.deepEqual([snapshot?.generation, snapshot?.full, snapshot?.tables.length, snapshot?.profiles.length], [71, true, 0, 1])
  })

  it('ends the older of two streams of one node', async () => {
    const first = await bench.agent([])
    await first.until(({ messages }) => messages.length === 1)
    const second = await bench.agent([])
    await second.until(({ messages }) => messages.length === 1)
    const end = await first.ended
    assert.equal(!end.ok && end.code, status.ABORTED)
    assert.equal(bench.server.sessions.get('n1')?.isOpen, true)
  })
})

describe('NodeSyncServer, where an API says whose containers are', { timeout: 600_000 }, () => {
  let bench: TestServer
  let agent: TestAgent
  const MAIN = 'a-containers-id'

  beforeEach(async () => {
    bench = new TestServer(silentLogger, systemClock, false)
    await bench.server.start()
    const read = policyLibrary.read([policyText({ name: 'p' }), policyText({ name: 'secret', app: 'db' }), hostPolicyText('by-site', 'site: lab'), hostPolicyText('by-agent', 'zone: z1')].join('---\n'), 'f')
    const pods = new Map([['1', { name: 'web-1', namespace: 'default', uid: '1', labels: { app: 'web' }, containers: [{ name: 'main', image: 'img', id: MAIN }], node: 'n1' }]])
    bench.reconciler.change({ policies: new Map(read.policies.map((policy) => [nameOf(policy), policy])), pods })
  })
  afterEach(() => bench.close())

  it('gives an agent nothing for what it only says of a container, of a pod that nobody knows, or of its node', async () => {
    const claims = { namespace: 'default', labels: { app: 'db' } }
    agent = await bench.agent([{ id: 'host' }, { id: 'outside', ...claims }, { id: 'unknown', pod_uid: '2', pod: 'db-1', ...claims }, { id: MAIN, pod_uid: '1', ...claims }], { hello: { node_labels: { zone: 'z1' } } })
    await agent.until(({ bindings }) => bindings.has(MAIN) && bindings.has('outside') && bindings.has('host'))
    assert.deepEqual([agent.policiesOf(MAIN), agent.policiesOf('outside'), agent.policiesOf('host')], [['p'], [], ['by-site']])
    assert.deepEqual([agent.bindings.has('unknown'), bench.reconciler.undecided('n1')], [false, ['unknown']])
  })

  it('answers for that pod when the API says whose it is', async () => {
    agent = await bench.agent([{ id: 'host' }, { id: 'c2', pod_uid: '2', namespace: 'default', labels: { app: 'db' }, waiting: true }])
    await agent.until(({ bindings }) => bindings.has('host'))
    assert.ok(!agent.bindings.has('c2'))
    bench.reconciler.change({ pods: new Map([['2', { name: 'web-2', namespace: 'default', uid: '2', labels: { app: 'web' }, containers: [], node: 'n1' }]]) })
    await agent.until(({ bindings }) => bindings.has('c2'))
    assert.deepEqual(agent.policiesOf('c2'), ['p'])
  })
})

describe('NodeSyncServer, refusals', { timeout: 600_000 }, () => {
  let bench: TestServer
  beforeEach(async () => {
    bench = new TestServer()
    await bench.server.start()
  })
  afterEach(() => bench.close())

  it('refuses an agent that cannot read its tables, and says what to do', async () => {
    for (const [versions, advice] of [[[VERSION + 1, VERSION + 2], `reads ${VERSION + 1}, ${VERSION + 2}: upgrade the operator`], [[], 'reads none: upgrade the agent']] as const) {
      const agent = bench.raw()
      await agent.send({ hello: { node: 'n1', table_versions: [...versions] } })
      const end = await agent.drain()
      assert.equal(!end.ok && end.code, status.FAILED_PRECONDITION)
      assert.ok(!end.ok && end.message.startsWith('MERLON_OPERATOR_TABLE_VERSION') && end.message.includes(advice))
    }
    assert.equal(bench.server.sessions.size, 0)
  })

  it('refuses streams that do not begin as they must', async () => {
    const cases = [
      [[{ ack: { generation: 1 } }], 'MERLON_OPERATOR_NO_HELLO'],
      [[{ hello: { table_versions: [VERSION] } }], 'MERLON_OPERATOR_NO_NODE'],
      [[{ hello: { node: 'x', table_versions: [VERSION] } }, { hello: { node: 'x', table_versions: [VERSION] } }], 'MERLON_OPERATOR_SECOND_HELLO'],
      [[{ hello: { node: 'x', table_versions: [VERSION] } }, { workloads: { full: false } }], 'MERLON_OPERATOR_NOT_FULL'],
    ] as const
    for (const [messages, code] of cases) {
      const agent = bench.raw()
      for (const message of messages) await agent.send(message as Parameters<TestAgent['send']>[0])
      const end = await agent.drain()
      assert.ok(!end.ok && end.message.startsWith(code), `${code}: ${JSON.stringify(end)}`)
    }
  })
})

describe('StatusBoard', { timeout: 600_000 }, () => {
  let bench: TestServer
  beforeEach(async () => {
    bench = new TestServer()
    await bench.server.start()
  })
  afterEach(() => bench.close())

  const stateOf = (current: OperatorStatus, name: string): string | undefined => current.policies.find((policy) => policy.name === name)?.state

  it('calls a policy programmed when every workload that it selects is acknowledged', async () => {
    bench.policies(policyText({ name: 'p' }), policyText({ name: 'unused', app: 'nobody' }))
    const silent = await bench.agent([app('a', 'web')], { hello: { node: 'n2' }, ack: () => undefined })
    await silent.until(({ messages }) => messages.length === 1)
    await bench.agent([app('a', 'web'), app('b', 'web')])
    const half = await bench.status((current) => current.policies.find(({ name }) => name === 'p')?.workloads.programmed === 2)
    assert.deepEqual([stateOf(half, 'p'), stateOf(half, 'unused')], ['pending', 'idle'])
    assert.deepEqual(half.policies[0]?.nodes, { selected: 2, programmed: 1 })
    await silent.send({ ack: { generation: silent.generation, tables: [...silent.tables.keys()].map((hash) => Buffer.from(hash, 'hex')) } })
    const whole = await bench.status((current) => stateOf(current, 'p') === 'programmed')
    assert.deepEqual(whole.nodes.find((node) => node.node === 'n1')?.canary, { ran: true, refused: true, message: '' })
  })

  it('shows what an agent could not do', async () => {
    bench.policies(policyText({ name: 'p' }))
    await bench.agent([app('a', 'web')], { ack: (_, { tables }) => ({ tables: [...tables.keys()].map((hash) => Buffer.from(hash, 'hex')), errors: [{ code: 'MERLON_AGENT_X', message: 'no room', workload: 'a' }] }) })
    const failed = await bench.status((current) => stateOf(current, 'p') === 'failed')
    assert.deepEqual(failed.policies[0]?.failures, [{ node: 'n1', workload: 'a', code: 'MERLON_AGENT_X', message: 'no room' }])
  })

  it('lists refused policies with their findings, and writes all of it to its file', async () => {
    bench.policies(policyText({ name: 'bad', action: 'Explode' }))
    await bench.reconciler.settled()
    await bench.board.flush()
    const written = JSON.parse(readFileSync(join(bench.directory, 'status.json'), 'utf8')) as OperatorStatus
    assert.deepEqual([written.version, stateOf(written, 'bad'), written.address], [1, 'refused', bench.address])
    assert.equal(written.policies[0]?.findings.some((finding) => finding.severity === 'error' && finding.position.line > 0), true)
  })
})
