// SPDX-License-Identifier: Apache-2.0
// Enrolment: whoever proves by a token what it is gets a certificate that says so, and nothing else.
import { createPublicKey, verify, type KeyObject } from 'node:crypto'
import { status, type handleUnaryCall } from '@grpc/grpc-js'
import { agentId, enrolmentProof, RELAY_ID } from '../proto/enrolment.ts'
import { Enrolment } from '../proto/load.ts'
import type { EnrolReply } from '../proto/gen/merlon/v1/EnrolReply.ts'
import type { EnrolRequest__Output } from '../proto/gen/merlon/v1/EnrolRequest.ts'
import type { LeafSpec } from '../runtime/authority.ts'
import type { Service } from '../runtime/grpc.ts'
import type { Logger } from '../runtime/log.ts'
import type { Trust } from './trust.ts'

/** The audience that tokens must be made for: one that was made for the API server, or for something else, is refused. */
export const AUDIENCE = 'merlon'

export type Review =
  /** `node` of an agent: where its pod runs, from the token itself. */
  | { readonly ok: true; readonly role: 'AGENT'; readonly node: string }
  | { readonly ok: true; readonly role: 'RELAY' }
  /** Not good, or of somebody who gets no certificate. */
  | { readonly ok: false; readonly message: string }

/** Throws where it cannot be told now. */
export type Reviewer = (token: string) => Promise<Review>

export interface EnrolOptions {
  readonly review: Reviewer
  readonly trust: Trust
  /** Of the authority that KubeArmor's clients know; absent: those are served in plaintext. */
  readonly feeder?: { readonly trust: Trust; readonly dnsNames: readonly string[] }
  readonly logger: Logger
}

type Refusal = { readonly code: status; readonly message: string }
type Outcome = { readonly ok: true; readonly value: EnrolReply } | { readonly ok: false; readonly refusal: Refusal }

/** Reviews at once: the rest wait. A thousand agents that start together must not become a thousand requests to the API server at once. */
const REVIEWS_AT_ONCE = 16

export function enrolService(options: EnrolOptions): Service {
  const review = atMost(REVIEWS_AT_ONCE, options.review)
  const Enrol: handleUnaryCall<EnrolRequest__Output, EnrolReply> = (call, reply) => {
    answer({ ...options, review }, call.request).then((outcome) => {
      if (outcome.ok) return reply(null, outcome.value)
      options.logger.warn('Refused a certificate', { peer: call.getPeer(), role: call.request.role, node: call.request.node, reason: outcome.refusal.message })
      reply({ code: outcome.refusal.code, details: outcome.refusal.message })
    }, (error: Error) => {
      options.logger.error('Failed to review a token', { error })
      reply({ code: status.UNAVAILABLE, details: `MERLON_OPERATOR_NO_REVIEW: the token cannot be checked now: ${error.message}` })
    })
  }
  return { definition: Enrolment.service, implementation: { Enrol } }
}

async function answer(options: EnrolOptions, request: EnrolRequest__Output): Promise<Outcome> {
  const { role, node, token } = request
  const publicKey = keyOf(request)
  if (!publicKey) return refuse(status.INVALID_ARGUMENT, 'MERLON_OPERATOR_BAD_KEY: public_key must be an EC key on P-256, and proof its signature')
  const reviewed = await options.review(token)
  if (!reviewed.ok) return refuse(status.UNAUTHENTICATED, `MERLON_OPERATOR_BAD_TOKEN: ${reviewed.message}`)
  const wanted = role === 'FEEDER' ? 'RELAY' : role
  if (reviewed.role !== wanted) return refuse(status.PERMISSION_DENIED, `MERLON_OPERATOR_NOT_YOUR_ROLE: this token is for ${reviewed.role}, not for ${role}`)
  if (reviewed.role === 'AGENT' && reviewed.node !== node) {
    return refuse(status.PERMISSION_DENIED, `MERLON_OPERATOR_NOT_YOUR_NODE: this token was given to a pod on node "${reviewed.node}", not on "${node}"`)
  }
  if (role === 'FEEDER' && !options.feeder) return refuse(status.FAILED_PRECONDITION, 'MERLON_OPERATOR_NO_FEEDER_TLS: this operator keeps no authority for clients: start it with --feeder-tls')
  return { ok: true, value: issue(options, request, publicKey) }
}

function issue({ trust, feeder, logger }: EnrolOptions, { role, node }: EnrolRequest__Output, publicKey: KeyObject): EnrolReply {
  const from = role === 'FEEDER' && feeder ? feeder.trust : trust
  const { certificate, notAfter } = from.issue(leafOf(role, node, publicKey, feeder?.dnsNames ?? []))
  logger.info('Issued a certificate', { role, node, notAfter: new Date(notAfter).toISOString() })
  return { certificate, trust: from.bundle, not_after_unix_ms: notAfter }
}

function leafOf(role: EnrolRequest__Output['role'], node: string, publicKey: KeyObject, dnsNames: readonly string[]): LeafSpec {
  if (role === 'AGENT') return { commonName: 'agent', publicKey, uris: [agentId(node)], use: ['client'] }
  if (role === 'RELAY') return { commonName: 'relay', publicKey, uris: [RELAY_ID], use: ['server', 'client'] }
  // KubeArmor's clients check the name they connected to: the Service's, or localhost through a forwarded port.
  return { commonName: 'kubearmor-relay', publicKey, dnsNames: [...dnsNames, 'localhost'], addresses: ['127.0.0.1', '::1'], use: ['server'] }
}

function refuse(code: status, message: string): Outcome {
  return { ok: false, refusal: { code, message } }
}

/** The caller's key, where it is of the one kind that we issue for and the caller has the private half. */
function keyOf({ role, node, token, public_key: bytes, proof }: EnrolRequest__Output): KeyObject | undefined {
  try {
    const key = createPublicKey({ key: bytes, format: 'der', type: 'spki' })
    const isOurs = key.asymmetricKeyType === 'ec' && key.asymmetricKeyDetails?.namedCurve === 'prime256v1'
    return isOurs && verify('sha256', enrolmentProof(role, node, token), key, proof) ? key : undefined
  } catch {
    return undefined
  }
}

function atMost<In, Out>(limit: number, call: (value: In) => Promise<Out>): (value: In) => Promise<Out> {
  let running = 0
  const waiting: (() => void)[] = []
  return async (value) => {
    if (running >= limit) await new Promise<void>((resolve) => waiting.push(resolve))
    else running += 1
    try {
      return await call(value)
    } finally {
      // Whoever waited longest takes this place.
      const next = waiting.shift()
      if (next) next()
      else running -= 1
    }
  }
}
