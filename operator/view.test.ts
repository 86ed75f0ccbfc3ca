// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Ack__Output } from '../proto/gen/merlon/v1/Ack.ts'
import type { OperatorMessage } from '../proto/gen/merlon/v1/OperatorMessage.ts'
import type { DesiredBinding } from './node-state.ts'
import { AgentView } from './view.ts'

const hashOf = (name: string): string => Buffer.from(name.padEnd(32, '.')).toString('hex')
const bind = (workload: string, table: string, parts: Partial<DesiredBinding> & { bytes?: number; pod?: string } = {}): DesiredBinding => ({
  workload,
  profile: { id: `p-${table}`, tableHash: table === '' ? '' : hashOf(table), table: new Uint8Array(parts.bytes ?? 10), clauses: [] },
  identity: { pod: parts.pod ?? '' },
  visible: parts.visible ?? [],
  holds: parts.holds ?? false,
  waiting: parts.waiting ?? false,
  policies: [],
  failure: [],
})
const desired = (...bindings: DesiredBinding[]): Map<string, DesiredBinding> => new Map(bindings.map((binding) => [binding.workload, binding]))
const brief = (message: OperatorMessage | undefined): unknown => message && {
  generation: message.generation,
  full: message.full,
  tables: message.tables?.map((table) => Buffer.from(table.hash as Uint8Array).toString().replace(/\.+$/, '')),
  profiles: message.profiles?.map((profile) => profile.id),
  bindings: message.bindings?.map((binding) => `${binding.workload}=${binding.profile}`),
  unbound: message.unbound,
}
const ack = (generation: number, parts: Partial<Ack__Output> = {}): Ack__Output => ({ generation, tables: [], errors: [], canary: null, latency_us: 0, ...parts })
const view = (parts: Partial<ConstructorParameters<typeof AgentView>[0]> = {}): AgentView => new AgentView({ generation: 0, heldTables: [], ...parts })

describe('AgentView.next()', () => {
  it('sends a snapshot, then nothing, then what changed, each table and profile once', () => {
    const agent = view()
    const first = desired(bind('a', 'T'), bind('b', 'T'), bind('c', ''))
    assert.deepEqual(brief(agent.next(first, true)), { generation: 1, full: true, tables: ['T'], profiles: ['p-T', 'p-'], bindings: ['a=p-T', 'b=p-T', 'c=p-'], unbound: [] })
    assert.equal(agent.next(first, true), undefined)
    const second = desired(bind('a', 'U'), bind('b', 'T'), bind('c', 'U'))
    assert.deepEqual(brief(agent.next(second, true)), { generation: 2, full: false, tables: ['U'], profiles: ['p-U'], bindings: ['a=p-U', 'c=p-U'], unbound: [] })
    assert.equal(agent.next(second, true), undefined)
  })

  it('sends an empty snapshot too: bindings that an agent has from before are gone then', () => {
    assert.deepEqual(brief(view().next(desired(), true)), { generation: 1, full: true, tables: [], profiles: [], bindings: [], unbound: [] })
  })

  it('names in the snapshot, and only there, what the agent is to leave as it is', () => {
    const agent = view()
    const waiting = agent.next(desired(bind('a', 'T', { waiting: true })), true, ['x'])
    assert.deepEqual([waiting?.full, waiting?.keep], [false, undefined])
    const snapshot = agent.next(desired(bind('a', 'T')), true, ['x', 'y'])
    assert.deepEqual([snapshot?.full, snapshot?.keep], [true, ['x', 'y']])
    assert.equal(agent.next(desired(bind('a', 'T')), true, ['x']), undefined)
  })

  it('goes on after the generation that the agent has, and leaves out the tables that it has', () => {
    const agent = view({ generation: 41, heldTables: [hashOf('T')] })
    assert.deepEqual(brief(agent.next(desired(bind('a', 'T'), bind('b', 'U')), true)), { generation: 42, full: true, tables: ['U'], profiles: ['p-T', 'p-U'], bindings: ['a=p-T', 'b=p-U'], unbound: [] })
  })

  it('sends a change of identity alone', () => {
    const agent = view()
    agent.next(desired(bind('a', 'T')), true)
    assert.deepEqual(brief(agent.next(desired(bind('a', 'T', { pod: 'web' })), true)), { generation: 2, full: false, tables: [], profiles: [], bindings: ['a=p-T'], unbound: [] })
  })

  it('unbinds what is not desired any more, but not what the agent itself reported gone', () => {
    const agent = view()
    agent.next(desired(bind('a', 'T'), bind('b', 'T'), bind('c', 'T')), true)
    agent.forget('b')
    assert.deepEqual(brief(agent.next(desired(bind('a', 'T')), true)), { generation: 2, full: false, tables: [], profiles: [], bindings: [], unbound: ['c'] })
    assert.equal(agent.next(desired(bind('a', 'T')), true), undefined)
  })

  it('sends a table again that the agent may have forgotten meanwhile', () => {
    const agent = view()
    agent.next(desired(bind('a', 'T')), true)
    agent.next(desired(bind('a', 'U')), true)
    assert.deepEqual(brief(agent.next(desired(bind('a', 'T')), true)), { generation: 3, full: false, tables: ['T'], profiles: ['p-T'], bindings: ['a=p-T'], unbound: [] })
  })

  it('sends a waiting workload the table of one that the agent itself reported gone', () => {
    const agent = view()
    agent.next(desired(bind('a', 'T'), bind('b', 'U')), true)
    agent.forget('a')
    const message = agent.next(desired(bind('b', 'U'), bind('c', 'T', { waiting: true })), false)
    assert.deepEqual(brief(message), { generation: 2, full: false, tables: ['T'], profiles: ['p-T'], bindings: ['c=p-T'], unbound: [] })
  })

  it('answers waiting workloads at once, before the rest is decided and before the snapshot', () => {
    const agent = view()
    assert.equal(agent.next(desired(bind('a', 'T')), false), undefined)
    const waiting = bind('w', 'T', { waiting: true })
    assert.deepEqual(brief(agent.next(desired(bind('a', 'U'), waiting), false)), { generation: 1, full: false, tables: ['T'], profiles: ['p-T'], bindings: ['w=p-T'], unbound: [] })
    assert.equal(agent.next(desired(bind('a', 'U'), waiting), false), undefined)
    assert.deepEqual(brief(agent.next(desired(bind('a', 'U'), waiting), true)), { generation: 2, full: true, tables: ['U'], profiles: ['p-U'], bindings: ['a=p-U', 'w=p-T'], unbound: [] })
  })

  it('cuts large snapshots, and marks only the last piece as complete, which names everything', () => {
    const agent = view({ chunkBytes: 100 })
    const all = desired(bind('a', 'A', { bytes: 60 }), bind('b', 'B', { bytes: 60 }), bind('c', 'B', { bytes: 60 }), bind('d', 'D', { bytes: 300 }), bind('e', '', { bytes: 0 }))
    const messages: unknown[] = []
    for (let message = agent.next(all, true); message; message = agent.next(all, true)) messages.push(brief(message))
    assert.deepEqual(messages, [
      { generation: 1, full: false, tables: ['A'], profiles: ['p-A'], bindings: ['a=p-A'], unbound: [] },
      { generation: 2, full: false, tables: ['B'], profiles: ['p-B'], bindings: ['b=p-B', 'c=p-B'], unbound: [] },
      { generation: 3, full: true, tables: ['D'], profiles: ['p-D', 'p-'], bindings: ['a=p-A', 'b=p-B', 'c=p-B', 'd=p-D', 'e=p-'], unbound: [] },
    ])
  })
})

