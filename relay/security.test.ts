// SPDX-License-Identifier: Apache-2.0
// The relay with certificates from an authority that plays the operator: who may push for which node, and how KubeArmor's clients get in.
import assert from 'node:assert/strict'
import { createPrivateKey, createPublicKey, generateKeyPairSync } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import { Client, credentials as grpcCredentials, status, type ChannelCredentials, type handleUnaryCall } from '@grpc/grpc-js'
import { agentId, OPERATOR_ID, RELAY_ID } from '../proto/enrolment.ts'
import { Enrolment } from '../proto/load.ts'
import type { EnrolReply } from '../proto/gen/merlon/v1/EnrolReply.ts'
import type { EnrolRequest__Output } from '../proto/gen/merlon/v1/EnrolRequest.ts'
import { Authority, renewAuthorities, type AuthorityKeys, type AuthorityOptions, type LeafSpec } from '../runtime/authority.ts'
import { systemClock } from '../runtime/clock.ts'
import { serve } from '../runtime/grpc.ts'
import { silentLogger } from '../runtime/log.ts'
import { Credentials } from '../runtime/tls.ts'
import { issueCertificate } from '../runtime/x509.ts'
import { openSecurity } from './security.ts'
import { startRelay, type Relay } from './server.ts'
import { alert, method, Pusher, Watcher } from './testing.ts'

const OPTIONS: AuthorityOptions = { commonName: 'test', keyType: 'ec', lifeMs: 86_400_000, leafMs: 3_600_000 }

class Authorities {
  readonly agents: Authority
  readonly clientKeys: AuthorityKeys
  readonly clients: Authority

  constructor() {
    const now = Date.now()
    this.agents = new Authority(renewAuthorities([], OPTIONS, now), OPTIONS)
    const list = renewAuthorities([], { ...OPTIONS, commonName: 'clients', keyType: 'rsa' }, now)
    this.clientKeys = list[0] as AuthorityKeys
    this.clients = new Authority(list, OPTIONS)
  }

  /** What an enrolled peer has. */
  peer(id: string): Credentials {
    const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const issued = this.agents.issue({ commonName: 'peer', publicKey, uris: [id], use: ['server', 'client'] }, Date.now())
    return new Credentials({ ...issued, trust: this.agents.trust(Date.now()), privateKey: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString() })
  }

  enrol(role: string, publicKey: LeafSpec['publicKey']): EnrolReply {
    const isRelay = role === 'RELAY'
    const from = isRelay ? this.agents : this.clients
    const issued = from.issue(isRelay ? { commonName: 'relay', publicKey, uris: [RELAY_ID], use: ['server', 'client'] } : { commonName: 'feeder', publicKey, dnsNames: ['localhost'], use: ['server'] }, Date.now())
    return { certificate: issued.certificate, trust: from.trust(Date.now()), not_after_unix_ms: issued.notAfter }
  }

  /** As KubeArmor's client does: it makes itself a certificate with the key in the Secret. */
  client(): ChannelCredentials {
    const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
    const issuer = { commonName: 'clients', publicKey: createPublicKey(this.clientKeys.privateKey), privateKey: createPrivateKey(this.clientKeys.privateKey) }
    const certificate = issueCertificate({ commonName: 'kubearmor', publicKey, notBefore: Date.now() - 1_000, notAfter: Date.now() + 3_600_000, use: ['client'] }, issuer)
    return grpcCredentials.createSsl(Buffer.from(this.clientKeys.certificate), Buffer.from(privateKey.export({ type: 'pkcs1', format: 'pem' })), Buffer.from(certificate.toString()))
  }
}

async function setUp(context: TestContext, feeder: boolean): Promise<{ relay: Relay; authorities: Authorities; connect: (address: string, credentials: ChannelCredentials) => Client }> {
  const directory = mkdtempSync(join(tmpdir(), 'merlon-relay-tls-'))
  const authorities = new Authorities()
  writeFileSync(join(directory, 'ca.crt'), authorities.agents.trust(Date.now()))
  writeFileSync(join(directory, 'token'), 'token')
  const Enrol: handleUnaryCall<EnrolRequest__Output, EnrolReply> = (call, reply) => reply(null, authorities.enrol(call.request.role, createPublicKey({ key: call.request.public_key, format: 'der', type: 'spki' })))
  const operator = await serve({ address: '127.0.0.1:0', services: [{ definition: Enrolment.service, implementation: { Enrol } }], credentials: authorities.peer(OPERATOR_ID).forServer() })
  const abort = new AbortController()
  const security = await openSecurity({ operator: operator.address, trustFile: join(directory, 'ca.crt'), tokenFile: join(directory, 'token'), feeder, clock: systemClock, logger: silentLogger, signal: abort.signal })
  const relay = await startRelay({ listen: ['localhost:0'], agents: '127.0.0.1:0', hostName: 'h', ...security })
  const clients: Client[] = []
  context.after(async () => {
    for (const client of clients) client.close()
    abort.abort()
    await relay.close()
    await operator.stop(0)
    rmSync(directory, { recursive: true })
  })
  return {
    relay,
    authorities,
    connect: (address, credentials) => {
      const client = new Client(address, credentials)
      clients.push(client)
      return client
    },
  }
}

