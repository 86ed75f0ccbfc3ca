// SPDX-License-Identifier: Apache-2.0
// Over real TLS connections: who gets which certificate, and what a certificate is good for.
import assert from 'node:assert/strict'
import { createPrivateKey, createPublicKey, generateKeyPairSync, sign, X509Certificate } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect as connectTls } from 'node:tls'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { status, type ServiceError } from '@grpc/grpc-js'
import { agentId, enrolmentProof, OPERATOR_ID, RELAY_ID } from '../proto/enrolment.ts'
import { Enrolment } from '../proto/load.ts'
import type { EnrolRequest } from '../proto/gen/merlon/v1/EnrolRequest.ts'
import type { AuthorityKeys } from '../runtime/authority.ts'
import { SimulatedClock } from '../runtime/clock.ts'
import { openClient } from '../runtime/grpc.ts'
import { silentLogger } from '../runtime/log.ts'
import type { StreamEnd } from '../runtime/stream.ts'
import { anonymous, Credentials } from '../runtime/tls.ts'
import { issueCertificate, type CertificateSpec, type Issuer } from '../runtime/x509.ts'
import { FileSecretStore } from './secrets.ts'
import { TestAgent } from './testing/agent.ts'
import { policyText } from './testing/manifests.ts'
import { SecureOperator } from './testing/security.ts'
import { OWN_AUTHORITY, OwnCredentials, Trust } from './trust.ts'
import { policyLibrary } from './library.ts'

const versions = { table_versions: [policyLibrary.tableVersion] }
const web = { id: 'a', labels: { app: 'web' } }

async function certified(operator: SecureOperator, node: string): Promise<Credentials> {
  const credentials = await operator.enrol(`token-of-${node}`, { node })
  if (typeof credentials === 'string') throw new Error(credentials)
  return credentials
}

