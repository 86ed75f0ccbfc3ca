// SPDX-License-Identifier: Apache-2.0
// What a process proves itself with, and whom it believes. Both are replaced while servers and streams live: a server takes the new ones for the
// next connection, a client for the next that it opens, and running streams go on.
import { X509Certificate } from 'node:crypto'
import type { PeerCertificate } from 'node:tls'
import { credentials, experimental, type ChannelCredentials, type ServerCredentials } from '@grpc/grpc-js'

export interface KeyMaterial {
  /** PEM. */
  readonly certificate: string
  readonly privateKey: string
  /** PEM: authorities that peers' certificates must come from. */
  readonly trust: string
  /** Milliseconds since 1970. */
  readonly notAfter: number
}

type CaListener = Parameters<experimental.CertificateProvider['addCaCertificateListener']>[0]
type IdentityListener = Parameters<experimental.CertificateProvider['addIdentityCertificateListener']>[0]

export class Credentials {
  #current: KeyMaterial
  readonly #trusting = new Set<CaListener>()
  readonly #proving = new Set<IdentityListener>()

  constructor(first: KeyMaterial) {
    this.#current = first
  }

  get current(): KeyMaterial {
    return this.#current
  }

  replace(next: KeyMaterial): void {
    this.#current = next
    for (const listener of this.#trusting) listener(this.#ca())
    for (const listener of this.#proving) listener(this.#identity())
  }

  /**
   * A peer without a certificate, or with one that is not believed, can connect: it is nobody (peerOf), and the service decides.
   * `onlyKnown`: it cannot connect.
   */
  forServer({ onlyKnown = false } = {}): ServerCredentials {
    const provider: experimental.CertificateProvider = {
      addCaCertificateListener: (listener) => {
        this.#trusting.add(listener)
        // Not at once: grpc-js adds its own listener after this returns.
        queueMicrotask(() => listener(this.#ca()))
      },
      removeCaCertificateListener: (listener) => void this.#trusting.delete(listener),
      addIdentityCertificateListener: (listener) => {
        this.#proving.add(listener)
        queueMicrotask(() => listener(this.#identity()))
      },
      removeIdentityCertificateListener: (listener) => void this.#proving.delete(listener),
    }
    return experimental.createCertificateProviderServerCredentials(provider, provider, onlyKnown)
  }

  /** For one connection, with what is current now. The peer must have this ID, whatever its address. */
  forClient(peerId: string): ChannelCredentials {
    const { trust, privateKey, certificate } = this.#current
    return credentials.createSsl(Buffer.from(trust), Buffer.from(privateKey), Buffer.from(certificate), { checkServerIdentity: checkId(peerId) })
  }

  #ca(): { caCertificate: Buffer } {
    return { caCertificate: Buffer.from(this.#current.trust) }
  }

  #identity(): { certificate: Buffer; privateKey: Buffer } {
    return { certificate: Buffer.from(this.#current.certificate), privateKey: Buffer.from(this.#current.privateKey) }
  }
}

/** For a client that has no certificate yet. */
export function anonymous(trust: string, peerId: string): ChannelCredentials {
  return credentials.createSsl(Buffer.from(trust), null, null, { checkServerIdentity: checkId(peerId) })
}

function checkId(wanted: string): (host: string, certificate: PeerCertificate) => Error | undefined {
  return (host, { raw }) => {
    const found = idOf(new X509Certificate(raw))
    return found === wanted ? undefined : new Error(`the peer at ${host} is ${found ?? 'nobody that we know'}, not ${wanted}`)
  }
}

/** A server's client. */
export interface Peer {
  readonly id: string
  /** When its certificate expires, milliseconds since 1970. */
  readonly notAfter: number
}

/** Undefined: plaintext, no certificate, or one that is not to be believed. */
export function peerOf(call: { getAuthContext(): { readonly sslPeerCertificate?: PeerCertificate } }): Peer | undefined {
  const { sslPeerCertificate } = call.getAuthContext()
  if (!sslPeerCertificate) return undefined
  const certificate = new X509Certificate(sslPeerCertificate.raw)
  const id = idOf(certificate)
  return id === undefined ? undefined : { id, notAfter: certificate.validToDate.getTime() }
}

/** Its one URI. Node quotes names with characters that could be taken for separators: ours have none. */
function idOf({ subjectAltName = '' }: X509Certificate): string | undefined {
  const uris = subjectAltName.split(', ').filter((name) => name.startsWith('URI:'))
  const [uri] = uris
  return uris.length === 1 && uri !== undefined && !uri.includes('"') ? uri.slice('URI:'.length) : undefined
}
