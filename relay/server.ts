// SPDX-License-Identifier: Apache-2.0
// The relay as a whole: one server for clients, one for agents (clients must not be able to push events), one hub.
import type { ServerCredentials, UntypedServiceImplementation } from '@grpc/grpc-js'
import { EventSink, logServiceOfBytes } from '../proto/load.ts'
import { every, systemClock, type Clock, type Timer } from '../runtime/clock.ts'
import { serve, type RunningServer, type ServeOptions, type Service } from '../runtime/grpc.ts'
import { silentLogger, type Logger } from '../runtime/log.ts'
import { MerlonError } from './errors.ts'
import { feederImplementation } from './feeder.ts'
import { health, healthService } from '../runtime/health.ts'
import { Hub, type HubCounts } from './hub.ts'
import { Nodes } from './nodes.ts'
import { eventSink, type SenderOf } from './sink.ts'

export interface RelayOptions {
  /** Where clients connect: `127.0.0.1:32767`, `[::1]:32767`, `unix:/path`. Port 0 takes a free one. */
  readonly listen: readonly string[]
  /** Where agents connect, in the same forms. */
  readonly agents: string
  readonly hostName: string
  /** Absent: plaintext. */
  readonly agentSecurity?: { readonly credentials: ServerCredentials; readonly senderOf: SenderOf }
  /** Absent: plaintext, which is what KubeArmor's clients try first. */
  readonly clientCredentials?: ServerCredentials
  /** Events that wait for one slow subscriber at most; default 1000. */
  readonly capacity?: number
  readonly logger?: Logger
  /** Default: the machine's. Losses are reported once a second by it. */
  readonly clock?: Clock
}

export interface Relay {
  /** The addresses of `listen`, with the ports taken. */
  readonly addresses: readonly string[]
  readonly agentsAddress: string
  readonly counts: HubCounts
  readonly subscribers: number
  /** Somebody follows logs, or did a moment ago: agents are asked to record them. */
  readonly logsWanted: boolean
  readonly nodes: { readonly present: readonly string[]; readonly missing: readonly string[] }
  /** Ends every stream with status OK, then closes; connections that linger are cut after two seconds. */
  close(): Promise<void>
}

const REPORT_MS = 1000
const CLOSE_MS = 2000
/** Some dozens of events, of some KiB each. */
const BATCH_BYTES_MAX = 16 * 1024 * 1024
/** A word, from anybody. */
const FILTER_BYTES_MAX = 64 * 1024

/** Rejects with MERLON_RELAY_CANNOT_LISTEN where an address cannot be bound. */
export async function startRelay(options: RelayOptions): Promise<Relay> {
  const clock = options.clock ?? systemClock
  const hub = new Hub({ capacity: options.capacity ?? 1000, hostName: options.hostName, clock, logger: options.logger ?? silentLogger })
  const nodes = new Nodes(hub)
  const sink = eventSink(hub, nodes, options.agentSecurity?.senderOf)
  const clientHealth = health(['feeder.LogService'])
  const agentHealth = health(['merlon.v1.EventSink'])
  const servers: RunningServer[] = []
  let timer: Timer | undefined
  const close = async (): Promise<void> => {
    timer?.cancel()
    for (const part of [hub, sink, clientHealth, agentHealth]) part.end()
    await Promise.all(servers.map((server) => server.stop(CLOSE_MS)))
  }
  try {
    const agents = await listen(options.agents, { services: [{ definition: EventSink.service, implementation: sink.implementation }, healthOf(agentHealth)], requestBytesMax: BATCH_BYTES_MAX, ...credentialsOf(options.agentSecurity?.credentials) })
    servers.push(agents)
    const clients: UntypedServiceImplementation = feederImplementation(hub, nodes)
    for (const address of options.listen) {
      servers.push(await listen(address, { services: [{ definition: logServiceOfBytes, implementation: clients }, healthOf(clientHealth)], requestBytesMax: FILTER_BYTES_MAX, ...credentialsOf(options.clientCredentials) }))
    }
    timer = every(clock, REPORT_MS, () => hub.reportLosses())
    return {
      addresses: servers.slice(1).map(({ address }) => address),
      agentsAddress: agents.address,
      get counts() {
        return hub.counts
      },
      get subscribers() {
        return hub.subscribers
      },
      get logsWanted() {
        return hub.demand.isWanted
      },
      nodes,
      close,
    }
  } catch (error) {
    await close()
    throw error
  }
}

function healthOf({ implementation }: { readonly implementation: UntypedServiceImplementation }): Service {
  return { definition: healthService, implementation }
}

function credentialsOf(credentials: ServerCredentials | undefined): Pick<ServeOptions, 'credentials'> {
  return credentials ? { credentials } : {}
}

async function listen(address: string, options: Omit<ServeOptions, 'address'>): Promise<RunningServer> {
  try {
    return await serve({ address, ...options })
  } catch (error) {
    throw cannotListen(address, error as Error)
  }
}

function cannotListen(address: string, cause: Error): MerlonError {
  const why = /EADDRINUSE/.test(cause.message)
    ? 'another process listens there: stop it or choose another address'
    : /EACCES|EPERM/.test(cause.message)
      ? 'this user may not listen there'
      : cause.message
  return new MerlonError('MERLON_RELAY_CANNOT_LISTEN', `Cannot listen on ${address}: ${why}`, { cause })
}