describe('an operator with TLS', { timeout: 600_000 }, () => {
  let operator: SecureOperator
  const agents: TestAgent[] = []

  const connect = (credentials: Credentials | undefined, node: string): TestAgent => {
    const agent = new TestAgent(operator.server.address, { credentials: credentials?.forClient(OPERATOR_ID) ?? anonymous(operator.published, OPERATOR_ID), hello: { node, ...versions } })
    agents.push(agent)
    return agent
  }
  const refusal = async (agent: TestAgent, node: string): Promise<Extract<StreamEnd, { ok: false }>> => {
    await agent.send({ hello: { node, ...versions } })
    await agent.report([web], true)
    const end = await agent.drain()
    assert.ok(!end.ok)
    assert.deepEqual(agent.messages, [])
    return end
  }

  beforeEach(async () => {
    operator = await new SecureOperator().start()
    operator.policies(policyText({ name: 'p' }))
  })
  afterEach(async () => {
    for (const agent of agents.splice(0)) agent.close()
    await operator.stop()
  })

  it('gives an agent a certificate of its node, and with it the rules of its node', async () => {
    const credentials = await certified(operator, 'n1')
    const certificate = new X509Certificate(credentials.current.certificate)
    assert.equal(certificate.subjectAltName, `URI:${agentId('n1')}`)
    const agent = await connect(credentials, 'n1').start([web])
    await agent.until(({ messages }) => messages.length === 1)
    assert.deepEqual(agent.policiesOf('a'), ['p'])
  })

  it('does not let a stolen certificate of one node read what another node has', async () => {
    const stolen = await certified(operator, 'n1')
    const other = await connect(await certified(operator, 'n2'), 'n2').start([web])
    await other.until(({ messages }) => messages.length === 1)
    const end = await refusal(connect(stolen, 'n2'), 'n2')
    assert.equal(end.code, status.PERMISSION_DENIED)
    assert.match(end.message, /^MERLON_OPERATOR_NOT_YOUR_NODE: this certificate is for node "n1", not for "n2"/)
    assert.equal(operator.server.sessions.get('n2')?.isOpen, true, 'the node\'s own stream is not touched')
  })

  it('refuses who has no certificate, one of another authority, or one that is no agent\'s', async () => {
    const foreign = mkdtempSync(join(tmpdir(), 'merlon-foreign-'))
    const elsewhere = await Trust.open({ store: new FileSecretStore(join(foreign, 'a.json')), authority: OWN_AUTHORITY, clock: operator.clock, logger: silentLogger, publish: async () => {} })
    const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const forged = new Credentials({ ...elsewhere.issue({ commonName: 'agent', publicKey, uris: [agentId('n1')], use: ['client'] }), trust: operator.published, privateKey: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString() })
    const relay = await operator.enrol('token-of-relay', { role: 'RELAY' })
    assert.ok(relay instanceof Credentials)
    for (const credentials of [undefined, forged, relay]) {
      const end = await refusal(connect(credentials, 'n1'), 'n1')
      assert.deepEqual([end.code, end.message.split(':')[0]], [status.UNAUTHENTICATED, 'MERLON_OPERATOR_NO_CERTIFICATE'])
    }
    rmSync(foreign, { recursive: true })
  })

  it('refuses certificates that have expired, are not valid yet, or that somebody signed for himself, and who would be two nodes at once', async () => {
    const HOUR = 3_600_000
    const [keys] = JSON.parse((JSON.parse(readFileSync(join(operator.directory, 'authority.json'), 'utf8')) as Record<string, string>)['authorities.json'] ?? '[]') as AuthorityKeys[]
    assert.ok(keys)
    const own = { commonName: OWN_AUTHORITY.commonName, privateKey: createPrivateKey(keys.privateKey), publicKey: createPublicKey(keys.privateKey) }
    const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const now = Date.now()
    const make = (parts: Partial<CertificateSpec>, issuer: Issuer = own): Credentials => {
      const certificate = issueCertificate({ commonName: 'agent', publicKey, notBefore: now - HOUR, notAfter: now + HOUR, uris: [agentId('n1')], use: ['client'], ...parts }, issuer)
      return new Credentials({ certificate: certificate.toString(), trust: operator.published, notAfter: now + HOUR, privateKey: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString() })
    }
    const wrong: Record<string, Credentials> = {
      expired: make({ notBefore: now - 3 * HOUR, notAfter: now - HOUR }),
      'not valid yet': make({ notBefore: now + HOUR, notAfter: now + 2 * HOUR }),
      'signed by itself': make({}, { commonName: 'agent', privateKey, publicKey }),
      'signed by itself in our name': make({}, { commonName: OWN_AUTHORITY.commonName, privateKey, publicKey }),
      'for servers only': make({ use: ['server'] }),
      'of two nodes': make({ uris: [agentId('n1'), agentId('n2')] }),
      'of no node': make({ uris: [agentId('')] }),
      'with a name instead of an id': make({ uris: [], dnsNames: [agentId('n1')] }),
      'with another scheme': make({ uris: [agentId('n1').replace('spiffe:', 'http:')] }),
    }
    for (const [what, credentials] of Object.entries(wrong)) {
      const end = await refusal(connect(credentials, 'n1'), 'n1')
      assert.deepEqual([end.code, end.message.split(':')[0]], [status.UNAUTHENTICATED, 'MERLON_OPERATOR_NO_CERTIFICATE'], what)
    }
    const good = await connect(make({}), 'n1').start([web])
    await good.until(({ messages }) => messages.length === 1)
  })

  it('takes a request that somebody recorded for what it is: a certificate for a key that he does not have', async () => {
    const client = openClient(Enrolment, operator.server.address, anonymous(operator.published, OPERATOR_ID))
    const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const thief = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const der = (key: typeof publicKey): Buffer => key.export({ type: 'spki', format: 'der' })
    const recorded = { role: 'AGENT', node: 'n1', token: 'token-of-n1', public_key: der(publicKey), proof: sign('sha256', enrolmentProof('AGENT', 'n1', 'token-of-n1'), privateKey) } as const
    const ask = (request: EnrolRequest): Promise<ServiceError | string> => new Promise((resolve) => client.Enrol(request, (error, reply) => resolve(error ?? reply?.certificate ?? '')))
    const again = await ask(recorded)
    assert.ok(typeof again === 'string')
    assert.equal(new X509Certificate(again).checkPrivateKey(thief.privateKey), false)
    // Its proof is of its key, its role, its node and its token.
    const changed: EnrolRequest[] = [{ ...recorded, public_key: der(thief.publicKey) }, { ...recorded, node: 'n2', token: 'token-of-n2' }, { ...recorded, role: 'RELAY', token: 'token-of-relay' }]
    for (const request of changed) {
      const answer = await ask(request)
      assert.ok(answer instanceof Error && answer.details.startsWith('MERLON_OPERATOR_BAD_KEY'), JSON.stringify(answer))
    }
    client.close()
  })

  it('does not hand its certificate on in a race of many, and survives a storm of wrong ones', async () => {
    const tokens = Array.from({ length: 60 }, (_, index) => (index % 3 === 0 ? 'token-of-n1' : index % 3 === 1 ? 'token-of-n2' : `guess-${index}`))
    const results = await Promise.all(tokens.map((token) => operator.enrol(token, { node: token === 'token-of-n2' ? 'n2' : 'n1' })))
    for (const [index, result] of results.entries()) {
      if (index % 3 === 2) assert.ok(typeof result === 'string' && result.includes('MERLON_OPERATOR_BAD_TOKEN'), JSON.stringify(result))
      else assert.equal(typeof result === 'string' ? result : new X509Certificate(result.current.certificate).subjectAltName, `URI:${agentId(index % 3 === 0 ? 'n1' : 'n2')}`)
    }
  })

  it('does not serve plaintext', async () => {
    const agent = new TestAgent(operator.server.address, { hello: { node: 'n1', ...versions } })
    agents.push(agent)
    const end = await refusal(agent, 'n1')
    assert.equal(end.code, status.UNAVAILABLE)
  })

  it('enrols only who the token says, where it says', async () => {
    const cases = [
      ['token-of-n1', { node: 'n2' }, /MERLON_OPERATOR_NOT_YOUR_NODE: .*"n1", not on "n2"/],
      ['made-up', {}, /MERLON_OPERATOR_BAD_TOKEN/],
      ['token-of-n1', { role: 'RELAY' }, /MERLON_OPERATOR_NOT_YOUR_ROLE/],
      ['token-of-n1', { role: 'FEEDER' }, /MERLON_OPERATOR_NOT_YOUR_ROLE/],
      ['token-of-relay', { node: 'n1' }, /MERLON_OPERATOR_NOT_YOUR_ROLE/],
    ] as const
    for (const [token, options, expected] of cases) {
      const problem = await operator.enrol(token, options)
      assert.ok(typeof problem === 'string', `${token} ${JSON.stringify(options)} was enrolled`)
      assert.match(problem, expected)
    }
  })

  it('signs no key that the caller does not have, and none of another kind', async () => {
    const client = openClient(Enrolment, operator.server.address, anonymous(operator.published, OPERATOR_ID))
    const ask = (request: EnrolRequest): Promise<ServiceError | null> => new Promise((resolve) => client.Enrol({ role: 'AGENT', node: 'n1', token: 'token-of-n1', ...request }, (error) => resolve(error)))
    const one = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const other = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 })
    const der = (key: typeof one.publicKey): Buffer => key.export({ type: 'spki', format: 'der' })
    const proof = (key: typeof one.privateKey, node = 'n1'): Buffer => sign('sha256', enrolmentProof('AGENT', node, 'token-of-n1'), key)
    const wrong: EnrolRequest[] = [
      {},
      { public_key: Buffer.from('junk'), proof: proof(one.privateKey) },
      { public_key: der(one.publicKey) },
      { public_key: der(one.publicKey), proof: proof(other.privateKey) },
      { public_key: der(one.publicKey), proof: proof(one.privateKey, 'n2') },
      { public_key: der(rsa.publicKey), proof: proof(rsa.privateKey) },
    ]
    for (const request of wrong) assert.match((await ask(request))?.details ?? 'signed', /^MERLON_OPERATOR_BAD_KEY/)
    assert.equal(await ask({ public_key: der(one.publicKey), proof: proof(one.privateKey) }), null)
    client.close()
  })

  it('is not believed by agents where it is another, or nobody that they know', async () => {
    const relay = await operator.enrol('token-of-relay', { role: 'RELAY' })
    assert.ok(relay instanceof Credentials)
    const agent = new TestAgent(operator.server.address, { credentials: relay.forClient(RELAY_ID), hello: { node: 'n1', ...versions } })
    agents.push(agent)
    const end = await refusal(agent, 'n1')
    assert.deepEqual([end.code, /spiffe:\/\/merlon\/operator, not spiffe:\/\/merlon\/relay/.test(end.message)], [status.UNAVAILABLE, true], end.message)
    const stranger = join(operator.directory, 'stranger.crt')
    const elsewhere = await new SecureOperator().start()
    writeFileSync(stranger, elsewhere.published)
    const problem = await operator.enrol('token-of-n1', { trustFile: stranger })
    assert.match(typeof problem === 'string' ? problem : 'enrolled', /self-signed certificate|unable to (get|verify)/)
    await elsewhere.stop()
  })
})

