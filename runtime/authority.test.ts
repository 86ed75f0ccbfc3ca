// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { generateKeyPairSync, X509Certificate } from 'node:crypto'
import { describe, it } from 'node:test'
import { Authority, renewAuthorities, type AuthorityKeys, type AuthorityOptions } from './authority.ts'

const DAY_MS = 86_400_000
const START = Date.UTC(2026, 0, 1)
const OPTIONS: AuthorityOptions = { commonName: 'test authority', keyType: 'ec', lifeMs: 90 * DAY_MS, leafMs: DAY_MS }
const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })

const day = (count: number): number => START + count * DAY_MS
const serial = ({ certificate }: AuthorityKeys): string => new X509Certificate(certificate).serialNumber

describe('renewAuthorities()', () => {
  it('makes the first, and leaves a good list alone', () => {
    const first = renewAuthorities([], OPTIONS, START)
    assert.equal(first.length, 1)
    for (const now of [day(0), day(1), day(59)]) assert.equal(renewAuthorities(first, OPTIONS, now), first)
  })

  it('adds the next after two thirds of a life, and drops what has expired', () => {
    const [one] = renewAuthorities([], OPTIONS, START) as [AuthorityKeys]
    const both = renewAuthorities([one], OPTIONS, day(61))
    assert.deepEqual([both.length, both[0]], [2, one])
    assert.equal(renewAuthorities(both, OPTIONS, day(89)), both)
    const later = renewAuthorities(both, OPTIONS, day(91))
    assert.deepEqual(later, [both[1]])
  })

  it('starts over where everything has expired', () => {
    const first = renewAuthorities([], OPTIONS, START)
    const again = renewAuthorities(first, OPTIONS, day(400))
    assert.equal(again.length, 1)
    assert.notEqual(serial(again[0] as AuthorityKeys), serial(first[0] as AuthorityKeys))
  })
})

describe('Authority', () => {
  const signerOf = (list: readonly AuthorityKeys[], now: number): string => serial(new Authority(list, OPTIONS).signer(now))

  it('is believed a whole life of certificates before it signs the first', () => {
    const [one] = renewAuthorities([], OPTIONS, START) as [AuthorityKeys]
    assert.equal(signerOf([one], START), serial(one))
    const both = renewAuthorities([one], OPTIONS, day(61))
    const two = both[1] as AuthorityKeys
    assert.equal(signerOf(both, day(61.99)), serial(one))
    assert.equal(signerOf(both, day(62)), serial(two))
    // What the old one has signed last is good until the end: it is believed as long as it is valid.
    const trust = new Authority(both, OPTIONS).trust(day(62))
    assert.ok(trust.includes(one.certificate) && trust.includes(two.certificate))
  })

  it('issues nothing that outlives it, over many years without a gap', () => {
    let list: readonly AuthorityKeys[] = []
    for (let now = START; now < day(400); now += 3.3 * DAY_MS) {
      list = renewAuthorities(list, OPTIONS, now)
      const authority = new Authority(list, OPTIONS)
      const { certificate, notAfter } = authority.issue({ commonName: 'x', publicKey, use: ['client'] }, now)
      const leaf = new X509Certificate(certificate)
      const issuer = list.map((keys) => new X509Certificate(keys.certificate)).find((candidate) => leaf.verify(candidate.publicKey))
      assert.ok(issuer && issuer.validToDate.getTime() >= notAfter, `day ${(now - START) / DAY_MS}`)
      assert.ok(notAfter - now >= DAY_MS, `day ${(now - START) / DAY_MS}: too short`)
    }
  })

  it('uses what it has where the clock was set back, and refuses to sign when nothing is valid', () => {
    const list = renewAuthorities([], OPTIONS, START)
    assert.equal(signerOf(list, day(-30)), serial(list[0] as AuthorityKeys))
    assert.throws(() => new Authority(list, OPTIONS).signer(day(91)), /every authority has expired/)
  })

  it('keeps RSA keys in the form that KubeArmor\'s client reads', () => {
    const [keys] = renewAuthorities([], { ...OPTIONS, keyType: 'rsa' }, START) as [AuthorityKeys]
    assert.match(keys.privateKey, /^-----BEGIN RSA PRIVATE KEY-----\n/)
    assert.match(keys.certificate, /^-----BEGIN CERTIFICATE-----\n/)
  })
})