describe('a relay with TLS', { timeout: 600_000 }, () => {
  it('takes an agent\'s events of its own node, and an operator\'s messages', async (context) => {
    const { relay, authorities, connect } = await setUp(context, false)
    const client = connect(relay.addresses[0] as string, grpcCredentials.createInsecure())
    const watcher = new Watcher(client, 'alerts', 'all')
    while (relay.subscribers === 0) await new Promise((turn) => { setImmediate(turn) })
    for (const [id, node] of [[agentId('node-1'), 'node-1'], [OPERATOR_ID, 'any']] as const) {
      const pusher = new Pusher(connect(relay.agentsAddress, authorities.peer(id).forClient(RELAY_ID)))
      await pusher.push({ node, events: [{ type: 'ALERT', payload: alert({ PodName: node }) }] })
    }
    assert.equal((await watcher.count(2)).length, 2)
  })

  it('misses an agent that has never had anything to send', async (context) => {
    const { relay, authorities, connect } = await setUp(context, false)
    const client = connect(relay.addresses[0] as string, grpcCredentials.createInsecure())
    const watcher = new Watcher(client, 'messages', '')
    while (relay.subscribers === 0) await new Promise((turn) => { setImmediate(turn) })
    const pusher = new Pusher(connect(relay.agentsAddress, authorities.peer(agentId('node-1')).forClient(RELAY_ID)))
    await watcher.message('Node node-1 sends events')
    pusher.stream.cancel()
    await watcher.message('Node node-1 is missing')
  })

  it('refuses events of another node, and of who has no certificate that counts', async (context) => {
    const { relay, authorities, connect } = await setUp(context, false)
    const other = new Pusher(connect(relay.agentsAddress, authorities.peer(agentId('node-2')).forClient(RELAY_ID)))
    void other.push({ node: 'node-1' })
    const refused = await other.ended
    assert.deepEqual([refused?.code, refused?.details.split(':')[0]], [status.PERMISSION_DENIED, 'MERLON_RELAY_NOT_YOUR_NODE'])
    const sender = new Pusher(connect(relay.agentsAddress, authorities.peer(agentId('node-2')).forClient(RELAY_ID)))
    void sender.push({ node: 'node-2', gone_nodes: ['node-1'] })
    assert.match((await sender.ended)?.details ?? '', /^MERLON_RELAY_NOT_YOUR_NODE: .* an operator says/)
    const stranger = new Authorities()
    const forged = new Credentials({ ...stranger.peer(agentId('node-1')).current, trust: authorities.agents.trust(Date.now()) })
    for (const credentials of [forged, authorities.peer(RELAY_ID)]) {
      const pusher = new Pusher(connect(relay.agentsAddress, credentials.forClient(RELAY_ID)))
      void pusher.push({ node: 'node-1' })
      const end = await pusher.ended
      assert.deepEqual([end?.code, end?.details.split(':')[0]], [status.UNAUTHENTICATED, 'MERLON_RELAY_NO_CERTIFICATE'])
    }
    assert.deepEqual([relay.nodes.present, relay.nodes.missing], [[], ['node-2']])
  })

  it('serves KubeArmor\'s clients by TLS where asked to, with the certificate that they make themselves, and nobody else', async (context) => {
    const { relay, authorities, connect } = await setUp(context, true)
    const address = relay.addresses[0] as string
    const { path, requestSerialize, responseDeserialize } = method('feeder.LogService', 'HealthCheck')
    const ask = (credentials: ChannelCredentials): Promise<unknown> => new Promise((resolve) => {
      connect(address, credentials).makeUnaryRequest(path, requestSerialize, responseDeserialize, { nonce: 7 }, (error, reply) => resolve(error?.code ?? (reply as { Retval: number }).Retval))
    })
    assert.equal(await ask(authorities.client()), 7)
    const anonymous = grpcCredentials.createSsl(Buffer.from(authorities.clientKeys.certificate))
    for (const credentials of [grpcCredentials.createInsecure(), anonymous]) assert.equal(await ask(credentials), status.UNAVAILABLE)
    // The key that clients share does not make them agents.
    const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const issued = authorities.clients.issue({ commonName: 'agent', publicKey, uris: [agentId('node-1')], use: ['client'] }, Date.now())
    const forged = new Credentials({ ...issued, trust: authorities.agents.trust(Date.now()), privateKey: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString() })
    const pusher = new Pusher(connect(relay.agentsAddress, forged.forClient(RELAY_ID)))
    void pusher.push({ node: 'node-1' })
    assert.equal((await pusher.ended)?.code, status.UNAUTHENTICATED)
  })
})
