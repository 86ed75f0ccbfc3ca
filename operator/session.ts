// SPDX-License-Identifier: Apache-2.0
// One agent's stream: what it says goes to the reconciler, what it must hold goes to it. An agent that reads slowly gets the latest state when it
// reads again, and delays nobody else.
import { status } from '@grpc/grpc-js'
import type { Ack__Output } from '../proto/gen/merlon/v1/Ack.ts'
import type { AgentMessage__Output } from '../proto/gen/merlon/v1/AgentMessage.ts'
import type { Hello__Output } from '../proto/gen/merlon/v1/Hello.ts'
import type { OperatorMessage } from '../proto/gen/merlon/v1/OperatorMessage.ts'
import type { Workloads__Output } from '../proto/gen/merlon/v1/Workloads.ts'
import type { Clock, Timer } from '../runtime/clock.ts'
import type { Logger } from '../runtime/log.ts'
import type { ServerDuplex } from '../runtime/stream.ts'
import { withoutClaims } from './identity.ts'
import type { Reconciler } from './reconcile.ts'
import { Repeats } from './repeats.ts'
import { AgentView } from './view.ts'

export type AgentStream = ServerDuplex<OperatorMessage, AgentMessage__Output>

/** Whose certificate the stream came with. */
export interface AgentPeer {
  readonly node: string
  /** When it expires, milliseconds since 1970. */
  readonly notAfter: number
}

export interface SessionOptions {
  readonly stream: AgentStream
  /** Absent: plaintext. */
  readonly peer?: AgentPeer
  readonly reconciler: Reconciler
  readonly tableVersion: number
  readonly nodeLabels: Readonly<Record<string, string>>
  /** Whether an agent is asked whose its containers are, and for labels of its node. Not where an API says that: a stolen certificate would read what it claims to run. */
  readonly believesAgents: boolean
  readonly clock: Clock
  readonly logger: Logger
  /** The agent said who it is. */
  readonly onHello: (session: Session) => void
  /** From sending to acknowledgement of each message, in milliseconds. */
  readonly onAcknowledged?: (ms: number) => void
  /** Acks, counters, ends: what a status shows. */
  readonly onChange: () => void
}

/** How long a stream may be silent before its Hello. */
const HELLO_MS = 10_000
/** Messages on their way to one agent that it has not acknowledged. Beyond that it gets the latest state once it has caught up, instead of all that came between. */
const WINDOW = 8
/** An agent that acknowledges nothing is sent the latest state from time to time all the same: better late than never. */
const PATIENCE_MS = 5_000
/** Messages of one agent whose acknowledgements are timed. */
const TIMED_MAX = 256
/** Of a name in Kubernetes. */
const NODE_NAME_MAX = 253
/** Failures in one acknowledgement that are logged each. */
const LOGGED_MAX = 10

type Refused = { readonly code: number; readonly message: string }

export class Session {
  hello: Hello__Output | undefined
  view: AgentView | undefined
  /** When the last ack came, milliseconds since 1970; 0: none yet. */
  ackedAtMs = 0
  readonly #options: SessionOptions
  #logger: Logger
  #reported = false
  /** When each message that is not acknowledged yet was handed over, by generation, in order. */
  readonly #sentAt = new Map<number, number>()
  #lastSentAt = 0
  /** In the last acknowledgement. */
  #failures: ReadonlySet<string> = new Set()
  readonly #repeats: Repeats
  #wake: (() => void) | undefined
  #dirty = false

  constructor(options: SessionOptions) {
    this.#options = options
    this.#repeats = new Repeats(options.clock, () => this.#repeat())
    this.#logger = options.logger
  }

  get node(): string {
    return this.hello?.node ?? ''
  }

  get isOpen(): boolean {
    return this.#options.stream.isOpen
  }

