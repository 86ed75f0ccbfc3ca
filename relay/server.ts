// SPDX-License-Identifier: Apache-2.0
// The relay as a whole: one server for clients, one for agents (clients must not be able to push events), one hub.
import { Server, ServerCredentials, type ServiceDefinition, type UntypedServiceImplementation } from '@grpc/grpc-js'
import { MerlonError } from './errors.ts'
import { feederImplementation } from './feeder.ts'
import { health, healthService } from './health.ts'
import { Hub, type HubCounts } from './hub.ts'
import { Nodes } from './nodes.ts'
import { eventSink } from './sink.ts'
import { eventSinkService, logService, type Message } from './wire.ts'

export interface RelayOptions {
  /** Where clients connect: `127.0.0.1:32767`, `[::1]:32767`, `unix:/path`. Port 0 takes a free one. */
  readonly listen: readonly string[]
  /** Where agents connect, in the same forms. */
  readonly agents: string
  readonly hostName: string
  readonly log: (level: Message['Level'], text: string) => void
  /** Events that wait for one slow subscriber at most; default 1000. */
  readonly capacity?: number
  /** Milliseconds since 1970; default: the machine's clock. */
  readonly now?: () => number
  /** Milliseconds between reports of losses; default 1000. 0: only when reportLosses is called. */
  readonly reportInterval?: number
}

export interface Relay {
  /** The addresses of `listen`, with the ports taken. */
  readonly addresses: readonly string[]
  readonly agentsAddress: string
  readonly counts: HubCounts
  readonly subscribers: number
  readonly nodes: { readonly present: readonly string[]; readonly missing: readonly string[] }
  reportLosses(): void
  /** Ends every stream with status OK, then closes; connections that linger are cut after two seconds. */
  close(): Promise<void>
}

const MAX_BATCH_BYTES = 16 * 1024 * 1024
const CLOSE_MS = 2000

/** Rejects with MERLON_RELAY_CANNOT_LISTEN where an address cannot be bound. */
export async function startRelay(options: RelayOptions): Promise<Relay> {
  const hub = new Hub({
    capacity: options.capacity ?? 1000,
    hostName: options.hostName,
    now: options.now ?? Date.now,
    log: options.log,
  })
  const nodes = new Nodes(hub)
  const sink = eventSink(hub, nodes)
  const clients = withHealth(logService, feederImplementation(hub, nodes), 'feeder.LogService')
  const agents = withHealth(eventSinkService, sink.implementation, 'merlon.v1.EventSink')

  const endAll = (): void => {
    hub.end()
    sink.end()
    clients.end()
    agents.end()
  }
  const close = async (): Promise<void> => {
    endAll()
    await Promise.all([closeServer(clients.server), closeServer(agents.server)])
  }
  try {
    const agentsAddress = await bind(agents.server, options.agents)
    const addresses: string[] = []
    for (const address of options.listen) addresses.push(await bind(clients.server, address))
    const timer = reportEvery(hub, options.reportInterval ?? 1000)
    return {
      addresses,
      agentsAddress,
      get counts() {
        return hub.counts
      },
      get subscribers() {
        return hub.subscribers
      },
      nodes,
      reportLosses: () => hub.reportLosses(),
      close: () => {
        clearInterval(timer)
        return close()
      },
    }
  } catch (error) {
    await close()
    throw error
  }
}

interface Endpoint {
  readonly server: Server
  end(): void
}

function withHealth(service: ServiceDefinition, implementation: UntypedServiceImplementation, name: string): Endpoint {
  // Pings find clients whose machine has gone without closing: their queues would fill and be reported for ever.
  const server = new Server({
    'grpc.max_receive_message_length': MAX_BATCH_BYTES,
    'grpc.keepalive_time_ms': 10_000,
    'grpc.keepalive_timeout_ms': 5_000,
  })
  const { implementation: healthImplementation, end } = health([name])
  server.addService(service, implementation)
  server.addService(healthService, healthImplementation)
  return { server, end }
}

function reportEvery(hub: Hub, interval: number): NodeJS.Timeout | undefined {
  if (interval === 0) return undefined
  return setInterval(() => hub.reportLosses(), interval).unref()
}

async function bind(server: Server, address: string): Promise<string> {
  return new Promise((resolve, reject) => {
    server.bindAsync(address, ServerCredentials.createInsecure(), (error, port) => {
      if (error === null) resolve(address.startsWith('unix:') ? address : address.replace(/:\d+$/, `:${port}`))
      else reject(cannotListen(address, error))
    })
  })
}

function cannotListen(address: string, cause: Error): MerlonError {
  const why = /EADDRINUSE/.test(cause.message)
    ? 'another process listens there: stop it or choose another address'
    : /EACCES|EPERM/.test(cause.message)
      ? 'this user may not listen there'
      : cause.message
  return new MerlonError('MERLON_RELAY_CANNOT_LISTEN', `Cannot listen on ${address}: ${why}`, { cause })
}

async function closeServer(server: Server): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => server.forceShutdown(), CLOSE_MS)
    server.tryShutdown(() => {
      clearTimeout(timer)
      resolve()
    })
  })
}
