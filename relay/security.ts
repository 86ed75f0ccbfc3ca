// SPDX-License-Identifier: Apache-2.0
// TLS for the relay's two servers. Loaded only where it is asked for.
import { nodeOfAgentId, OPERATOR_ID } from '../proto/enrolment.ts'
import type { Clock } from '../runtime/clock.ts'
import { Endpoints } from '../runtime/endpoints.ts'
import { Enroller } from '../runtime/enrol.ts'
import type { Logger } from '../runtime/log.ts'
import { peerOf } from '../runtime/tls.ts'
import type { RelayOptions } from './server.ts'
import type { Sender, SenderOf } from './sink.ts'

export interface RelaySecurityOptions {
  readonly operator: string
  readonly trustFile: string
  readonly tokenFile: string
  /** Whether KubeArmor's clients are served by TLS as well. */
  readonly feeder: boolean
  readonly clock: Clock
  readonly logger: Logger
  readonly signal: AbortSignal
}

/** Resolves when the relay has its certificates; they are renewed until `signal` aborts. */
export async function openSecurity(options: RelaySecurityOptions): Promise<Pick<RelayOptions, 'agentSecurity' | 'clientCredentials'>> {
  const agents = enroller('RELAY', options)
  const clients = options.feeder ? enroller('FEEDER', options) : undefined
  const credentials = (await agents.ready).forServer()
  const security = { agentSecurity: { credentials, senderOf } }
  return clients ? { ...security, clientCredentials: (await clients.ready).forServer({ onlyKnown: true }) } : security
}

function enroller(role: 'RELAY' | 'FEEDER', { operator, trustFile, tokenFile, clock, logger, signal }: RelaySecurityOptions): Enroller {
  const made = new Enroller({ role, operators: new Endpoints(operator, { random: Math.random }), trustFile, tokenFile, clock, logger, random: Math.random })
  void made.run(signal)
  return made
}

const senderOf: SenderOf = (stream): Sender | undefined => {
  const id = peerOf(stream)?.id
  if (id === OPERATOR_ID) return { kind: 'operator' }
  const node = id === undefined ? undefined : nodeOfAgentId(id)
  return node === undefined ? undefined : { kind: 'agent', node }
}
