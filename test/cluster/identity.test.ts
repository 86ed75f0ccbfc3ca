// SPDX-License-Identifier: Apache-2.0
// Identity against the real API server: tokens as the kubelet projects them, reviewed by TokenReview, and the authority in a Secret that replicas share.
import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { ClientNodeApi, loadConfig } from '../../operator/kube/api.ts'
import { policyLibrary } from '../../operator/library.ts'
import { Reconciler } from '../../operator/reconcile.ts'
import type { OperatorSecurity } from '../../operator/security.ts'
import { NodeSyncServer } from '../../operator/serve.ts'
import { TestAgent } from '../../operator/testing/agent.ts'
import { openTransport } from '../../operator/transport.ts'
import { agentId, OPERATOR_ID, RELAY_ID } from '../../proto/enrolment.ts'
import { SimulatedClock, systemClock } from '../../runtime/clock.ts'
import { Endpoints } from '../../runtime/endpoints.ts'
import { Enroller } from '../../runtime/enrol.ts'
import { silentLogger } from '../../runtime/log.ts'
import type { Credentials } from '../../runtime/tls.ts'
import { sharedCluster, type KubeClient, type SharedCluster } from '../support/cluster.ts'
import { ensure, until } from './support/operator.ts'

const NAMESPACE = 'identity-test'
const CORE = `/api/v1/namespaces/${NAMESPACE}`

/** As the kubelet asks for it: bound to a pod, which is on a node. */
async function token(client: KubeClient, account: string, parts: { readonly pod?: string; readonly audience?: string } = {}): Promise<string> {
  const { pod, audience = 'merlon' } = parts
  const found = pod === undefined ? undefined : await client.get(`${CORE}/pods/${pod}`)
  const bound = found && { kind: 'Pod', apiVersion: 'v1', name: pod, uid: found.metadata?.uid }
  const request = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: { audiences: [audience], expirationSeconds: 3600, ...(bound ? { boundObjectRef: bound } : {}) } }
  const { status } = await client.create(`${CORE}/serviceaccounts/${account}/token`, request)
  return (status as { token: string }).token
}