function serialOf(pem: string): string {
  return new X509Certificate(pem).serialNumber
}

/** What a new connection is shown. */
function shownCertificate(address: string): Promise<string | undefined> {
  const { hostname, port } = new URL(`tls://${address}`)
  return new Promise((resolve) => {
    const socket = connectTls({ host: hostname, port: Number(port), rejectUnauthorized: false, ALPNProtocols: ['h2'] }, () => {
      resolve(socket.getPeerX509Certificate()?.serialNumber)
      socket.destroy()
    })
  })
}

describe('rotation', { timeout: 600_000 }, () => {
  it('replaces the operator\'s certificate and authority without dropping a stream', async () => {
    const clock = new SimulatedClock(Date.now())
    const operator = await new SecureOperator(clock).start()
    operator.policies(policyText({ name: 'p' }))
    const shownFirst = operator.security.own.current.certificate
    const credentials = await certified(operator, 'n1')
    const agent = await new TestAgent(operator.server.address, { credentials: credentials.forClient(OPERATOR_ID), hello: { node: 'n1', ...versions } }).start([web])
    await agent.until(({ messages }) => messages.length === 1)
    // The next authority comes while the old one signs on: from an operator that knows both, another certificate.
    const store = new FileSecretStore(join(operator.directory, 'authority.json'))
    const early = { ...OWN_AUTHORITY, lifeMs: 3_000_000 }
    const trust = await Trust.open({ store, authority: OWN_AUTHORITY, clock, logger: silentLogger, publish: async () => {} })
    const before = new OwnCredentials(trust, clock).credentials.current
    await (await Trust.open({ store, authority: early, clock: new SimulatedClock(Date.now() + 300 * 86_400_000), logger: silentLogger, publish: async () => {} })).look()
    await trust.look()
    const after = new OwnCredentials(trust, clock).credentials.current
    assert.equal(after.trust.match(/BEGIN/g)?.length, 2)
    assert.notEqual(after.certificate, before.certificate)
    const shown = await shownCertificate(operator.server.address)
    operator.security.own.replace(after)
    // The stream goes on, and a new connection sees the new certificate.
    operator.policies(policyText({ name: 'p' }), policyText({ name: 'q' }))
    await agent.until(({ messages }) => messages.length === 2)
    assert.deepEqual(agent.policiesOf('a')?.toSorted(), ['p', 'q'])
    assert.deepEqual([shown, await shownCertificate(operator.server.address)], [serialOf(shownFirst), serialOf(after.certificate)])
    const next = await certified(operator, 'n2')
    assert.equal(next.current.trust.match(/BEGIN/g)?.length, 1, 'issued by the operator\'s own view of the authorities')
    const second = await new TestAgent(operator.server.address, { credentials: next.forClient(OPERATOR_ID), hello: { node: 'n2', ...versions } }).start([web])
    await second.until(({ messages }) => messages.length === 1)
    assert.equal(operator.server.sessions.get('n1')?.isOpen, true)
    agent.close()
    second.close()
    await operator.stop()
  })

  it('ends a stream when its certificate expires', async () => {
    const clock = new SimulatedClock(Date.now())
    const operator = await new SecureOperator(clock).start()
    const credentials = await certified(operator, 'n1')
    const agent = await new TestAgent(operator.server.address, { credentials: credentials.forClient(OPERATOR_ID), hello: { node: 'n1', ...versions } }).start([web])
    await agent.until(({ messages }) => messages.length === 1)
    clock.advance(credentials.current.notAfter - clock.now() - 2_000)
    assert.equal(operator.server.sessions.get('n1')?.isOpen, true)
    clock.advance(2_000)
    const end = await agent.ended
    assert.ok(!end.ok && end.code === status.UNAUTHENTICATED && end.message.startsWith('MERLON_OPERATOR_CERTIFICATE_EXPIRED'), JSON.stringify(end))
    agent.close()
    await operator.stop()
  })

  it('is asked for by an agent whose clock is far ahead without haste, and one that is behind gets one as well', async () => {
    const operator = await new SecureOperator().start()
    const asked: string[] = []
    for (const skew of [3 * 86_400_000, -7_200_000]) {
      const clock = new SimulatedClock(Date.now() + skew)
      const enroller = operator.enroller('token-of-n1', { clock })
      const abort = new AbortController()
      const running = enroller.run(abort.signal, () => asked.push(String(skew)))
      assert.ok((await enroller.ready) instanceof Credentials)
      while (clock.waiting === 0) await new Promise((turn) => { setImmediate(turn) })
      // By its clock the certificate has expired long ago: that is no reason to ask every second.
      clock.advance(30_000)
      await new Promise((turn) => { setTimeout(turn, 50) })
      abort.abort()
      await running
    }
    assert.deepEqual(asked, [])
    await operator.stop()
  })

  it('gets agents a new certificate when about two thirds of the old one\'s life have passed', async () => {
    const operator = await new SecureOperator().start()
    const clock = new SimulatedClock(Date.now())
    const enroller = operator.enroller('token-of-n1', { clock })
    const abort = new AbortController()
    const { promise, resolve } = Promise.withResolvers<void>()
    const running = enroller.run(abort.signal, resolve)
    const credentials = await enroller.ready
    const first = credentials.current
    while (clock.waiting === 0) await new Promise((turn) => { setImmediate(turn) })
    clock.advance((first.notAfter - Date.now()) * 0.66)
    await promise
    assert.notEqual(credentials.current.certificate, first.certificate)
    assert.notEqual(credentials.current.privateKey, first.privateKey)
    abort.abort()
    await running
    await operator.stop()
  })

  it('lets two operators that start together agree on one authority', async () => {
    const directory = mkdtempSync(join(tmpdir(), 'merlon-trust-'))
    const open = (): Promise<Trust> => Trust.open({ store: new FileSecretStore(join(directory, 'a.json')), authority: OWN_AUTHORITY, clock: new SimulatedClock(Date.now()), logger: silentLogger, publish: async () => {} })
    const bundles = (await Promise.all(Array.from({ length: 8 }, open))).map(({ bundle }) => bundle)
    assert.equal(new Set(bundles).size, 1)
    rmSync(directory, { recursive: true })
  })
})