  /** Lives as long as the stream. */
  async run(): Promise<void> {
    const { stream, clock } = this.#options
    const silence = clock.after(HELLO_MS, () => {
      if (!this.hello) stream.fail(status.DEADLINE_EXCEEDED, 'MERLON_OPERATOR_NO_HELLO: the first message did not come in time')
    })
    const expiry = this.#watchExpiry()
    const sending = this.#send()
    // However it ends: whoever waits for something to send looks again. Its end may come some time after that of what the agent sends.
    void stream.ended.then(() => this.notify())
    for await (const message of stream.messages()) {
      // What an ended stream had still in its buffer is older than what the one that took over has said.
      if (!stream.isOpen) break
      const refused = this.#take(message)
      if (refused) {
        this.#logger.warn('Refused an agent', { reason: refused.message })
        stream.fail(refused.code, refused.message)
        break
      }
    }
    silence.cancel()
    expiry?.cancel()
    this.#repeats.end()
    if (stream.isOpen) stream.finish()
    await sending
    const end = await stream.ended
    if (this.hello) this.#logger.info('Lost an agent', end.ok ? {} : { code: end.code, reason: end.message })
    this.#options.onChange()
  }

  /** The desired state may be another: looks again. */
  notify(): void {
    this.#dirty = true
    this.#wake?.()
  }

  #noteSent(generation: number): void {
    this.#lastSentAt = this.#options.clock.monotonic()
    this.#sentAt.set(generation, this.#lastSentAt)
    // An agent that reads and acknowledges nothing.
    if (this.#sentAt.size > TIMED_MAX) this.#sentAt.delete(this.#sentAt.keys().next().value ?? 0)
  }