describe('identity on a real API server', { timeout: 1_800_000 }, () => {
  let cluster: SharedCluster
  let security: OperatorSecurity
  let server: NodeSyncServer
  let directory = ''
  const trustFile = (): string => join(directory, 'ca.crt')

  const open = (): Promise<OperatorSecurity | undefined> => openTransport({ tls: { kind: 'kubernetes' }, feederTls: true }, {
    clock: systemClock, logger: silentLogger, cluster: { api: new ClientNodeApi(() => loadConfig({ kind: 'kubeconfig', file: cluster.kubeconfig })), namespace: NAMESPACE },
  })

  /** Its certificate, or why it got none. */
  async function enrol(role: 'AGENT' | 'RELAY' | 'FEEDER', presented: string, node = 'identity-1'): Promise<Credentials | string> {
    const tokenFile = join(directory, 'token')
    writeFileSync(tokenFile, presented)
    const enroller = new Enroller({ role, node: role === 'AGENT' ? node : '', operators: new Endpoints(server.address, { random: Math.random }), trustFile: trustFile(), tokenFile, clock: new SimulatedClock(Date.now()), logger: silentLogger, random: () => 0.5, answerMs: 600_000 })
    const abort = new AbortController()
    const running = enroller.run(abort.signal)
    await enroller.attempted()
    abort.abort()
    await running
    return enroller.credentials ?? enroller.problem
  }

  before(async () => {
    cluster = await sharedCluster()
    const { client } = cluster
    directory = mkdtempSync(join(tmpdir(), 'merlon-identity-'))
    await ensure(client, '/api/v1/namespaces', { metadata: { name: NAMESPACE } })
    for (const name of ['merlon-agent', 'merlon-relay', 'other']) await ensure(client, `${CORE}/serviceaccounts`, { metadata: { name } })
    for (const name of ['identity-1', 'identity-2']) await ensure(client, '/api/v1/nodes', { metadata: { name } })
    for (const [name, account, node] of [['agent-1', 'merlon-agent', 'identity-1'], ['agent-2', 'merlon-agent', 'identity-2'], ['relay', 'merlon-relay', 'identity-1'], ['stranger', 'other', 'identity-1']] as const) {
      await ensure(client, `${CORE}/pods`, { metadata: { name }, spec: { nodeName: node, serviceAccountName: account, containers: [{ name: 'main', image: 'image' }] } })
    }
    // Two replicas that start together.
    const [one, two] = await Promise.all([open(), open()])
    assert.ok(one && two)
    assert.equal(one.own.current.trust, two.own.current.trust)
    security = one
    writeFileSync(trustFile(), ((await client.get(`${CORE}/configmaps/merlon-ca`))['data'] as Record<string, string>)['ca.crt'] ?? '')
    const reconciler = new Reconciler({ clock: systemClock, logger: silentLogger, library: policyLibrary, settings: { postures: { filePosture: 'audit' }, hostPostures: { filePosture: 'audit' } }, onNodes: (nodes) => server.notify(nodes) })
    server = new NodeSyncServer({ address: '127.0.0.1:0', reconciler, tableVersion: policyLibrary.tableVersion, nodeLabels: {}, believesAgents: false, clock: systemClock, logger: silentLogger, onChange: () => {}, security, services: [security.enrolment] })
    await server.start()
  })
  after(async () => {
    await server.stop()
    await cluster.stop()
    rmSync(directory, { recursive: true })
  })

  it('gives an agent the certificate of the node that its pod is on, and nobody else\'s', async () => {
    const { client } = cluster
    const credentials = await enrol('AGENT', await token(client, 'merlon-agent', { pod: 'agent-1' }))
    if (typeof credentials === 'string') throw new Error(credentials)
    assert.equal(new X509Certificate(credentials.current.certificate).subjectAltName, `URI:${agentId('identity-1')}`)
    const agent = await new TestAgent(server.address, { credentials: credentials.forClient(OPERATOR_ID), hello: { node: 'identity-1', table_versions: [policyLibrary.tableVersion] } }).start([{ id: 'host' }])
    await agent.until(({ messages }) => messages.length === 1)
    agent.close()
    const elsewhere = await enrol('AGENT', await token(client, 'merlon-agent', { pod: 'agent-2' }), 'identity-1')
    assert.ok(typeof elsewhere === 'string')
    assert.match(elsewhere, /MERLON_OPERATOR_NOT_YOUR_NODE: this token was given to a pod on node "identity-2", not on "identity-1"/)
  })

  it('refuses tokens of other accounts, for other audiences, without a pod, and made-up ones', async () => {
    const { client } = cluster
    const cases: [string, RegExp][] = [
      [await token(client, 'other', { pod: 'stranger' }), /is neither an agent/],
      [await token(client, 'merlon-agent', { pod: 'agent-1', audience: 'https://kubernetes.default.svc' }), /the API server does not accept this token/],
      [await token(client, 'merlon-agent'), /does not name a node/],
      ['eyJhbGciOiJSUzI1NiJ9.e30.c2ln', /the API server does not accept this token/],
    ]
    for (const [presented, expected] of cases) {
      const problem = await enrol('AGENT', presented)
      assert.ok(typeof problem === 'string')
      assert.match(problem, expected)
    }
  })

  it('refuses the token of a pod that is gone', async () => {
    const { client } = cluster
    await client.create(`${CORE}/pods`, { metadata: { name: 'short-lived' }, spec: { nodeName: 'identity-1', serviceAccountName: 'merlon-agent', containers: [{ name: 'main', image: 'image' }] } })
    const stolen = await token(client, 'merlon-agent', { pod: 'short-lived' })
    await client.send('DELETE', `${CORE}/pods/short-lived`, { gracePeriodSeconds: 0 })
    const problem = await enrol('AGENT', stolen)
    assert.ok(typeof problem === 'string')
    assert.match(problem, /the API server does not accept this token/)
  })

  it('renews the authority in its Secret long before it expires; the other replica takes it over, and everybody hears of it before it signs', async () => {
    const { client } = cluster
    const namespace = 'identity-rotation'
    await ensure(client, '/api/v1/namespaces', { metadata: { name: namespace } })
    const clock = new SimulatedClock(Date.now())
    const api = new ClientNodeApi(() => loadConfig({ kind: 'kubeconfig', file: cluster.kubeconfig }))
    const replicas = await Promise.all(['one', 'two'].map(() => openTransport({ tls: { kind: 'kubernetes' }, feederTls: false }, { clock, logger: silentLogger, cluster: { api, namespace } })))
    const abort = new AbortController()
    const running = replicas.map(async (replica) => replica?.run(abort.signal))
    const owns = (): string[] => replicas.map((replica) => replica?.own.current.certificate ?? '')
    const trusts = (): string[] => replicas.map((replica) => replica?.own.current.trust ?? '')
    const certificates = (text: string): X509Certificate[] => (text.match(/-----BEGIN[^-]+-----[^-]+-----END[^-]+-----/g) ?? []).map((block) => new X509Certificate(block))
    // An hour at a time: that is how often they look.
    const pass = async (ms: number, holds: () => boolean): Promise<void> => {
      clock.advance(ms)
      await until('the replicas have looked', () => {
        if (holds()) return true
        clock.advance(3_600_000)
        return false
      })
    }
    const [first] = certificates(trusts()[0] ?? '')
    await pass(250 * 86_400_000, () => trusts().every((trust) => certificates(trust).length === 2))
    const [, second] = certificates(trusts()[0] ?? '')
    assert.equal(trusts()[0], trusts()[1])
    assert.ok(first && second)
    const published = ((await client.get(`/api/v1/namespaces/${namespace}/configmaps/merlon-ca`))['data'] as Record<string, string>)['ca.crt'] ?? ''
    assert.equal(certificates(published).length, 2)
    for (const own of owns()) assert.ok(new X509Certificate(own).verify(first.publicKey), 'the old one signs until everybody knows the new one')
    await pass(2 * 86_400_000, () => owns().every((own) => new X509Certificate(own).verify(second.publicKey)))
    abort.abort()
    await Promise.all(running)
  })

  it('gives the relay its two certificates, of two authorities; KubeArmor\'s clients find the second where they look', async () => {
    const { client } = cluster
    const presented = await token(client, 'merlon-relay', { pod: 'relay' })
    const [relay, feeder] = [await enrol('RELAY', presented), await enrol('FEEDER', presented)]
    if (typeof relay === 'string') throw new Error(relay)
    if (typeof feeder === 'string') throw new Error(feeder)
    assert.equal(new X509Certificate(relay.current.certificate).subjectAltName, `URI:${RELAY_ID}`)
    assert.match(new X509Certificate(feeder.current.certificate).subjectAltName ?? '', /DNS:kubearmor\.identity-test\.svc,.*DNS:localhost, IP Address:127\.0\.0\.1/)
    const list = (await client.get(`${CORE}/secrets?labelSelector=kubearmor-app%3Dkubearmor-ca`))['items'] as { data: Record<string, string> }[]
    const data = list[0]?.data ?? {}
    const text = (key: string): string => Buffer.from(data[key] ?? '', 'base64').toString()
    assert.match(text('tls.key'), /^-----BEGIN RSA PRIVATE KEY-----/)
    const clients = new X509Certificate(text('tls.crt'))
    assert.deepEqual([new X509Certificate(feeder.current.certificate).verify(clients.publicKey), new X509Certificate(relay.current.certificate).verify(clients.publicKey)], [true, false])
  })
})
