// SPDX-License-Identifier: Apache-2.0
// An agent for tests: it speaks NodeSync over a real connection, keeps what it is sent as a node would, and acknowledges.
import { SECTIONS } from '../../policy/types.ts'
import type { Ack } from '../../proto/gen/merlon/v1/Ack.ts'
import type { AgentMessage } from '../../proto/gen/merlon/v1/AgentMessage.ts'
import type { Hello } from '../../proto/gen/merlon/v1/Hello.ts'
import type { OperatorMessage__Output } from '../../proto/gen/merlon/v1/OperatorMessage.ts'
import type { Profile__Output } from '../../proto/gen/merlon/v1/Profile.ts'
import type { Workload } from '../../proto/gen/merlon/v1/Workload.ts'
import { VERSION } from '../../policy/table.ts'
import { NodeSync } from '../../proto/load.ts'
import type { ChannelCredentials } from '@grpc/grpc-js'
import { openClient } from '../../runtime/grpc.ts'
import { clientDuplex, type ClientDuplex, type StreamEnd } from '../../runtime/stream.ts'

export interface TestAgentOptions {
  /** Absent: plaintext. */
  readonly credentials?: ChannelCredentials
  readonly hello?: Hello
  /** What it answers to each message beside the generation; undefined: nothing, it stays silent. Until it has an answer it does not read. Default: all is in force. */
  readonly ack?: (message: OperatorMessage__Output, agent: TestAgent) => Ack | undefined | Promise<Ack | undefined>
}

export class TestAgent {
  readonly messages: OperatorMessage__Output[] = []
  /** By hex hash. */
  readonly tables = new Map<string, Buffer>()
  readonly profiles = new Map<string, Profile__Output>()
  /** Profile ids by workload. */
  readonly bindings = new Map<string, string>()
  /** Of bindings: classes whose permitted operations are to be recorded. */
  readonly visible = new Map<string, readonly string[]>()
  readonly ended: Promise<StreamEnd>
  generation = 0
  readonly #client: InstanceType<typeof NodeSync>
  readonly #stream: ClientDuplex<AgentMessage, OperatorMessage__Output>
  readonly #options: TestAgentOptions
  #notify: (() => void) | undefined
  #isOver = false

  constructor(address: string, options: TestAgentOptions = {}) {
    this.#options = options
    this.#client = openClient(NodeSync, address, options.credentials)
    this.#stream = clientDuplex(this.#client.Sync())
    this.ended = this.#stream.ended
  }

  /** Says hello and reports what runs; reads from then on. */
  async start(workloads: readonly Workload[]): Promise<this> {
    await this.send({ hello: { node: 'n1', table_versions: [VERSION], ...this.#options.hello } })
    await this.report(workloads, true)
    void this.#read()
    return this
  }

  send(message: AgentMessage): Promise<boolean> {
    return this.#stream.send(message)
  }

  report(upserted: readonly Workload[], full = false, removed: readonly string[] = []): Promise<boolean> {
    return this.send({ workloads: { full, upserted: [...upserted], removed: [...removed] } })
  }

  /** Resolves once `holds` does, looked at after each message; rejects where the stream ends before. */
  async until(holds: (agent: this) => boolean): Promise<this> {
    while (!holds(this)) {
      if (this.#isOver) throw new Error(`The stream is over: ${JSON.stringify(await this.ended)}`)
      await new Promise<void>((resolve) => { this.#notify = resolve })
    }
    return this
  }

  /** Reads everything without applying it, for streams that never say hello. */
  async drain(): Promise<StreamEnd> {
    for await (const _ of this.#stream.messages());
    return this.ended
  }

  /** The policies of the clauses that a workload's profile has, the reserved ones left out; undefined: not bound. */
  policiesOf(workload: string): readonly string[] | undefined {
    const profile = this.profiles.get(this.bindings.get(workload) ?? '')
    return profile?.clauses.slice(0, -2 * SECTIONS.length).map((clause) => clause.policy ?? '')
  }

  close(): void {
    this.#stream.cancel()
    this.#client.close()
  }

  async #read(): Promise<void> {
    for await (const message of this.#stream.messages()) {
      this.#apply(message)
      this.#notify?.()
      const ack = this.#options.ack ? await this.#options.ack(message, this) : { tables: this.#tablesInForce(), canary: { ran: true, refused: true, message: '' } }
      if (ack) await this.send({ ack: { generation: message.generation, latency_us: 5, ...ack } })
      this.#notify?.()
    }
    this.#isOver = true
    this.#notify?.()
  }

  #apply(message: OperatorMessage__Output): void {
    if (message.generation <= this.generation) throw new Error(`Generation ${message.generation} came after ${this.generation}`)
    this.generation = message.generation
    this.messages.push(message)
    for (const { hash, content } of message.tables) this.tables.set(hash.toString('hex'), content)
    for (const profile of message.profiles) this.profiles.set(profile.id, profile)
    if (message.full) this.bindings.clear()
    for (const workload of message.unbound) this.bindings.delete(workload)
    for (const { workload, profile, visible } of message.bindings) {
      this.#bind(workload, profile)
      this.visible.set(workload, visible)
    }
  }

  #bind(workload: string, id: string): void {
    const profile = this.profiles.get(id)
    if (!profile) throw new Error(`Profile ${id} was never sent`)
    const hash = profile.table.toString('hex')
    const held = (this.#options.hello?.held_tables ?? []).map((table) => Buffer.from(table as Uint8Array).toString('hex'))
    if (hash !== '' && !this.tables.has(hash) && !held.includes(hash)) throw new Error(`Table ${hash} was never sent`)
    this.bindings.set(workload, id)
  }

  #tablesInForce(): Buffer[] {
    return [...this.bindings.values()].flatMap((id) => this.profiles.get(id)?.table ?? []).filter((hash) => hash.length > 0)
  }
}