  #noteLatency(generation: number): void {
    for (const [sent, at] of this.#sentAt) {
      if (sent > generation) return
      this.#sentAt.delete(sent)
      if (sent === generation) this.#options.onAcknowledged?.(this.#options.clock.monotonic() - at)
    }
  }

  /** A newer stream of the same node takes over. */
  replace(): void {
    this.#options.stream.fail(status.ABORTED, 'MERLON_OPERATOR_REPLACED: a newer stream of this node took over')
  }

  /** A stream does not outlive the certificate that opened it: what a thief can do with one ends. An agent has come back with a new one long before. */
  #watchExpiry(): Timer | undefined {
    const { peer, stream, clock } = this.#options
    return peer && clock.after(Math.max(0, peer.notAfter - clock.now()), () => stream.fail(status.UNAUTHENTICATED, 'MERLON_OPERATOR_CERTIFICATE_EXPIRED: the certificate of this stream has expired: come back with a new one'))
  }

  async #send(): Promise<void> {
    const { stream, clock } = this.#options
    let patience: Timer | undefined
    while (stream.isOpen) {
      this.#dirty = false
      const message = this.#next()
      if (message) {
        this.#noteSent(Number(message.generation))
        await stream.sendThrough(message)
        this.#logger.debug('Sent a message', { generation: message.generation, full: message.full, tables: message.tables?.length, bindings: message.bindings?.length, unbound: message.unbound?.length })
      } else if (!this.#dirty) {
        patience ??= this.#hasRoom() ? undefined : clock.after(PATIENCE_MS, () => this.notify())
        await new Promise<void>((resolve) => { this.#wake = resolve })
        patience?.cancel()
        patience = undefined
      }
    }
  }

  /** Workloads that wait for their first exec are answered in any case; the rest when the agent has caught up. */
  #next(): OperatorMessage | undefined {
    const { reconciler } = this.#options
    if (!this.#reported) return undefined
    return this.view?.next(reconciler.desired(this.node), this.#hasRoom() && reconciler.isDecided(this.node), reconciler.undecided(this.node))
  }

  #hasRoom(): boolean {
    return this.#sentAt.size < WINDOW || this.#options.clock.monotonic() - this.#lastSentAt >= PATIENCE_MS
  }

  #take(message: AgentMessage__Output): Refused | undefined {
    if (message.hello) return this.#hello(message.hello)
    if (!this.hello) return { code: status.INVALID_ARGUMENT, message: 'MERLON_OPERATOR_NO_HELLO: the first message must be Hello' }
    if (message.workloads) return this.#workloads(message.workloads)
    if (message.ack) this.#ack(message.ack)
    return undefined
  }

  #hello(hello: Hello__Output): Refused | undefined {
    const { peer, tableVersion, reconciler, nodeLabels, believesAgents, logger, onHello } = this.#options
    if (this.hello) return { code: status.INVALID_ARGUMENT, message: 'MERLON_OPERATOR_SECOND_HELLO: Hello comes once in a stream' }
    if (hello.node === '' || hello.node.length > NODE_NAME_MAX) return { code: status.INVALID_ARGUMENT, message: `MERLON_OPERATOR_NO_NODE: Hello must name the node, in ${NODE_NAME_MAX} characters at most` }
    if (peer && peer.node !== hello.node) {
      return { code: status.PERMISSION_DENIED, message: `MERLON_OPERATOR_NOT_YOUR_NODE: this certificate is for node "${peer.node}", not for "${hello.node}"` }
    }
    if (!hello.table_versions.includes(tableVersion)) {
      const reads = hello.table_versions.length === 0 ? 'none' : hello.table_versions.join(', ')
      const advice = hello.table_versions.some((version) => version > tableVersion) ? 'upgrade the operator' : 'upgrade the agent'
      return { code: status.FAILED_PRECONDITION, message: `MERLON_OPERATOR_TABLE_VERSION: this operator writes tables of version ${tableVersion}, the agent on "${hello.node}" reads ${reads}: ${advice}; until then the agent keeps the tables that it has` }
    }
    this.hello = hello
    this.view = new AgentView({ generation: hello.generation, heldTables: hello.held_tables.map((hash) => hash.toString('hex')) })
    this.#logger = logger.with({ node: hello.node })
    this.#logger.info('Met an agent', { version: hello.agent_version, kernel: hello.kernel, generation: hello.generation, heldTables: hello.held_tables.length })
    reconciler.setNode({ node: hello.node, labels: { ...nodeLabels, ...(believesAgents ? hello.node_labels : {}) } })
    onHello(this)
    return undefined
  }

  #workloads({ full, upserted, removed }: Workloads__Output): Refused | undefined {
    if (!this.#reported && !full) return { code: status.INVALID_ARGUMENT, message: 'MERLON_OPERATOR_NOT_FULL: the first Workloads after Hello must be complete (full = true)' }
    this.#reported = true
    for (const id of removed) this.view?.forget(id)
    const { reconciler, believesAgents } = this.#options
    reconciler.setWorkloads(this.node, full, believesAgents ? upserted : upserted.map(withoutClaims), removed)
    this.notify()
    this.#options.onChange()
    return undefined
  }

  /** Those that the last acknowledgement did not have: most of them stay for long. */
  #logFailures(errors: Ack__Output['errors']): void {
    const known = this.#failures
    const shown = errors.slice(0, LOGGED_MAX)
    this.#failures = new Set(shown.map(({ code, workload }) => `${code} ${workload}`))
    for (const { code, message, workload } of shown) if (!known.has(`${code} ${workload}`)) this.#logger.warn('Heard of a failure', { code, problem: message.slice(0, 1000), workload })
    if (errors.length > shown.length && known.size < LOGGED_MAX) this.#logger.warn('Heard of more failures', { count: errors.length - shown.length })
  }

  #repeat(): void {
    if (!this.view?.repeat()) return
    this.#logger.info('Sending again what the agent lacks')
    this.notify()
  }

  #ack(ack: Ack__Output): void {
    this.view?.acknowledge(ack)
    const hadRoom = this.#hasRoom()
    this.#noteLatency(ack.generation)
    if (!hadRoom) this.notify()
    this.ackedAtMs = this.#options.clock.now()
    this.#logFailures(ack.errors)
    this.#repeats.note(this.view?.hasLack ?? false)
    this.#logger.debug('Heard an acknowledgement', { generation: ack.generation, latencyUs: ack.latency_us, tables: ack.tables.length, errors: ack.errors.length })
    this.#options.onChange()
  }
}
