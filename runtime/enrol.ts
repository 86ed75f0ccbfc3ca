// SPDX-License-Identifier: Apache-2.0
// How agents and the relay get their certificates, and new ones in time. The private key is made here and stays here.
import { createHash, generateKeyPairSync, sign } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import type { ChannelCredentials } from '@grpc/grpc-js'
import { enrolmentProof, OPERATOR_ID } from '../proto/enrolment.ts'
import { Enrolment } from '../proto/load.ts'
import type { EnrolReply__Output } from '../proto/gen/merlon/v1/EnrolReply.ts'
import { Backoff } from './backoff.ts'
import { sleep, type Clock } from './clock.ts'
import type { Endpoints } from './endpoints.ts'
import { openClient } from './grpc.ts'
import type { Logger } from './log.ts'
import { anonymous, Credentials, type KeyMaterial } from './tls.ts'

export interface EnrollerOptions {
  readonly role: 'AGENT' | 'RELAY' | 'FEEDER'
  /** For an agent. */
  readonly node?: string
  readonly operators: Endpoints
  /** PEM of the operator's authorities; read again for each attempt. */
  readonly trustFile: string
  /** The token that proves us; read again for each attempt, since the kubelet replaces it. */
  readonly tokenFile: string
  readonly clock: Clock
  readonly logger: Logger
  readonly random: () => number
  /** How long an operator may take to answer. Default 10,000. */
  readonly answerMs?: number
}

const ANSWER_MS = 10_000
/** A new certificate is asked for when between 60 and 70 % of the last one's life have passed: not by everyone at once. */
const RENEW_FROM = 0.6
const RENEW_SPREAD = 0.1
/** Where our clock is so far ahead that the new certificate looks old: many such nodes are not to become a burden. */
const RENEW_MIN_MS = 60_000

export class Enroller {
  readonly #options: EnrollerOptions
  readonly #first = Promise.withResolvers<Credentials>()
  readonly #attempted = Promise.withResolvers<void>()
  #credentials: Credentials | undefined
  #problem = 'it has not asked yet'

  constructor(options: EnrollerOptions) {
    this.#options = options
  }

  /** Resolves when there is a certificate. */
  get ready(): Promise<Credentials> {
    return this.#first.promise
  }

  /** Resolves after the first attempt, whatever came of it. */
  attempted(): Promise<void> {
    return this.#attempted.promise
  }

  /** Undefined: not enrolled yet, see `problem`. */
  get credentials(): Credentials | undefined {
    return this.#credentials
  }

  /** Why the last attempt failed; empty after a success. */
  get problem(): string {
    return this.#problem
  }

  /** Enrols, and again in time, until `signal` aborts. `renewed` is called for every certificate but the first. */
  async run(signal: AbortSignal, renewed: () => void = () => {}): Promise<void> {
    const { clock, logger, random } = this.#options
    const backoff = new Backoff({ baseMs: 500, capMs: 30_000, clock, random })
    while (!signal.aborted) {
      const result = await this.#attempt()
      if (signal.aborted) return
      if (!result.ok) {
        this.#problem = result.message
        this.#attempted.resolve()
        logger.warn('Failed to get a certificate', { role: this.#options.role, reason: result.message, attempt: backoff.attempts + 1 })
        await backoff.wait(signal)
        continue
      }
      backoff.reset()
      this.#problem = ''
      this.#accept(result.value, renewed)
      this.#attempted.resolve()
      const left = result.value.notAfter - clock.now()
      await sleep(clock, Math.max(RENEW_MIN_MS, left * (RENEW_FROM + random() * RENEW_SPREAD)), signal)
    }
  }

  #accept(material: KeyMaterial, renewed: () => void): void {
    const { logger, role } = this.#options
    logger.info('Got a certificate', { role, notAfter: new Date(material.notAfter).toISOString() })
    if (this.#credentials) {
      this.#credentials.replace(material)
      renewed()
      return
    }
    this.#credentials = new Credentials(material)
    this.#first.resolve(this.#credentials)
  }

  async #attempt(): Promise<Result> {
    const { operators, trustFile, tokenFile } = this.#options
    try {
      const [file, token] = await Promise.all([readFile(trustFile, 'utf8'), readFile(tokenFile, 'utf8')])
      // What the operator told last may be newer than the file, and the file newer than that after a long absence.
      const trust = unite(file, this.#credentials?.current.trust ?? '')
      return await enrol(this.#options, { address: await operators.next(), credentials: anonymous(trust, OPERATOR_ID), token: token.trim() })
    } catch (error) {
      return { ok: false, message: (error as Error).message }
    }
  }
}

type Result = { readonly ok: true; readonly value: KeyMaterial } | { readonly ok: false; readonly message: string }

interface Attempt {
  readonly address: string
  readonly credentials: ChannelCredentials
  readonly token: string
}

async function enrol({ role, node = '', answerMs = ANSWER_MS }: EnrollerOptions, { address, credentials, token }: Attempt): Promise<Result> {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const request = { role, node, token, public_key: publicKey.export({ type: 'spki', format: 'der' }), proof: sign('sha256', enrolmentProof(role, node, token), privateKey) }
  const client = openClient(Enrolment, address, credentials)
  const reply = await new Promise<EnrolReply__Output | Error>((resolve) => {
    client.Enrol(request, { deadline: Date.now() + answerMs }, (error, value) => resolve(error ?? value ?? new Error('no reply')))
  })
  client.close()
  if (reply instanceof Error) return { ok: false, message: reply.message }
  return { ok: true, value: { certificate: reply.certificate, trust: reply.trust, privateKey: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(), notAfter: reply.not_after_unix_ms } }
}

/** All certificates of both, each once. */
function unite(...bundles: readonly string[]): string {
  const blocks = bundles.flatMap((bundle) => bundle.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [])
  return [...new Map(blocks.map((block) => [createHash('sha256').update(block.replace(/\s/g, '')).digest('hex'), block])).values()].map((block) => `${block}\n`).join('')
}
