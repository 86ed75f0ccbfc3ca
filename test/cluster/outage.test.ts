// SPDX-License-Identifier: Apache-2.0
// What takes long or breaks a server: an API that is away for a minute, credentials that end, clocks that jump, stores that are full, resources that
// are replaced. This file has a server of its own.
import assert from 'node:assert/strict'
import { createPrivateKey, createPublicKey, generateKeyPairSync } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, afterEach, before, describe, it } from 'node:test'
import { parse } from 'yaml'
import type { TestAgent } from '../../operator/testing/agent.ts'
import { systemClock, type Clock } from '../../runtime/clock.ts'
import { issueCertificate } from '../../runtime/x509.ts'
import type { Cluster, KubeClient, KubeObject } from '../support/cluster.ts'
import { TREE } from '../support/vm/guest.ts'
import { condition, installResources, pod, POLICIES, policy, startCluster, statusOf, TestOperator, until, type OperatorOptions } from './support/operator.ts'
import { ApiProxy } from './support/proxy.ts'

const NS = 'outage'
const KSP = `${POLICIES}/namespaces/${NS}/kubearmorpolicies`
const PODS = `/api/v1/namespaces/${NS}/pods`
const CRDS = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions'
const AWAY_MS = 60_000

let cluster: Cluster
let client: KubeClient
let away: Operated
let awayProxy: ApiProxy
let awaySince = 0
/** How long an operator takes to start here: what has to happen in an operator's time is given a multiple of it. */
let startMs = 0
let web: string
/** Of the present test: whatever becomes of it, its lease is free for the next one. */
const running: TestOperator[] = []

interface Operated {
  readonly operator: TestOperator
  readonly agent: TestAgent
  readonly has: (name: string) => boolean
}

async function operate(options: OperatorOptions = {}): Promise<Operated> {
  const operator = new TestOperator(cluster, options)
  running.push(operator)
  await operator.start()
  const agent = await operator.agent('n1')
  await agent.until(() => agent.bindings.has(web))
  return { operator, agent, has: (name) => agent.policiesOf(web)?.includes(name) === true }
}

/** That a policy comes, gets a status, and goes. */
async function assertWorks({ agent, has }: Operated, name: string): Promise<void> {
  await client.create(KSP, policy(name, { namespace: NS }))
  await agent.until(() => has(name))
  await until(`${name} has a status`, async () => condition(await statusOf(client, `${KSP}/${name}`), 'Ready') === 'True Ready')
  await client.delete(`${KSP}/${name}`)
  await agent.until(() => !has(name))
}

/** That it counts what is in force so often in a row without a status to write. */
async function countsQuietly({ operator: { kubernetes } }: Operated, times: number): Promise<void> {
  const { status } = kubernetes
  let quiet = 0
  await until('it has nothing to write', async () => {
    const { counts, writes } = status.done
    kubernetes.changed()
    await until('it has counted', () => status.done.counts > counts && status.depth === 0)
    quiet = status.done.writes === writes ? quiet + 1 : 0
    return quiet === times
  })
}

const refuse: ApiProxy['rules'] = { answer: (request) => { request.socket.destroy(); return true } }

before(async () => {
  cluster = await startCluster(NS)
  client = cluster.client
  web = `pod/${(await client.create(PODS, pod('web', { namespace: NS, labels: { app: 'web' }, node: 'n1' }))).metadata?.uid}`
  await client.create(KSP, policy('stays', { namespace: NS }))
  await client.create(KSP, policy('goes', { namespace: NS }))
  awayProxy = await ApiProxy.start(cluster.directory, cluster.server)
  const started = performance.now()
  away = await operate({ kubeconfig: awayProxy.kubeconfig })
  startMs = performance.now() - started
  running.length = 0
  await away.agent.until(() => away.has('stays') && away.has('goes'))
  // The minute begins here, and ends with the last test.
  awayProxy.rules = refuse
  awayProxy.cut()
  awaySince = performance.now()
  await client.delete(`${KSP}/goes`)
  await until('its lease is free', () => !away.operator.kubernetes.election.leads)
})

