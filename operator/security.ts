// SPDX-License-Identifier: Apache-2.0
// TLS for the operator's server, put together. Loaded only where it is asked for.
import { nodeOfAgentId } from '../proto/enrolment.ts'
import type { AuthorityKeys } from '../runtime/authority.ts'
import type { Clock } from '../runtime/clock.ts'
import type { Service } from '../runtime/grpc.ts'
import type { Logger } from '../runtime/log.ts'
import { peerOf, type Credentials } from '../runtime/tls.ts'
import { enrolService, type Reviewer } from './enrol.ts'
import type { SecretStore } from './secrets.ts'
import type { AgentCall, Security } from './serve.ts'
import type { AgentPeer } from './session.ts'
import { FEEDER_AUTHORITY, OWN_AUTHORITY, OwnCredentials, Trust } from './trust.ts'

export interface SecurityOptions {
  readonly store: SecretStore
  /** For those who have no certificate yet. */
  readonly publish: (trust: string) => Promise<void>
  readonly review: Reviewer
  /** The authority of KubeArmor's clients; absent: the relay serves them in plaintext. */
  readonly feeder?: {
    readonly store: SecretStore
    readonly publish: (trust: string, signer: AuthorityKeys) => Promise<void>
    readonly dnsNames: readonly string[]
  }
  readonly clock: Clock
  readonly logger: Logger
}

export interface OperatorSecurity extends Security {
  readonly enrolment: Service
  /** The operator as a client of the relay. */
  readonly own: Credentials
  /** Renews what is due until `signal` aborts. */
  run(signal: AbortSignal): Promise<void>
}

/** Throws where the stores cannot be used. */
export async function openSecurity({ store, publish, review, feeder, clock, logger }: SecurityOptions): Promise<OperatorSecurity> {
  const trust = await Trust.open({ store, publish, authority: OWN_AUTHORITY, clock, logger })
  const feederTrust = feeder && (await Trust.open({ store: feeder.store, publish: feeder.publish, authority: FEEDER_AUTHORITY, clock, logger }))
  const own = new OwnCredentials(trust, clock)
  return {
    own: own.credentials,
    credentials: own.credentials.forServer(),
    agentOf,
    enrolment: enrolService({ review, trust, logger, ...(feeder && feederTrust ? { feeder: { trust: feederTrust, dnsNames: feeder.dnsNames } } : {}) }),
    run: async (signal) => {
      await Promise.all([trust.run(signal, () => own.refresh()), feederTrust?.run(signal, () => {})])
    },
  }
}

function agentOf(call: AgentCall): AgentPeer | undefined {
  const peer = peerOf(call)
  const node = peer && nodeOfAgentId(peer.id)
  return peer && node !== undefined ? { node, notAfter: peer.notAfter } : undefined
}
