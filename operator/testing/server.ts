// SPDX-License-Identifier: Apache-2.0
// A reconciler and a server on a socket, for tests that bring the agents.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { VERSION } from '../../policy/table.ts'
import type { Workload } from '../../proto/gen/merlon/v1/Workload.ts'
import { systemClock, type Clock } from '../../runtime/clock.ts'
import { silentLogger, type Logger } from '../../runtime/log.ts'
import { combine } from '../files.ts'
import { policyLibrary } from '../library.ts'
import { Reconciler } from '../reconcile.ts'
import { NodeSyncServer } from '../serve.ts'
import { StatusBoard, type OperatorStatus } from '../status.ts'
import { TestAgent, type TestAgentOptions } from './agent.ts'

export const app = (id: string, name: string, parts: Partial<Workload> = {}): Workload => ({ id, labels: { app: name }, ...parts })

export class TestServer {
  readonly directory = mkdtempSync(join(tmpdir(), 'merlon-server-'))
  readonly address = `unix:${this.directory}/s.sock`
  readonly reconciler: Reconciler
  readonly server: NodeSyncServer
  readonly board: StatusBoard
  readonly #agents: TestAgent[] = []
  #notify: (() => void) | undefined

  constructor(logger: Logger = silentLogger, clock: Clock = systemClock, believesAgents = true) {
    const base = { clock, logger }
    this.reconciler = new Reconciler({ ...base, library: policyLibrary, settings: { postures: { filePosture: 'audit' }, hostPostures: { filePosture: 'audit' } }, onNodes: (nodes) => this.server.notify(nodes) })
    this.server = new NodeSyncServer({ ...base, address: this.address, reconciler: this.reconciler, tableVersion: VERSION, nodeLabels: { site: 'lab' }, believesAgents, onChange: () => this.#notify?.() })
    this.board = new StatusBoard({ ...base, reconciler: this.reconciler, sessions: this.server.sessions, directory: '/policies', address: () => this.server.address, file: join(this.directory, 'status.json') })
  }

  policies(...texts: string[]): void {
    this.reconciler.setSnapshot(combine(texts.map((text, index) => ({ path: `f${index}`, fingerprint: '', good: true, stale: false, ...policyLibrary.read(text, `f${index}`) }))))
  }

  agent(workloads: readonly Workload[], options?: TestAgentOptions): Promise<TestAgent> {
    return this.raw(options).start(workloads)
  }

  raw(options?: TestAgentOptions): TestAgent {
    const agent = new TestAgent(this.address, options)
    this.#agents.push(agent)
    return agent
  }

  /** Resolves once the status holds, looked at after each change. */
  async status(holds: (status: OperatorStatus) => boolean): Promise<OperatorStatus> {
    for (;;) {
      const current = this.board.current()
      if (holds(current)) return current
      await new Promise<void>((resolve) => { this.#notify = resolve })
    }
  }

  async close(): Promise<void> {
    for (const agent of this.#agents) agent.close()
    this.board.close()
    await this.server.stop()
    rmSync(this.directory, { recursive: true })
  }
}