afterEach(async () => {
  for (const operator of running.splice(0)) await operator.stop()
})

after(async () => {
  await away.operator.stop()
  await awayProxy.stop()
  await cluster.stop()
})

describe('credentials', () => {
  function writeKubeconfig(name: string, user: Readonly<Record<string, string>>): string {
    const config = JSON.parse(readFileSync(cluster.kubeconfig, 'utf8')) as { users: { user: unknown }[] }
    for (const each of config.users) each.user = user
    const file = join(cluster.directory, name)
    writeFileSync(file, JSON.stringify(config))
    return file
  }

  /** Of a user that the cluster's CA has signed for. */
  function certificate(lifeMs: number): Readonly<Record<string, string>> {
    const privateKey = createPrivateKey(readFileSync(join(cluster.directory, 'ca.key')))
    const own = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const issued = issueCertificate({ commonName: 'operator-user', publicKey: own.publicKey, notBefore: Date.now() - 60_000, notAfter: Date.now() + lifeMs, use: ['client'] }, { commonName: 'merlon-test-ca', privateKey, publicKey: createPublicKey(privateKey) })
    const data = (pem: string): string => Buffer.from(pem).toString('base64')
    return { 'client-certificate-data': data(issued.toString()), 'client-key-data': data(own.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()) }
  }

  const allow = (name: string, subject: Readonly<Record<string, string>>): Promise<KubeObject> => client.apply(`/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/${name}`, {
    apiVersion: 'rbac.authorization.k8s.io/v1', kind: 'ClusterRoleBinding', metadata: { name }, roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'ClusterRole', name: 'cluster-admin' }, subjects: [subject],
  })

  it('a certificate expires: agents keep what they hold, and with a new one in the same file all goes on', async () => {
    await allow('operator-user', { kind: 'User', name: 'operator-user', apiGroup: 'rbac.authorization.k8s.io' })
    const kubeconfig = writeKubeconfig('kubeconfig.certificate', certificate(8_000 + 10 * startMs))
    const operated = await operate({ kubeconfig })
    await until('it leads', () => operated.operator.kubernetes.election.leads)
    await until('it may no longer do anything', () => !operated.operator.kubernetes.election.leads)
    assert.equal(operated.has('stays'), true)
    assert.ok(operated.operator.log.some(({ message, fields }) => message === 'Failed to renew the lease' && /401/.test(String(fields['error']))))
    writeKubeconfig('kubeconfig.certificate', certificate(3_600_000))
    await assertWorks(operated, 'after-certificate')
  })

  it('a token is revoked: the next one is read from where the first one was', async () => {
    const accounts = `/api/v1/namespaces/${NS}/serviceaccounts`
    await allow('operator-account', { kind: 'ServiceAccount', name: 'operator', namespace: NS })
    const token = async (): Promise<string> => {
      await client.create(accounts, { metadata: { name: 'operator' } })
      const answer = await client.create(`${accounts}/operator/token`, { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: {} })
      return (answer['status'] as { token: string }).token
    }
    const kubeconfig = writeKubeconfig('kubeconfig.token', { token: await token() })
    const operated = await operate({ kubeconfig })
    await until('it leads', () => operated.operator.kubernetes.election.leads)
    await client.delete(`${accounts}/operator`)
    await until('it may no longer do anything', () => !operated.operator.kubernetes.election.leads)
    assert.equal(operated.has('stays'), true)
    // Half of a file is none.
    writeFileSync(kubeconfig, '{"clusters": [')
    await new Promise((resolve) => setTimeout(resolve, 1_500))
    writeKubeconfig('kubeconfig.token', { token: await token() })
    await assertWorks(operated, 'after-token')
  })
})

