// SPDX-License-Identifier: Apache-2.0
// How `merlon events` gets in where the relay serves its clients by TLS: with a certificate, or with the key that KubeArmor's clients make themselves one with.
import { createPrivateKey, createPublicKey, generateKeyPairSync, X509Certificate } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { checkServerIdentity } from 'node:tls'
import { credentials, type ChannelCredentials } from '@grpc/grpc-js'
import { issueCertificate } from '../runtime/x509.ts'
import { TroubleError } from './verb.ts'

const HOUR_MS = 3_600_000

/** `directory` has ca.crt, and client.crt with client.key, or ca.key. The relay must be called what `address` says. Throws TroubleError. */
export function readCredentials(directory: string, address: string): ChannelCredentials {
  const host = address.replace(/:\d+$/, '').replace(/^\[|\]$/g, '')
  try {
    const trust = readFileSync(join(directory, 'ca.crt'))
    const { certificate, privateKey } = existsSync(join(directory, 'client.crt')) ? given(directory) : made(directory, new X509Certificate(trust))
    return credentials.createSsl(trust, Buffer.from(privateKey), Buffer.from(certificate), { checkServerIdentity: (_name, peer) => checkServerIdentity(host, peer) })
  } catch (error) {
    throw new TroubleError('MERLON_CLI_TLS', `Cannot use --tls ${directory}: ${(error as Error).message}`, { cause: error })
  }
}

interface Pair {
  readonly certificate: string
  readonly privateKey: string
}

function given(directory: string): Pair {
  return { certificate: readFileSync(join(directory, 'client.crt'), 'utf8'), privateKey: readFileSync(join(directory, 'client.key'), 'utf8') }
}

/** For an hour's connections: a new one is made at each start. */
function made(directory: string, authority: X509Certificate): Pair {
  const signer = createPrivateKey(readFileSync(join(directory, 'ca.key')))
  const commonName = /^CN=(?<name>.+)$/m.exec(authority.subject)?.groups?.['name'] ?? ''
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const now = Date.now()
  const certificate = issueCertificate({ commonName: 'merlon events', publicKey, notBefore: now - HOUR_MS, notAfter: now + HOUR_MS, use: ['client'] }, { commonName, privateKey: signer, publicKey: createPublicKey(signer) })
  return { certificate: certificate.toString(), privateKey: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString() }
}
