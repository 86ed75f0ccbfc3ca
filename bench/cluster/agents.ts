// SPDX-License-Identifier: Apache-2.0
// Many agents in one process: each speaks NodeSync on a connection of its own, reports what the API server has bound to its node, keeps what a real agent keeps, and
// acknowledges. The driver (run.ts) tells it over IPC what to look for, and is told when each agent had it.
import type { ChannelCredentials } from '@grpc/grpc-js'
import type { AgentMessage } from '../../proto/gen/merlon/v1/AgentMessage.ts'
import { decodeOperatorMessage, NodeSync } from '../../proto/load.ts'
import type { OperatorMessage__Output } from '../../proto/gen/merlon/v1/OperatorMessage.ts'
import { VERSION } from '../../policy/table.ts'
import { openClient } from '../../runtime/grpc.ts'
import { clientDuplex, type ClientDuplex } from '../../runtime/stream.ts'
import type { Workload } from '../../proto/gen/merlon/v1/Workload.ts'

export interface AgentsOrder {
  readonly address: string
  /** Names of the nodes, with what runs on each. */
  readonly nodes: readonly { readonly node: string; readonly workloads: readonly Workload[] }[]
  /** PEM, with which everything is TLS; by node. Absent: plaintext. */
  readonly identities?: Readonly<Record<string, { readonly certificate: string; readonly privateKey: string; readonly trust: string }>>
}

/** From the driver. */
export type Order =
  | { readonly kind: 'start'; readonly order: AgentsOrder }
  /** Tell when each agent has acknowledged a profile with a clause of this policy. */
  | { readonly kind: 'expect'; readonly policy: string }
  | { readonly kind: 'stop' }

/** To the driver. Times are milliseconds since 1970, with fractions: both processes are on one machine. */
export type Told =
  | { readonly kind: 'synced'; readonly node: string; readonly at: number }
  | { readonly kind: 'acknowledged'; readonly node: string; readonly policy: string; readonly at: number }
  | { readonly kind: 'bound'; readonly node: string; readonly uids: readonly string[]; readonly at: number }
  | { readonly kind: 'lost'; readonly node: string; readonly reason: string }
  /** All agents of the process with this number look for this policy now. */
  | { readonly kind: 'expecting'; readonly policy: string; readonly process: number }

const now = (): number => performance.timeOrigin + performance.now()

class SimulatedAgent {
  readonly node: string
  readonly #workloads: readonly Workload[]
  readonly #tell: (told: Told) => void
  readonly #tables = new Set<string>()
  /** Policies of each profile. */
  readonly #profiles = new Map<string, { readonly table: string; readonly policies: ReadonlySet<string> }>()
  readonly #bindings = new Map<string, string>()
  readonly #connect: () => InstanceType<typeof NodeSync>
  #client: InstanceType<typeof NodeSync> | undefined
  #stream: ClientDuplex<AgentMessage, OperatorMessage__Output> | undefined
  #isSynced = false
  #isClosed = false
  expected: string | undefined

  constructor(address: string, { node, workloads }: AgentsOrder['nodes'][number], credentials: ChannelCredentials | undefined, tell: (told: Told) => void) {
    this.node = node
    this.#workloads = workloads
    this.#tell = tell
    this.#connect = () => openClient(NodeSync, address, credentials)
  }

  async run(): Promise<void> {
    // As an agent does: connections that fail among a thousand at once are made again.
    while (!this.#isClosed) {
      const end = await this.#session()
      this.#tell({ kind: 'lost', node: this.node, reason: end })
      await new Promise((resolve) => { setTimeout(resolve, Math.random() * 1000) })
    }
  }