describe('clocks and stores', () => {
  it('a clock that jumps by years changes neither who leads nor what is enforced', async () => {
    let offset = 0
    const clock: Clock = { ...systemClock, now: () => systemClock.now() + offset }
    // Long enough that a busy machine loses no lease: only the clock could.
    const operated = await operate({ clock, times: { durationMs: 60_000, renewMs: 50_000, retryMs: 500 } })
    await until('it leads', () => operated.operator.kubernetes.election.leads)
    for (const [name, jump] of [['future', 10 * 365 * 86_400_000], ['past', -20 * 365 * 86_400_000], ['now', 0]] as const) {
      offset = jump
      await assertWorks(operated, `after-jump-${name}`)
      assert.equal(operated.operator.kubernetes.election.leads, true)
    }
    assert.equal(operated.operator.log.filter(({ message }) => message === 'Lost the lead').length, 0)
  })

  it('a store that takes no writes (its disk is full) keeps neither policies from nodes nor the operator from going on', async () => {
    const proxy = await ApiProxy.start(cluster.directory, cluster.server)
    const operated = await operate({ kubeconfig: proxy.kubeconfig })
    await until('it leads', () => operated.operator.kubernetes.election.leads)
    proxy.rules = {
      answer: (request, response) => {
        if (request.method === 'GET') return false
        request.resume()
        response.writeHead(500, { 'content-type': 'application/json' }).end(JSON.stringify({ kind: 'Status', code: 500, message: 'etcdserver: mvcc: database space exceeded' }))
        return true
      },
    }
    await client.create(KSP, policy('full', { namespace: NS }))
    await operated.agent.until(() => operated.has('full'))
    await until('it no longer leads', () => !operated.operator.kubernetes.election.leads)
    proxy.rules = {}
    await until('its status is written', async () => condition(await statusOf(client, `${KSP}/full`), 'Ready') === 'True Ready')
    await client.delete(`${KSP}/full`)
    await proxy.stop()
  })

  it('etcd is killed and started again', async () => {
    const operated = await operate()
    await cluster.part('etcd').kill()
    await new Promise((resolve) => setTimeout(resolve, 2_000))
    assert.equal(operated.has('stays'), true)
    await cluster.startEtcd()
    await until('the API takes writes', () => client.patch(`${KSP}/stays`, { spec: { message: 'after etcd' } }).then(() => true, () => false))
    await assertWorks(operated, 'after-etcd')
  })
})

