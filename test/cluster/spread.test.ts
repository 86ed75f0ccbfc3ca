// SPDX-License-Identifier: Apache-2.0
// Two operators and many agents, which are the real agent's own connecting and syncing: they spread over both, move when one is lost, and nothing is lost with it.
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { makeConnections } from '../../agent/connections.ts'
import { Sync } from '../../agent/sync.ts'
import { VERSION } from '../../policy/table.ts'
import type { OperatorMessage__Output } from '../../proto/gen/merlon/v1/OperatorMessage.ts'
import { Backoff } from '../../runtime/backoff.ts'
import { systemClock } from '../../runtime/clock.ts'
import { silentLogger } from '../../runtime/log.ts'
import { sharedCluster, type SharedCluster } from '../support/cluster.ts'
import { ensure, installResources, pod, policy, POLICIES, TestOperator, until } from './support/operator.ts'

const NAMESPACE = 'replicas-test'
const AGENTS = 60

class NodeAgent {
  readonly node: string
  generation = 0
  readonly #profiles = new Map<string, readonly string[]>()
  readonly #bindings = new Map<string, string>()
  readonly #tables = new Set<string>()
  readonly #abort = new AbortController()
  #running: Promise<void> = Promise.resolve()

  constructor(node: string) {
    this.node = node
  }

  async start(operators: string): Promise<void> {
    const clock = systemClock
    const { connectOperator: connect } = await makeConnections({ operator: operators, relay: 'unix:/nowhere', node: this.node, tls: undefined }, { clock, logger: silentLogger })
    const sync = new Sync({
      connect, clock, backoff: new Backoff({ baseMs: 50, capMs: 500, clock, random: Math.random }), apply: async (message) => this.#apply(message),
      hello: () => ({ node: this.node, table_versions: [VERSION], abilities: { bpf_lsm: true }, generation: this.generation, held_tables: [...this.#tables].map((hash) => Buffer.from(hash, 'hex')) }),
    })
    sync.upsert([{ id: 'host', runtime: 'host' }])
    this.#running = sync.run(this.#abort.signal)
  }

  has(policyName: string): boolean {
    return [...this.#bindings.values()].some((id) => this.#profiles.get(id)?.includes(policyName))
  }

  async stop(): Promise<void> {
    this.#abort.abort()
    await this.#running
  }

  #apply(message: OperatorMessage__Output): { tables: Buffer[]; errors: []; canary: { ran: boolean; refused: boolean } } {
    assert.ok(message.generation > this.generation, `generation ${message.generation} after ${this.generation}`)
    this.generation = message.generation
    for (const { hash } of message.tables) this.#tables.add(hash.toString('hex'))
    for (const { id, clauses } of message.profiles) this.#profiles.set(id, clauses.map((clause) => clause.policy))
    if (message.full) this.#bindings.clear()
    for (const id of message.unbound) this.#bindings.delete(id)
    for (const { workload, profile } of message.bindings) this.#bindings.set(workload, profile)
    return { tables: [...this.#tables].map((hash) => Buffer.from(hash, 'hex')), errors: [], canary: { ran: true, refused: true } }
  }
}

describe('two replicas', { timeout: 1_800_000 }, () => {
  let cluster: SharedCluster
  let operators: TestOperator[] = []
  const agents = Array.from({ length: AGENTS }, (_, index) => new NodeAgent(`replicas-${index}`))
  const open = (operator: TestOperator | undefined): number => [...(operator?.server.sessions.values() ?? [])].filter(({ isOpen }) => isOpen).length
  const everywhere = (name: string): Promise<void> => until(`${name} is on every node`, () => agents.every((agent) => agent.has(name)))

  before(async () => {
    cluster = await sharedCluster()
    const { client } = cluster
    await installResources(client)
    await ensure(client, '/api/v1/namespaces', { metadata: { name: NAMESPACE } })
    for (const { node } of agents) {
      await ensure(client, '/api/v1/nodes', { metadata: { name: node } })
      await ensure(client, `/api/v1/namespaces/${NAMESPACE}/pods`, pod(`${node}-web`, { namespace: NAMESPACE, labels: { app: 'web' }, node }))
    }
    await client.create(`${POLICIES}/namespaces/${NAMESPACE}/kubearmorpolicies`, policy('first', { namespace: NAMESPACE }))
    operators = await Promise.all([new TestOperator(cluster).start(), new TestOperator(cluster).start()])
    const addresses = operators.map((operator) => operator.server.address).join(',')
    await Promise.all(agents.map((agent) => agent.start(addresses)))
  })
  after(async () => {
    await Promise.all(agents.map((agent) => agent.stop()))
    for (const operator of operators) await operator.stop()
    await cluster.stop()
  })

  it('both serve agents, about half of them each', async () => {
    await everywhere('first')
    const [one, two] = operators.map(open)
    assert.equal((one ?? 0) + (two ?? 0), AGENTS)
    // Of 60 fair coins, fewer than 12 on one side happen once in a million.
    assert.ok(Math.min(one ?? 0, two ?? 0) >= 12, `${one} and ${two}`)
  })

  it('what changes reaches all agents, through both', async () => {
    await cluster.client.create(`${POLICIES}/namespaces/${NAMESPACE}/kubearmorpolicies`, policy('second', { namespace: NAMESPACE, paths: ['/bin/cat'] }))
    await everywhere('second')
  })

  it('when one is gone its agents are with the other, which serves them all that there is', async () => {
    const [lost, left] = operators
    await lost?.stop()
    operators = left ? [left] : []
    await until('all agents are with the other', () => open(left) === AGENTS)
    await cluster.client.create(`${POLICIES}/namespaces/${NAMESPACE}/kubearmorpolicies`, policy('third', { namespace: NAMESPACE, paths: ['/bin/id'] }))
    await everywhere('third')
    for (const name of ['first', 'second']) assert.ok(agents.every((agent) => agent.has(name)), name)
  })
})
