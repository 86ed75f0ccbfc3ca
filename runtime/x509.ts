// SPDX-License-Identifier: Apache-2.0
// Issues X.509 v3 certificates. Node's crypto makes keys, signs and reads certificates, but cannot put one together: this is the part that is
// missing, written for what our own authority issues (RFC 5280, DER). Nothing here reads what a peer has sent.
import { createHash, randomBytes, sign, X509Certificate, type KeyObject } from 'node:crypto'
import { isIP } from 'node:net'

export interface CertificateSpec {
  readonly commonName: string
  readonly publicKey: KeyObject
  /** Milliseconds since 1970; certificates have seconds. */
  readonly notBefore: number
  readonly notAfter: number
  readonly uris?: readonly string[]
  readonly dnsNames?: readonly string[]
  readonly addresses?: readonly string[]
  /** What it may be used for; a certificate of an authority signs others, and nothing else. */
  readonly use: 'authority' | readonly ('server' | 'client')[]
}

/** `commonName` is the whole subject of an issuer: all of ours are made here. */
export interface Issuer {
  readonly commonName: string
  /** EC or RSA. */
  readonly privateKey: KeyObject
  readonly publicKey: KeyObject
}

export function issueCertificate(spec: CertificateSpec, issuer: Issuer): X509Certificate {
  const algorithm = issuer.privateKey.asymmetricKeyType === 'rsa' ? sequence(oid('1.2.840.113549.1.1.11'), tlv(0x05)) : sequence(oid('1.2.840.10045.4.3.2'))
  const body = sequence(
    tlv(0xa0, integer(Buffer.from([2]))),
    integer(serial()),
    algorithm,
    name(issuer.commonName),
    sequence(time(spec.notBefore), time(spec.notAfter)),
    name(spec.commonName),
    spec.publicKey.export({ type: 'spki', format: 'der' }),
    tlv(0xa3, sequence(...extensions(spec, issuer))),
  )
  return new X509Certificate(sequence(body, algorithm, tlv(0x03, Buffer.from([0]), sign('sha256', body, issuer.privateKey))))
}

function extensions(spec: CertificateSpec, issuer: Issuer): Buffer[] {
  const isAuthority = spec.use === 'authority'
  const purposes = spec.use === 'authority' ? [] : spec.use.map((use) => oid(PURPOSES[use]))
  const names = alternativeNames(spec)
  return [
    extension('2.5.29.19', sequence(...(isAuthority ? [tlv(0x01, Buffer.from([0xff]))] : [])), true),
    // Bit 5 and 6: keyCertSign, cRLSign; bit 0: digitalSignature. The first byte counts the unused bits.
    extension('2.5.29.15', tlv(0x03, isAuthority ? Buffer.from([1, 0b0000_0110]) : Buffer.from([7, 0b1000_0000])), true),
    ...(isAuthority ? [] : [extension('2.5.29.37', sequence(...purposes))]),
    ...(names.length === 0 ? [] : [extension('2.5.29.17', sequence(...names))]),
    extension('2.5.29.14', tlv(0x04, keyId(spec.publicKey))),
    extension('2.5.29.35', sequence(tlv(0x80, keyId(issuer.publicKey)))),
  ]
}

const PURPOSES = { server: '1.3.6.1.5.5.7.3.1', client: '1.3.6.1.5.5.7.3.2' } as const

function alternativeNames({ uris = [], dnsNames = [], addresses = [] }: CertificateSpec): Buffer[] {
  return [
    ...uris.map((uri) => tlv(0x86, Buffer.from(uri, 'ascii'))),
    ...dnsNames.map((dns) => tlv(0x82, Buffer.from(dns, 'ascii'))),
    ...addresses.map((address) => tlv(0x87, addressBytes(address))),
  ]
}