  async #session(): Promise<string> {
    const client = this.#connect()
    const stream = clientDuplex<AgentMessage, OperatorMessage__Output>(client.Sync())
    this.#client = client
    this.#stream = stream
    await stream.send({ hello: { node: this.node, agent_version: 'bench', kernel: 'bench', table_versions: [VERSION], abilities: { bpf_lsm: true, btf: true, cgroup_v2: true } } })
    await stream.send({ workloads: { full: true, upserted: [{ id: 'host', runtime: 'host' }, ...this.#workloads], removed: [] } })
    for await (const message of stream.messages()) await this.#take(stream, message)
    client.close()
    const end = await stream.ended
    return end.ok ? 'ended' : end.message
  }

  close(): void {
    this.#isClosed = true
    this.#stream?.cancel()
    this.#client?.close()
  }

  async #take(stream: ClientDuplex<AgentMessage, OperatorMessage__Output>, message: OperatorMessage__Output): Promise<void> {
    this.#carryOut(message)
    const tables = [...new Set([...this.#bindings.values()].map((id) => this.#profiles.get(id)?.table ?? ''))].filter((hash) => hash !== '')
    await stream.send({ ack: { generation: message.generation, tables: tables.map((hash) => Buffer.from(hash, 'hex')), errors: [], canary: { ran: true, refused: true, message: '' }, latency_us: 100 } })
    const at = now()
    if (message.full && !this.#isSynced) {
      this.#isSynced = true
      this.#tell({ kind: 'synced', node: this.node, at })
    }
    const uids = message.bindings.map(({ workload }) => workload).filter((id) => id.startsWith('pod/'))
    if (uids.length > 0) this.#tell({ kind: 'bound', node: this.node, uids: uids.map((id) => id.slice('pod/'.length)), at })
    if (this.expected !== undefined && this.#has(this.expected)) {
      this.#tell({ kind: 'acknowledged', node: this.node, policy: this.expected, at })
      this.expected = undefined
    }
  }

  /** As a node would; what was never sent is a defect of the operator, and ends the bench. */
  #carryOut(message: OperatorMessage__Output): void {
    for (const { hash } of message.tables) this.#tables.add(hash.toString('hex'))
    for (const { id, table, clauses } of message.profiles) this.#profiles.set(id, { table: table.toString('hex'), policies: new Set(clauses.map(({ policy }) => policy)) })
    if (message.full) this.#bindings.clear()
    for (const workload of message.unbound) this.#bindings.delete(workload)
    for (const { workload, profile } of message.bindings) {
      const known = this.#profiles.get(profile)
      if (!known || (known.table !== '' && !this.#tables.has(known.table))) throw new Error(`Node ${this.node} was bound to what it was never sent`)
      this.#bindings.set(workload, profile)
    }
  }

  #has(policy: string): boolean {
    for (const id of this.#bindings.values()) if (this.#profiles.get(id)?.policies.has(policy)) return true
    return false
  }
}

async function start({ address, nodes, identities }: AgentsOrder, tell: (told: Told) => void): Promise<SimulatedAgent[]> {
  const secure = identities === undefined ? undefined : await import('../../runtime/tls.ts')
  const { OPERATOR_ID } = await import('../../proto/enrolment.ts')
  const agents = nodes.map((entry) => {
    const material = identities?.[entry.node]
    const credentials = secure && material ? new secure.Credentials({ ...material, notAfter: 0 }).forClient(OPERATOR_ID) : undefined
    return new SimulatedAgent(address, entry, credentials, tell)
  })
  for (const agent of agents) {
    void agent.run().catch((error: Error) => {
      console.error(error)
      process.exit(1)
    })
  }
  return agents
}

if (import.meta.main) {
  let agents: SimulatedAgent[] = []
  // At the end everybody loses the operator, and nobody is there to be told.
  const tell = (told: Told): void => { if (process.connected) process.send?.(told) }
  // The decoder is compiled on first use: not while something is measured.
  decodeOperatorMessage(new Uint8Array())
  process.on('message', (order: Order) => {
    if (order.kind === 'start') void start(order.order, tell).then((started) => { agents = started })
    if (order.kind === 'expect') {
      for (const agent of agents) agent.expected = order.policy
      tell({ kind: 'expecting', policy: order.policy, process: process.pid })
    }
    if (order.kind === 'stop') {
      for (const agent of agents) agent.close()
      process.disconnect()
    }
  })
}
