// SPDX-License-Identifier: Apache-2.0
// A certificate authority that replaces itself before it expires. It is a list of key pairs and the time: which pair signs, which are believed and
// whether a new one is due follow from these two alone, so that replicas which share the list agree without talking.
import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject, X509Certificate } from 'node:crypto'
import { issueCertificate, type CertificateSpec } from './x509.ts'

/** PEM. Oldest first, where there are several. */
export interface AuthorityKeys {
  readonly certificate: string
  readonly privateKey: string
}

export interface AuthorityOptions {
  readonly commonName: string
  /** RSA where clients can read nothing else (KubeArmor's). */
  readonly keyType: 'ec' | 'rsa'
  readonly lifeMs: number
  /** How long certificates that it issues live. A new authority signs only after this time: until then, everyone who must believe it has heard of it. */
  readonly leafMs: number
}

/** Certificates are valid from before they were made, for peers whose clocks are behind. */
const BACKDATE_MS = 3_600_000
/** The next authority is made when this share of a life has passed. */
const RENEW_AT = 2 / 3

/** What the list should be now: the same object where nothing is to be done. */
export function renewAuthorities(list: readonly AuthorityKeys[], options: AuthorityOptions, now: number): readonly AuthorityKeys[] {
  const valid = list.filter((keys) => now < validity(keys).until)
  const newest = valid.at(-1)
  const isDue = newest === undefined || now >= dueAt(newest)
  if (!isDue) return valid.length === list.length ? list : valid
  return [...valid, makeAuthority(options, now)]
}

function dueAt(keys: AuthorityKeys): number {
  const { madeAt, until } = validity(keys)
  return madeAt + (until - madeAt) * RENEW_AT
}

function makeAuthority({ commonName, keyType, lifeMs }: AuthorityOptions, now: number): AuthorityKeys {
  const { publicKey, privateKey } = keyType === 'ec' ? generateKeyPairSync('ec', { namedCurve: 'P-256' }) : generateKeyPairSync('rsa', { modulusLength: 2048 })
  const certificate = issueCertificate({ commonName, publicKey, notBefore: now - BACKDATE_MS, notAfter: now + lifeMs, use: 'authority' }, { commonName, publicKey, privateKey })
  // KubeArmor's client reads an RSA key in PKCS #1 and nothing else.
  const text = keyType === 'rsa' ? privateKey.export({ type: 'pkcs1', format: 'pem' }) : privateKey.export({ type: 'pkcs8', format: 'pem' })
  return { certificate: certificate.toString(), privateKey: text.toString() }
}

function validity({ certificate }: AuthorityKeys): { readonly madeAt: number; readonly until: number } {
  const { validFromDate, validToDate } = new X509Certificate(certificate)
  return { madeAt: validFromDate.getTime() + BACKDATE_MS, until: validToDate.getTime() }
}

export interface LeafSpec extends Pick<CertificateSpec, 'commonName' | 'publicKey' | 'uris' | 'dnsNames' | 'addresses'> {
  readonly use: readonly ('server' | 'client')[]
}

export interface Issued {
  /** PEM. */
  readonly certificate: string
  readonly notAfter: number
}

interface Member {
  readonly keys: AuthorityKeys
  readonly commonName: string
  readonly privateKey: KeyObject
  readonly publicKey: KeyObject
  readonly madeAt: number
  readonly until: number
}

export class Authority {
  readonly #members: readonly Member[]
  readonly #leafMs: number

  /** Throws on keys or certificates that cannot be read: the store is damaged. */
  constructor(list: readonly AuthorityKeys[], { leafMs }: Pick<AuthorityOptions, 'leafMs'>) {
    this.#leafMs = leafMs
    this.#members = list.map((keys) => ({
      keys,
      commonName: commonNameOf(new X509Certificate(keys.certificate)),
      privateKey: createPrivateKey(keys.privateKey),
      publicKey: createPublicKey(keys.privateKey),
      ...validity(keys),
    }))
  }

  /** PEM of all that are to be believed. */
  trust(now: number): string {
    return this.#members.filter(({ until }) => now < until).map(({ keys }) => keys.certificate).join('')
  }

  /** Of those that may sign, the one that lives longest. */
  signer(now: number): AuthorityKeys {
    return this.#signer(now).keys
  }

  /** No certificate outlives its authority. */
  issue(spec: LeafSpec, now: number): Issued {
    const signer = this.#signer(now)
    const notAfter = Math.min(now + this.#leafMs, signer.until)
    const certificate = issueCertificate({ ...spec, notBefore: now - BACKDATE_MS, notAfter }, signer)
    return { certificate: certificate.toString(), notAfter }
  }

  #signer(now: number): Member {
    const valid = this.#members.filter(({ until }) => now < until)
    const [oldest] = valid
    if (oldest === undefined) throw new Error('Cannot issue a certificate: every authority has expired')
    // A clock that was set back finds authorities of the future: they are better than none.
    return valid.findLast(({ madeAt }) => now >= madeAt + this.#leafMs) ?? oldest
  }
}

function commonNameOf(certificate: X509Certificate): string {
  const match = /^CN=(?<name>.+)$/.exec(certificate.subject)
  const name = match?.groups?.['name']
  if (name === undefined) throw new Error(`Cannot use the authority "${certificate.subject}": it was not made here`)
  return name
}