describe('AgentView.repeat()', () => {
  const lack = (workload: string, code = 'MERLON_AGENT_TABLE_MISSING'): Ack__Output['errors'][number] => ({ code, message: 'not here', workload })
  const resent = { generation: 3, full: false, tables: ['T'], profiles: ['p-T'], bindings: ['b=p-T'], unbound: [] }

  for (const code of ['MERLON_AGENT_TABLE_MISSING', 'MERLON_AGENT_PROFILE_UNKNOWN']) {
    for (const isRemovalFirst of [true, false]) {
      it(`sends again what went with a workload while a binding that built on it was on its way: ${code}, ${isRemovalFirst ? 'removal' : 'acknowledgement'} first`, () => {
        const agent = view()
        agent.next(desired(bind('a', 'T')), true)
        agent.acknowledge(ack(1))
        // The agent reports `a` gone, and forgets its table; meanwhile it is told to bind `b` to that.
        assert.deepEqual(brief(agent.next(desired(bind('a', 'T'), bind('b', 'T')), true)), { generation: 2, full: false, tables: [], profiles: [], bindings: ['b=p-T'], unbound: [] })
        if (isRemovalFirst) agent.forget('a')
        assert.equal(agent.hasLack, false)
        agent.acknowledge(ack(2, { errors: [lack('b', code)] }))
        assert.deepEqual([agent.hasLack, agent.repeat()], [true, true])
        if (!isRemovalFirst) agent.forget('a')
        const now = desired(bind('b', 'T'))
        assert.equal(agent.isProgrammed(bind('b', 'T')), false)
        assert.deepEqual(brief(agent.next(now, true)), resent)
        agent.acknowledge(ack(3, { tables: [Buffer.from(hashOf('T'), 'hex')] }))
        assert.deepEqual([agent.hasLack, agent.isProgrammed(bind('b', 'T')), agent.next(now, true)], [false, true, undefined])
      })
    }
  }

  it('repeats once for each acknowledgement, and not what was sent after the message that is acknowledged', () => {
    const agent = view()
    const all = desired(bind('a', 'T'), bind('b', 'U'))
    agent.next(all, true)
    agent.next(desired(bind('a', 'T', { pod: 'x' }), bind('b', 'U')), true)
    agent.acknowledge(ack(1, { errors: [lack('a'), lack('b')] }))
    assert.equal(agent.repeat(), true)
    assert.deepEqual(brief(agent.next(desired(bind('a', 'T', { pod: 'x' }), bind('b', 'U')), true)), { generation: 3, full: false, tables: ['U'], profiles: ['p-U'], bindings: ['b=p-U'], unbound: [] })
    assert.equal(agent.repeat(), false)
    agent.acknowledge(ack(2, { errors: [lack('b')] }))
    assert.deepEqual([agent.hasLack, agent.repeat()], [true, false])
    agent.acknowledge(ack(3, { errors: [lack('b')] }))
    assert.equal(agent.repeat(), true)
  })

  it('sends a table again for the one that lacks it alone', () => {
    const agent = view()
    const all = desired(bind('a', 'T'), bind('b', 'T'))
    agent.next(all, true)
    agent.acknowledge(ack(1, { errors: [lack('b')] }))
    agent.repeat()
    agent.forget('elsewhere')
    agent.forget('a')
    assert.deepEqual(brief(agent.next(desired(bind('b', 'T')), true)), { ...resent, generation: 2 })
  })

  it('still unbinds what it would have sent again, once it is not desired any more', () => {
    const agent = view()
    agent.next(desired(bind('a', 'T')), true)
    agent.acknowledge(ack(1, { errors: [lack('a')] }))
    agent.repeat()
    assert.deepEqual(brief(agent.next(desired(), true)), { generation: 2, full: false, tables: [], profiles: [], bindings: [], unbound: ['a'] })
  })

  it('leaves other failures, and workloads that it does not know, alone', () => {
    const agent = view()
    agent.next(desired(bind('a', 'T')), true)
    agent.acknowledge(ack(1, { errors: [lack('a', 'MERLON_AGENT_SLOTS_FULL'), lack('stranger'), lack('')] }))
    assert.equal(agent.repeat(), false)
    assert.equal(agent.next(desired(bind('a', 'T')), true), undefined)
  })
})