describe('resources that are replaced', () => {
  const crdOf = (name: string): KubeObject => parse(readFileSync(join(TREE, 'crds', `${name}.yaml`), 'utf8'), { merge: true }) as KubeObject
  const NAME = 'kubearmorpolicies.security.kubearmor.com'

  /** As of a time when nothing was checked, and a status had one word. */
  function olderCrd(): KubeObject {
    const crd = structuredClone(crdOf('kubearmorpolicy')) as KubeObject & { spec: { versions: { schema: unknown; additionalPrinterColumns?: unknown }[] } }
    for (const version of crd.spec.versions) {
      version.schema = { openAPIV3Schema: { type: 'object', properties: { spec: { type: 'object', 'x-kubernetes-preserve-unknown-fields': true }, status: { type: 'object', properties: { status: { type: 'string' } } } } } }
      delete version.additionalPrinterColumns
    }
    return crd
  }

  /** The server takes a moment to go by the new schema. */
  async function replaceCrd(crd: KubeObject, isInForce: () => Promise<boolean>): Promise<void> {
    const { metadata } = await client.get(`${CRDS}/${NAME}`)
    await client.replace(`${CRDS}/${NAME}`, { ...crd, metadata: { name: NAME, resourceVersion: metadata?.resourceVersion ?? '' } })
    await until('the new schema is in force', isInForce)
  }

  const odd = (name: string, spec: Record<string, unknown>): KubeObject => ({ apiVersion: 'security.kubearmor.com/v1', kind: 'KubeArmorPolicy', metadata: { name, namespace: NS }, spec })
  const isTaken = (object: KubeObject): Promise<boolean> => client.create(`${KSP}?dryRun=All`, object).then(() => true, () => false)

  it('an object that an older resource let pass is refused with its position, and the rest goes on', async () => {
    const wrong: Readonly<Record<string, Record<string, unknown>>> = {
      relative: { selector: { matchLabels: { app: 'web' } }, process: { matchPaths: [{ path: '/bin/fine' }, { path: 'bin/relative' }] }, action: 'Block' },
      shapeless: { selector: 'web', process: { matchPaths: { path: '/x' } }, severity: 'high' },
      unknown: { selector: { matchLabels: { app: 'web' } }, process: { matchPaths: [{ path: '/bin/x', action: 'Explode' }] } },
    }
    await replaceCrd(olderCrd(), () => isTaken(odd('probe', { severity: 'high' })))
    for (const [name, spec] of Object.entries(wrong)) await client.create(KSP, odd(name, spec))
    const older = await operate()
    await until('the one word is written', async () => (await statusOf(client, `${KSP}/relative`))['status'] === 'Invalid')
    await until('the agent has acknowledged', () => older.operator.server.sessions.get('n1')?.view?.lag === 0)
    await countsQuietly(older, 3)
    const { writes } = older.operator.kubernetes.status.done
    await client.patch(`${PODS}/web`, { metadata: { labels: { more: 'x' } } })
    await countsQuietly(older, 2)
    assert.equal(older.operator.kubernetes.status.done.writes, writes, 'what was left out is not written again and again')
    await older.operator.stop()
    await replaceCrd(crdOf('kubearmorpolicy'), async () => !(await isTaken(odd('probe', { severity: 'high' }))))
    const operated = await operate()
    for (const [name, position] of [['relative', /spec\.process\.matchPaths\[1\]\.path/], ['shapeless', /spec\.(selector|severity|process)/], ['unknown', /spec\.process\.matchPaths\[0\]\.action/]] as const) {
      await until(`${name} has a condition`, async () => condition(await statusOf(client, `${KSP}/${name}`), 'Accepted').startsWith('False MERLON_POLICY_'))
      assert.match((await statusOf(client, `${KSP}/${name}`)).conditions?.[0]?.message ?? '', position)
    }
    await assertWorks(operated, 'after-older')
    for (const name of Object.keys(wrong)) await client.delete(`${KSP}/${name}`)
  })

  it('a resource that is deleted takes its policies with it, and those that are made when it is back come', async () => {
    const operated = await operate()
    assert.equal(operated.has('stays'), true)
    await client.delete(`${CRDS}/${NAME}`)
    await operated.agent.until(() => !operated.has('stays'))
    await until('the resource is gone', async () => (await client.find(`${CRDS}/${NAME}`)) === undefined)
    // An operator that starts meanwhile does not wait for it.
    const second = await new TestOperator(cluster).start()
    await installResources(client)
    await assertWorks(operated, 'after-resource')
    await client.create(KSP, policy('stays', { namespace: NS }))
    await until('the second one has it, too', () => second.reconciler.world.policies.has(`KubeArmorPolicy/${NS}/stays`))
    await second.stop()
  })
})

describe('an API that was away for a minute', () => {
  it('was missed by nobody, and nothing of what happened meanwhile is lost', async () => {
    await new Promise((resolve) => setTimeout(resolve, Math.max(0, awaySince + AWAY_MS - performance.now())))
    assert.deepEqual([away.has('stays'), away.has('goes'), away.operator.server.sessions.get('n1')?.isOpen], [true, true, true])
    const late = `pod/${(await client.create(PODS, pod('late', { namespace: NS, labels: { app: 'web' }, node: 'n1' }))).metadata?.uid}`
    await client.patch(`/api/v1/namespaces/${NS}`, { metadata: { annotations: { 'kubearmor-file-posture': 'block' } } })
    awayProxy.rules = {}
    await away.agent.until(() => !away.has('goes') && away.has('stays') && away.agent.policiesOf(late)?.includes('stays') === true)
    await until('the posture has come', () => away.operator.reconciler.world.namespaces.get(NS)?.filePosture === 'block')
    await until('it leads again', () => away.operator.kubernetes.election.leads)
    await assertWorks(away, 'after-minute')
    const defects = away.operator.log.filter(({ level }) => level === 'error')
    assert.deepEqual(defects.map(({ message, fields }) => [message, String(fields['error'])]), [])
  })
})
