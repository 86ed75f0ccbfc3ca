// SPDX-License-Identifier: Apache-2.0
// Held against two readers that are not ours: Node's (OpenSSL) and the openssl command, which checks chains as a TLS peer does.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { generateKeyPairSync, type KeyObject } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { issueCertificate, type CertificateSpec, type Issuer } from './x509.ts'

const DAY_MS = 86_400_000
const START = Date.UTC(2026, 0, 1)

function keys(type: 'ec' | 'rsa'): { publicKey: KeyObject; privateKey: KeyObject } {
  return type === 'ec' ? generateKeyPairSync('ec', { namedCurve: 'P-256' }) : generateKeyPairSync('rsa', { modulusLength: 2048 })
}

function authority(type: 'ec' | 'rsa', commonName = 'test authority'): Issuer & { readonly pem: string } {
  const issuer = { commonName, ...keys(type) }
  return { ...issuer, pem: issueCertificate({ commonName, publicKey: issuer.publicKey, notBefore: START, notAfter: START + 365 * DAY_MS, use: 'authority' }, issuer).toString() }
}

const leaf = (parts: Partial<CertificateSpec> = {}): CertificateSpec => ({
  commonName: 'leaf', publicKey: keys('ec').publicKey, notBefore: START, notAfter: START + DAY_MS, use: ['server', 'client'], ...parts,
})

/** What `openssl verify` says. */
function verify(rootPem: string, leafPem: string, ...options: string[]): string {
  const directory = mkdtempSync(join(tmpdir(), 'merlon-x509-'))
  try {
    writeFileSync(join(directory, 'ca'), rootPem)
    writeFileSync(join(directory, 'leaf'), leafPem)
    const { stdout, stderr } = spawnSync('openssl', ['verify', '-x509_strict', '-attime', String((START + DAY_MS / 2) / 1000), ...options, '-CAfile', 'ca', 'leaf'], { cwd: directory, encoding: 'utf8' })
    return `${stdout}${stderr}`.trim()
  } finally {
    rmSync(directory, { recursive: true })
  }
}

describe('issueCertificate()', () => {
  it('makes certificates that a strict verifier accepts, from EC and RSA authorities, for servers and clients', () => {
    for (const type of ['ec', 'rsa'] as const) {
      const root = authority(type)
      const pem = issueCertificate(leaf({ dnsNames: ['relay.merlon.svc'] }), root).toString()
      for (const purpose of ['sslserver', 'sslclient']) assert.equal(verify(root.pem, pem, '-purpose', purpose), 'leaf: OK', `${type} ${purpose}`)
      assert.equal(verify(root.pem, pem, '-verify_hostname', 'relay.merlon.svc'), 'leaf: OK')
      assert.match(verify(root.pem, pem, '-verify_hostname', 'other.svc'), /hostname mismatch/)
    }
  })

  it('limits a certificate to its use: no server with a client\'s, no issuing with a leaf\'s, no foreign authority', () => {
    const root = authority('ec')
    const client = issueCertificate(leaf({ use: ['client'] }), root).toString()
    assert.match(verify(root.pem, client, '-purpose', 'sslserver'), /unsuitable certificate purpose|unsupported certificate purpose/)
    const middle = { commonName: 'leaf', ...keys('ec') }
    const middlePem = issueCertificate(leaf({ publicKey: middle.publicKey }), root).toString()
    const forged = issueCertificate(leaf({ commonName: 'forged' }), middle).toString()
    assert.match(verify(`${root.pem}${middlePem}`, forged), /invalid CA certificate|error/)
    assert.match(verify(authority('ec').pem, client), /error/)
  })

  it('says what it was told to say', () => {
    const root = authority('ec', 'a name, with "quotes" and ümlaut')
    const spec = leaf({ commonName: 'node-1', uris: ['spiffe://merlon/agent/node-1'], dnsNames: ['a.b'], addresses: ['10.0.0.1', '::1', 'fd00::a:0:0:1', '1:2:3:4:5:6:7:8', '::'] })
    const certificate = issueCertificate(spec, root)
    assert.equal(certificate.subject, 'CN=node-1')
    assert.equal(certificate.subjectAltName, 'URI:spiffe://merlon/agent/node-1, DNS:a.b, IP Address:10.0.0.1, IP Address:0:0:0:0:0:0:0:1, IP Address:FD00:0:0:0:A:0:0:1, IP Address:1:2:3:4:5:6:7:8, IP Address:0:0:0:0:0:0:0:0')
    assert.deepEqual([certificate.validFromDate.getTime(), certificate.validToDate.getTime()], [spec.notBefore, spec.notAfter])
    assert.deepEqual([certificate.ca, certificate.verify(root.publicKey)], [false, true])
    assert.throws(() => issueCertificate(leaf({ addresses: ['localhost'] }), root), RangeError)
  })

  it('has room for long names and for years beyond 2049, and never the same serial number twice', () => {
    const root = authority('ec')
    const many = Array.from({ length: 400 }, (_, index) => `${'x'.repeat(50)}${index}.example`)
    const wide = issueCertificate(leaf({ dnsNames: many, notAfter: Date.UTC(2051, 5, 1) }), root)
    assert.equal(wide.subjectAltName?.split(', ').length, 400)
    assert.equal(wide.validToDate.getTime(), Date.UTC(2051, 5, 1))
    assert.equal(issueCertificate(leaf({ notAfter: Date.UTC(2049, 11, 31) }), root).validToDate.getTime(), Date.UTC(2049, 11, 31))
    const serials = new Set(Array.from({ length: 50 }, () => issueCertificate(leaf(), root).serialNumber))
    assert.equal(serials.size, 50)
    for (const serial of serials) assert.match(serial, /^[4-7][0-9A-F]{31}$/)
  })
})