describe('AgentView.isProgrammed()', () => {
  const binding = bind('a', 'T')
  const tables = [Buffer.from(hashOf('T'), 'hex')]

  it('needs an acknowledgement of that generation that lists the table', () => {
    const agent = view()
    assert.equal(agent.isProgrammed(binding), false)
    agent.next(desired(binding), true)
    assert.equal(agent.isProgrammed(binding), false)
    agent.acknowledge(ack(0, { tables }))
    assert.equal(agent.isProgrammed(binding), false)
    agent.acknowledge(ack(1))
    assert.equal(agent.isProgrammed(binding), false)
    agent.acknowledge(ack(1, { tables }))
    assert.equal(agent.isProgrammed(binding), true)
    agent.next(desired(bind('a', 'U')), true)
    assert.equal(agent.isProgrammed(binding), false)
    agent.acknowledge(ack(99, { tables }))
    assert.equal(agent.lastAck?.generation, 2)
  })

  it('is false where the agent reports an error of that workload or of the node', () => {
    const agent = view()
    agent.next(desired(binding, bind('b', 'T')), true)
    agent.acknowledge(ack(1, { tables, errors: [{ code: 'X', message: '', workload: 'b' }] }))
    assert.equal(agent.isProgrammed(binding), true)
    assert.equal(agent.isProgrammed(bind('b', 'T')), false)
    agent.acknowledge(ack(1, { tables, errors: [{ code: 'X', message: '', workload: '' }] }))
    assert.equal(agent.isProgrammed(binding), false)
  })

  it('needs no table where no rule applies', () => {
    const agent = view()
    agent.next(desired(bind('a', '')), true)
    agent.acknowledge(ack(1))
    assert.equal(agent.isProgrammed(bind('a', '')), true)
  })
})

it('an agent\'s codes are such that a status can have them', () => {
  const view = new AgentView({ generation: 0, heldTables: [] })
  const codes = ['', 'not a code', 'x'.repeat(200), 'MERLON_AGENT_NOT_ENFORCED']
  view.acknowledge({ generation: 0, tables: [], errors: codes.map((code) => ({ code, message: '', workload: 'a' })), canary: null, latency_us: 0 })
  const unknown = 'MERLON_OPERATOR_UNKNOWN_FAILURE'
  assert.deepEqual(view.lastAck?.errors.map(({ code }) => code), [unknown, unknown, unknown, 'MERLON_AGENT_NOT_ENFORCED'])
})
