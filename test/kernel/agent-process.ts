// SPDX-License-Identifier: Apache-2.0
// The agent as a process of its own, and an operator in this one that it talks to. There is no relay: an agent does without.
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { combine } from '../../operator/files.ts'
import { policyLibrary } from '../../operator/library.ts'
import { Reconciler } from '../../operator/reconcile.ts'
import { NodeSyncServer } from '../../operator/serve.ts'
import { systemClock } from '../../runtime/clock.ts'
import { silentLogger } from '../../runtime/log.ts'
import { until } from './wait.ts'

/** As it is shipped. */
const MAIN = fileURLToPath(new URL('../../build/bundle/agent/main.mjs', import.meta.url))
const DIRECTORY = '/run/merlon-agent'
export const PINS = '/sys/fs/bpf/merlon-agent'
const OPERATOR = `unix:${DIRECTORY}/operator.sock`
const NODE = 'guest'

type Line = Readonly<Record<string, unknown>> & { readonly message: string }

export class AgentProcess {
  readonly lines: Line[] = []
  readonly #child: ChildProcess
  readonly #exited: Promise<unknown[]>

  private constructor(options: readonly string[]) {
    const args = ['--node', NODE, '--pin-directory', PINS, '--operator', OPERATOR, '--relay', `unix:${DIRECTORY}/no-relay.sock`, ...options]
    this.#child = spawn(process.execPath, [MAIN, ...args], { stdio: ['ignore', 'inherit', 'pipe'] })
    this.#exited = once(this.#child, 'exit')
    if (this.#child.stderr) createInterface({ input: this.#child.stderr }).on('line', (line) => this.lines.push(lineOf(line)))
  }

  /** Starts an agent, and returns once it says that it has. */
  static async start(...options: readonly string[]): Promise<AgentProcess> {
    const agent = new AgentProcess(options)
    await agent.said('Started')
    return agent
  }

  /** The first line with this message, once it is there. */
  said(message: string): Promise<Line> {
    return until(`line "${message}" of the agent`, () => {
      const found = this.lines.find((line) => line.message.includes(message))
      if (found === undefined && this.#child.exitCode !== null) throw new Error(`The agent ended with ${this.#child.exitCode}: ${JSON.stringify(this.lines)}`)
      return found
    })
  }

  /** Ends it; returns exit status and signal. */
  async end(signal: NodeJS.Signals): Promise<unknown[]> {
    this.#child.kill(signal)
    return this.#exited
  }
}

function lineOf(text: string): Line {
  try {
    return JSON.parse(text) as Line
  } catch {
    return { message: text }
  }
}

/** The agent with an option that makes it do one thing and end, such as --detach. Returns what it said. */
export async function runAgent(...options: readonly string[]): Promise<string> {
  return (await promisify(execFile)(process.execPath, [MAIN, '--pin-directory', PINS, ...options])).stderr
}

/** An operator over policies that the test gives. */
export class TestOperator {
  readonly #reconciler: Reconciler
  #server: NodeSyncServer

  constructor() {
    const base = { clock: systemClock, logger: silentLogger }
    this.#reconciler = new Reconciler({ ...base, library: policyLibrary, settings: { postures: { filePosture: 'block' }, hostPostures: { filePosture: 'block' } }, onNodes: (nodes) => this.#server.notify(nodes) })
    this.#server = this.#makeServer()
  }

  start(): Promise<void> {
    this.#server = this.#makeServer()
    return this.#server.start()
  }

  stop(): Promise<void> {
    return this.#server.stop()
  }

  policies(...texts: string[]): void {
    this.#reconciler.setSnapshot(combine(texts.map((text, index) => ({ path: `f${index}`, fingerprint: '', good: true, stale: false, ...policyLibrary.read(text, `f${index}`) }))))
  }

  /** Resolves when the agent has confirmed what is desired now for this workload; `isRuled`: a table, not the absence of rules. */
  async inForce(workload: string, isRuled = true): Promise<void> {
    await this.#reconciler.settled()
    await until(`acknowledgement for ${workload}`, () => {
      const session = this.#server.sessions.get(NODE)
      const binding = this.#reconciler.desired(NODE).get(workload)
      if (!session?.isOpen || binding === undefined || (binding.profile.tableHash !== '') !== isRuled) return undefined
      return session.view?.isProgrammed(binding) === true ? true : undefined
    })
  }

  /** What the agent's last acknowledgement says is wrong. */
  errors(): readonly { readonly code: string; readonly message: string; readonly workload: string }[] {
    return this.#server.sessions.get(NODE)?.view?.lastAck?.errors ?? []
  }

  #makeServer(): NodeSyncServer {
    return new NodeSyncServer({
      clock: systemClock, logger: silentLogger, address: OPERATOR, reconciler: this.#reconciler, tableVersion: policyLibrary.tableVersion, nodeLabels: {}, believesAgents: true, onChange: () => {},
    })
  }
}