function addressBytes(address: string): Buffer {
  if (isIP(address) === 4) return Buffer.from(address.split('.').map(Number))
  if (isIP(address) !== 6) throw new RangeError(`Cannot put "${address}" into a certificate: it is no IP address`)
  // The URL parser brings every form to lower case groups without embedded IPv4.
  const [head = '', tail] = new URL(`http://[${address}]`).hostname.slice(1, -1).split('::')
  const groups = (text: string | undefined): string[] => (text ? text.split(':') : [])
  const missing = Array.from({ length: 8 - groups(head).length - groups(tail).length }, () => '0')
  return Buffer.from([...groups(head), ...missing, ...groups(tail)].map((group) => group.padStart(4, '0')).join(''), 'hex')
}

/** SHA-1 of the public key's bits: the usual name of a key, not a matter of security (RFC 5280, 4.2.1.2). */
function keyId(key: KeyObject): Buffer {
  const spki = key.export({ type: 'spki', format: 'der' })
  // SubjectPublicKeyInfo is a SEQUENCE of the algorithm and a BIT STRING, whose first byte counts unused bits (0).
  const [, bits] = children(children(spki)[0]?.content ?? Buffer.alloc(0))
  return createHash('sha1').update(bits?.content.subarray(1) ?? spki).digest()
}

interface Value {
  readonly tag: number
  readonly content: Buffer
}

/** Only for what Node itself has encoded. */
function children(bytes: Buffer): Value[] {
  const values: Value[] = []
  for (let at = 0; at < bytes.length;) {
    const first = bytes[at + 1] ?? 0
    const wide = first < 0x80 ? 0 : first & 0x7f
    const length = wide === 0 ? first : bytes.readUIntBE(at + 2, wide)
    const start = at + 2 + wide
    values.push({ tag: bytes[at] ?? 0, content: bytes.subarray(start, start + length) })
    at = start + length
  }
  return values
}

/** 126 random bits: positive, and not shorter than it looks. */
function serial(): Buffer {
  const bytes = randomBytes(16)
  bytes[0] = ((bytes[0] ?? 0) & 0x3f) | 0x40
  return bytes
}

function name(commonName: string): Buffer {
  return sequence(tlv(0x31, sequence(oid('2.5.4.3'), tlv(0x0c, Buffer.from(commonName, 'utf8')))))
}

/** UTCTime has two digits for the year, and is to be used until 2049. */
function time(ms: number): Buffer {
  const digits = new Date(ms).toISOString().replace(/[-:T]|\.\d+/g, '')
  return digits < '2050' ? tlv(0x17, Buffer.from(digits.slice(2))) : tlv(0x18, Buffer.from(digits))
}

function extension(id: string, value: Buffer, critical = false): Buffer {
  return sequence(oid(id), ...(critical ? [tlv(0x01, Buffer.from([0xff]))] : []), tlv(0x04, value))
}

function oid(text: string): Buffer {
  const [first = 0, second = 0, ...rest] = text.split('.').map(Number)
  return tlv(0x06, Buffer.from([first * 40 + second, ...rest.flatMap(base128)]))
}

function base128(value: number): number[] {
  const bytes = [value % 128]
  for (let more = Math.floor(value / 128); more > 0; more = Math.floor(more / 128)) bytes.unshift((more % 128) | 0x80)
  return bytes
}

function integer(bytes: Buffer): Buffer {
  return tlv(0x02, bytes)
}

function sequence(...parts: Buffer[]): Buffer {
  return tlv(0x30, ...parts)
}

function tlv(tag: number, ...parts: Buffer[]): Buffer {
  const content = Buffer.concat(parts)
  const { length } = content
  if (length < 0x80) return Buffer.concat([Buffer.from([tag, length]), content])
  const bytes = base256(length)
  return Buffer.concat([Buffer.from([tag, 0x80 | bytes.length, ...bytes]), content])
}

function base256(value: number): number[] {
  return value < 256 ? [value] : [...base256(Math.floor(value / 256)), value % 256]
}
