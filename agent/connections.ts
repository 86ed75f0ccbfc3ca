// SPDX-License-Identifier: Apache-2.0
// How this agent reaches the operator and the relay.
import { EventSink, NodeSync } from '../proto/load.ts'
import type { Clock } from '../runtime/clock.ts'
import { connectAt, connectTo, type Target } from '../runtime/connect.ts'
import { Endpoints } from '../runtime/endpoints.ts'
import type { Enroller } from '../runtime/enrol.ts'
import { isReady } from '../runtime/grpc.ts'
import type { Logger } from '../runtime/log.ts'
import { clientDuplex } from '../runtime/stream.ts'
import type { AgentOptions } from './options.ts'
import type { Relays } from './relays.ts'
import type { SyncConnection } from './sync.ts'

/** How long a connection that is to take over may take to stand. */
const STANDING_MS = 10_000

export interface Connections {
  readonly connectOperator: (signal: AbortSignal, standing: boolean) => Promise<SyncConnection | undefined>
  readonly relays: Relays
  /** Absent: plaintext. */
  readonly enroller?: Enroller
}

export async function makeConnections(options: Pick<AgentOptions, 'operator' | 'relay' | 'node' | 'tls'>, { clock, logger }: { readonly clock: Clock; readonly logger: Logger }): Promise<Connections> {
  const random = Math.random
  const endpoints = (addresses: string): Endpoints => new Endpoints(addresses, { random })
  const { operator, relay, node, tls } = options
  if (tls === undefined) return connections({ endpoints: endpoints(operator) }, { endpoints: endpoints(relay) })
  // Loaded only now: a host of its own needs neither.
  const [{ Enroller: Enrolling }, { OPERATOR_ID, RELAY_ID }] = await Promise.all([import('../runtime/enrol.ts'), import('../proto/enrolment.ts')])
  const enroller = new Enrolling({ role: 'AGENT', node, operators: endpoints(operator), ...tls, clock, logger, random })
  const secure = (peerId: string): Target['secure'] & object => ({ ready: enroller.ready, peerId })
  return {
    ...connections({ endpoints: endpoints(operator), secure: secure(OPERATOR_ID) }, { endpoints: endpoints(relay), secure: secure(RELAY_ID) }),
    enroller,
  }
}

function connections(operator: Target, relay: Target): Connections {
  return {
    connectOperator: async (signal, standing) => {
      const client = await connectTo(NodeSync, operator, signal)
      if (!client) return undefined
      if (standing && !(await isReady(client, STANDING_MS))) {
        client.close()
        return undefined
      }
      return { stream: clientDuplex(client.Sync()), close: () => client.close() }
    },
    relays: {
      addresses: () => relay.endpoints.all(),
      connect: async (address, signal) => {
        const client = await connectAt(EventSink, { ...relay, address }, signal)
        return client && { stream: clientDuplex(client.Push()), close: () => client.close() }
      },
    },
  }
}
