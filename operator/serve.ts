// SPDX-License-Identifier: Apache-2.0
// The NodeSync service: one session for each agent, the newest where a node has two.
import { status, type ServerCredentials, type ServerDuplexStream } from '@grpc/grpc-js'
import type { AgentMessage__Output } from '../proto/gen/merlon/v1/AgentMessage.ts'
import type { OperatorMessage } from '../proto/gen/merlon/v1/OperatorMessage.ts'
import type { Clock } from '../runtime/clock.ts'
import { serve, type RunningServer, type Service } from '../runtime/grpc.ts'
import type { Logger } from '../runtime/log.ts'
import { serverDuplex } from '../runtime/stream.ts'
import { nodeSyncService } from './encoding.ts'
import type { Reconciler } from './reconcile.ts'
import { Session, type AgentPeer } from './session.ts'

export interface NodeSyncOptions {
  readonly address: string
  readonly reconciler: Reconciler
  readonly tableVersion: number
  /** For every node, beneath what its agent says. */
  readonly nodeLabels: Readonly<Record<string, string>>
  /** Whether an agent is asked whose its containers are, and for labels of its node. Not where an API says that: a stolen certificate would read what it claims to run. */
  readonly believesAgents: boolean
  /** Absent: plaintext, in which an agent is what it says. */
  readonly security?: Security
  /** Beside NodeSync, on the same address. */
  readonly services?: readonly Service[]
  readonly clock: Clock
  readonly logger: Logger
  readonly onAcknowledged?: (ms: number) => void
  /** Something that a status shows has changed. */
  readonly onChange: () => void
}

export interface Security {
  readonly credentials: ServerCredentials
  /** The agent at the other end; undefined: nobody that we know. */
  readonly agentOf: (call: AgentCall) => AgentPeer | undefined
}

/** What runs on a node, all at once, is the largest message of an agent: a few KiB for each container. */
const REQUEST_BYTES_MAX = 16 * 1024 * 1024

export type AgentCall = ServerDuplexStream<AgentMessage__Output, OperatorMessage>

export class NodeSyncServer {
  /** By node; a session stays here after its end, so that a status can say what was last known. */
  readonly sessions = new Map<string, Session>()
  readonly #options: NodeSyncOptions
  #server: RunningServer | undefined

  constructor(options: NodeSyncOptions) {
    this.#options = options
  }

  get address(): string {
    return this.#server?.address ?? ''
  }

  /** Throws where the address cannot be used. */
  async start(): Promise<void> {
    const { address, security, services = [] } = this.#options
    const Sync = (call: AgentCall): void => void this.#open(call)
    this.#server = await serve({ address, requestBytesMax: REQUEST_BYTES_MAX, services: [{ definition: nodeSyncService, implementation: { Sync } }, ...services], ...(security ? { credentials: security.credentials } : {}) })
  }

  /** For the reconciler's onNodes. */
  notify(nodes: ReadonlySet<string>): void {
    for (const node of nodes) {
      if (this.#options.reconciler.nodes.has(node)) this.sessions.get(node)?.notify()
      // It has left the cluster: nobody asks any more what was last known of it.
      else this.sessions.delete(node)
    }
    this.#options.onChange()
  }

  async stop(): Promise<void> {
    // Streams of agents do not end by themselves; they come back to the next operator.
    await this.#server?.stop(0)
  }

  async #open(call: AgentCall): Promise<void> {
    const { security, reconciler, tableVersion, nodeLabels, believesAgents, clock, logger, onChange, onAcknowledged } = this.#options
    const peer = security?.agentOf(call)
    if (security && !peer) {
      logger.warn('Refused an agent', { peer: call.getPeer(), reason: 'no certificate of an agent' })
      call.emit('error', { code: status.UNAUTHENTICATED, details: 'MERLON_OPERATOR_NO_CERTIFICATE: Sync needs the certificate of an agent: enrol first' })
      return
    }
    const onHello = (session: Session): void => {
      const before = this.sessions.get(session.node)
      this.sessions.set(session.node, session)
      if (before?.isOpen) before.replace()
    }
    const session = new Session({ stream: serverDuplex(call), ...(peer ? { peer } : {}), ...(onAcknowledged ? { onAcknowledged } : {}), reconciler, tableVersion, nodeLabels, believesAgents, clock, logger, onHello, onChange })
    try {
      await session.run()
    } catch (error) {
      logger.error('Failed a session', { error })
      call.destroy(error as Error)
    }
    if (this.sessions.get(session.node) === session) reconciler.leave(session.node)
  }
}
