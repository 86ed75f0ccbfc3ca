// SPDX-License-Identifier: Apache-2.0
// What clusters do to those who watch them. This file breaks its server, so it has one of its own.
import assert from 'node:assert/strict'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { after, before, describe, it } from 'node:test'
import type { TestAgent } from '../../operator/testing/agent.ts'
import type { Cluster, KubeClient, KubeObject } from '../support/cluster.ts'
import { condition, pod, POLICIES, policy, startCluster, statusOf, TestOperator, until } from './support/operator.ts'
import { ApiProxy } from './support/proxy.ts'

const NS = 'faults'
const KSP = `${POLICIES}/namespaces/${NS}/kubearmorpolicies`
const PODS = `/api/v1/namespaces/${NS}/pods`

let cluster: Cluster
let client: KubeClient
let proxy: ApiProxy
let operator: TestOperator
let agent: TestAgent
let web: string

before(async () => {
  cluster = await startCluster(NS)
  client = cluster.client
  proxy = await ApiProxy.start(cluster.directory, cluster.server)
  operator = await new TestOperator(cluster, { kubeconfig: proxy.kubeconfig }).start()
  agent = await operator.agent('n1')
  web = `pod/${(await client.create(PODS, pod('web', { namespace: NS, labels: { app: 'web' }, node: 'n1' }))).metadata?.uid}`
  await agent.until(() => agent.bindings.has(web))
})

after(async () => {
  await operator.stop()
  await proxy.stop()
  await cluster.stop()
})

const has = (name: string): boolean => agent.policiesOf(web)?.includes(name) === true
const remove = (name: string): Promise<KubeObject> => client.delete(`${KSP}/${name}`)

/** That all is well again: what is made now arrives, and what is removed goes. */
async function assertWorks(name: string): Promise<void> {
  await client.create(KSP, policy(name, { namespace: NS }))
  await agent.until(() => has(name))
  await remove(name)
  await agent.until(() => !has(name))
}

describe('much', () => {
  it('takes a policy of 10,000 rules, compiled beside the main loop', async () => {
    const paths = Array.from({ length: 10_000 }, (_, index) => `/opt/${index}/bin`)
    await client.create(KSP, policy('huge', { namespace: NS, paths }))
    await agent.until(() => has('huge'))
    await until('its status is true', async () => condition(await statusOf(client, `${KSP}/huge`), 'Programmed') === 'True Programmed')
    assert.equal(((await statusOf(client, `${KSP}/huge`))['rules'] as { inForce: number }).inForce, 10_000)
    await remove('huge')
    await agent.until(() => !has('huge'))
  })

  it('goes on with everything else while a policy of 10,000 patterns is compiled', async (context) => {
    const db = `pod/${(await client.create(PODS, pod('db', { namespace: NS, labels: { app: 'db' }, node: 'n1' }))).metadata?.uid}`
    const delays = monitorEventLoopDelay({ resolution: 5 })
    const patterns = Array.from({ length: 10_000 }, (_, index) => ({ pattern: `/opt/${index}/**/x*` }))
    await client.create(KSP, policy('patterns', { namespace: NS, spec: { process: { matchPatterns: patterns } } }))
    await until('it is being compiled', () => [...operator.reconciler.nodes.values()].some(({ compiling }) => compiling.size > 0))
    // However fast that is beside a busy API server.
    const taken = operator.holdCompiled()
    delays.enable()
    // Its node is told of another pod's policy first, and others hold what they held.
    await client.create(KSP, policy('overtakes', { namespace: NS, labels: { app: 'db' } }))
    await agent.until(() => agent.policiesOf(db)?.includes('overtakes') === true)
    delays.disable()
    assert.equal(has('patterns'), false)
    taken()
    context.diagnostic(`longest delay of the event loop while it was compiled: ${(delays.max / 1e6).toFixed(0)} ms, mean ${(delays.mean / 1e6).toFixed(1)} ms`)
    await agent.until(() => has('patterns'))
    await client.delete(KSP)
    await client.send('DELETE', `${PODS}/db`, { gracePeriodSeconds: 0 })
    await agent.until(() => !has('patterns') && !agent.bindings.has(db))
  })

  it('keeps the last good table where a policy cannot be compiled, and says so in its status', async () => {
    await client.create(KSP, policy('edited', { namespace: NS, paths: ['/bin/good'] }))
    await agent.until(() => has('edited'))
    const good = agent.bindings.get(web)
    await client.patch(`${KSP}/edited`, { spec: { process: { matchPaths: null, matchPatterns: [{ pattern: `/**/*a${'?'.repeat(12)}` }] } } })
    await until('its status tells', async () => condition(await statusOf(client, `${KSP}/edited`), 'Programmed') === 'False MERLON_POLICY_TOO_MANY_STATES')
    const status = await statusOf(client, `${KSP}/edited`)
    assert.deepEqual([status.observedGeneration, status['status'], agent.bindings.get(web)], [2, 'Failure', good])
    assert.ok(operator.log.some(({ message, fields }) => message === 'Failed to compile a workload' && /last good table/.test(String(fields['kept']))))
    await client.patch(`${KSP}/edited`, { spec: { process: { matchPaths: [{ path: '/bin/other' }], matchPatterns: null } } })
    await until('all is well again', async () => condition(await statusOf(client, `${KSP}/edited`), 'Ready') === 'True Ready')
    assert.notEqual(agent.bindings.get(web), good)
    await remove('edited')
    await agent.until(() => !has('edited'))
  })

  it('takes a thousand policies at once, and writes fewer than ten statuses a second', async () => {
    const [started, writes] = [performance.now(), operator.kubernetes.status.done.writes]
    const waiting = Array.from({ length: 1000 }, (_, index) => policy(`p${index}`, { namespace: NS, paths: [`/bin/p${index}`] }))
    await Promise.all(Array.from({ length: 20 }, async () => {
      for (let next = waiting.pop(); next; next = waiting.pop()) await client.create(KSP, next)
    }))
    await agent.until(() => agent.policiesOf(web)?.length === 1000)
    await client.delete(KSP)
    await agent.until(() => agent.policiesOf(web)?.length === 0)
    const seconds = (performance.now() - started) / 1000
    assert.ok(operator.kubernetes.status.done.writes - writes <= seconds * 9 + 1, `${operator.kubernetes.status.done.writes - writes} writes in ${seconds} s`)
  })

  it('takes an object that changes a hundred times in a row as it is in the end', async () => {
    await client.create(KSP, policy('restless', { namespace: NS }))
    await agent.until(() => has('restless'))
    const [started, writes] = [performance.now(), operator.kubernetes.status.done.writes]
    for (let index = 1; index <= 100; index++) await client.patch(`${KSP}/restless`, { spec: { message: `version ${index}` } })
    await agent.until(() => agent.profiles.get(agent.bindings.get(web) ?? '')?.clauses[0]?.message === 'version 100')
    await until('the last generation is observed', async () => (await statusOf(client, `${KSP}/restless`)).observedGeneration === 101)
    // As many as have time, however slowly the changes come: fewer than there are where they come fast.
    const seconds = (performance.now() - started) / 1000
    assert.ok(operator.kubernetes.status.done.writes - writes <= seconds * 9 + 1, `${operator.kubernetes.status.done.writes - writes} writes in ${seconds} s`)
    await remove('restless')
  })
})

describe('odd objects', () => {
  it('binds a pod without labels, and everything in Unicode', async () => {
    const path = '/tmp/ñandú/文件/🙂'
    const bare = `pod/${(await client.create(PODS, pod('bare', { namespace: NS, node: 'n1' }))).metadata?.uid}`
    await client.create(KSP, policy('unicode', { namespace: NS, paths: [path], spec: { selector: {}, message: 'Überraschung 🙂', tags: ['日本'] } }))
    await agent.until(() => agent.policiesOf(bare)?.includes('unicode') === true)
    const clause = agent.profiles.get(agent.bindings.get(bare) ?? '')?.clauses[0]
    assert.deepEqual([clause?.message, clause?.tags, clause?.text], ['Überraschung 🙂', ['日本'], `process path ${path}`])
    await remove('unicode')
    await client.send('DELETE', `${PODS}/bare`, { gracePeriodSeconds: 0 })
    await agent.until(() => !agent.bindings.has(bare))
  })

  it('lets go of a namespace that is deleted with its policies and pods', async () => {
    await client.create('/api/v1/namespaces', { metadata: { name: 'doomed' } })
    const id = `pod/${(await client.create('/api/v1/namespaces/doomed/pods', pod('p', { namespace: 'doomed', labels: { app: 'web' }, node: 'n1' }))).metadata?.uid}`
    await client.create(`${POLICIES}/namespaces/doomed/kubearmorpolicies`, policy('p', { namespace: 'doomed' }))
    await agent.until(() => agent.policiesOf(id)?.includes('p') === true)
    const controller = await cluster.startControllerManager(['namespace-controller'])
    await client.delete('/api/v1/namespaces/doomed')
    // Pods go first, and no kubelet is there to confirm that this one has ended.
    await client.send('DELETE', '/api/v1/namespaces/doomed/pods/p', { gracePeriodSeconds: 0 })
    await agent.until(() => !agent.bindings.has(id))
    await until('its policies are gone', () => !operator.reconciler.world.policies.has('KubeArmorPolicy/doomed/p'))
    await until('the namespace is gone', () => !operator.reconciler.world.namespaces.has('doomed'))
    await controller.kill()
    await assertWorks('after-namespace')
  })
})

describe('a server and a network in trouble', () => {
  it('sees what was made and removed while every connection was cut', async () => {
    await client.create(KSP, policy('gone', { namespace: NS }))
    await agent.until(() => has('gone'))
    proxy.rules = { answer: (request) => { request.socket.destroy(); return true; } }
    proxy.cut()
    await remove('gone')
    await client.create(KSP, policy('new', { namespace: NS }))
    assert.deepEqual([has('gone'), has('new')], [true, false])
    proxy.rules = {}
    await agent.until(() => has('new') && !has('gone'))
    await remove('new')
  })

  it('loses nothing of a watch that is cut in the middle of a line', async () => {
    let cuts = 0
    proxy.rules = {
      cutAfter: (request) => {
        if (cuts >= 3 || !/kubearmorpolicies\?.*watch=true/.test(request.url ?? '')) return undefined
        cuts += 1
        return 40
      },
    }
    for (const name of ['cut-1', 'cut-2', 'cut-3']) {
      await client.create(KSP, policy(name, { namespace: NS }))
      await agent.until(() => has(name))
    }
    assert.equal(cuts, 3)
    proxy.rules = {}
    await client.delete(KSP)
    await agent.until(() => !has('cut-1'))
  })

  it('waits as long as it is told (429), and lists again when its place is forgotten (410)', async () => {
    const policies = operator.kubernetes.source.informers.find(({ path }) => path.endsWith('/kubearmorpolicies'))
    const lists = policies?.done.lists ?? 0
    let refusals = 2
    let expired = 1
    proxy.rules = {
      answer: (request, response) => {
        if (!request.url?.includes('/kubearmorpolicies')) return false
        if (request.url.includes('watch=true') && expired > 0) {
          expired -= 1
          response.writeHead(410, { 'content-type': 'application/json' }).end(JSON.stringify({ kind: 'Status', code: 410, reason: 'Expired', message: 'too old resource version' }))
          return true
        }
        if (request.url.includes('limit=') && refusals > 0) {
          refusals -= 1
          response.writeHead(429, { 'retry-after': '1', 'content-type': 'application/json' }).end(JSON.stringify({ kind: 'Status', code: 429, reason: 'TooManyRequests', message: 'wait' }))
          return true
        }
        return false
      },
    }
    proxy.cut()
    await until('it has listed again', () => (policies?.done.lists ?? 0) > lists)
    assert.deepEqual([refusals, expired], [0, 0])
    proxy.rules = {}
    await assertWorks('after-410')
  })

  it('goes on by itself after tokens were not accepted and lists were slow', async () => {
    let refusals = 20
    proxy.rules = {
      answer: (_request, response) => {
        if (refusals === 0) return false
        refusals -= 1
        response.writeHead(401, { 'content-type': 'application/json' }).end(JSON.stringify({ kind: 'Status', code: 401, reason: 'Unauthorized', message: 'Unauthorized' }))
        return true
      },
      delayMs: (request) => (request.url?.includes('limit=') ? 1500 : 0),
    }
    proxy.cut()
    await until('all refusals were answered', () => refusals === 0)
    await assertWorks('after-401')
    proxy.rules = {}
  })

  it('comes through a server that hangs and goes on', async () => {
    cluster.part('kube-apiserver').signal('SIGSTOP')
    await new Promise((resolve) => setTimeout(resolve, 3000))
    assert.equal(agent.bindings.has(web), true)
    cluster.part('kube-apiserver').signal('SIGCONT')
    await assertWorks('after-stop')
  })

  it('comes through a server that is killed and started again, with its store', async () => {
    await client.create(KSP, policy('before', { namespace: NS }))
    await agent.until(() => has('before'))
    for (const name of ['kube-apiserver', 'etcd'] as const) await cluster.part(name).kill()
    await new Promise((resolve) => setTimeout(resolve, 1000))
    // Enforcement does not depend on the API.
    assert.deepEqual([has('before'), operator.server.sessions.get('n1')?.isOpen], [true, true])
    await cluster.startEtcd()
    await cluster.startApiServer()
    await remove('before')
    await agent.until(() => !has('before'))
    await assertWorks('after-restart')
    await until('it leads again', () => operator.kubernetes.election.leads)
  })

  it('has said nothing that a defect of ours would say', () => {
    const isMeant = (message: string): boolean => message === 'Failed to compile a workload'
    const defects = operator.log.filter(({ level, message }) => (level === 'error' && !isMeant(message)) || /Failed to pass on|Failed to read an object/.test(message))
    assert.deepEqual(defects.map(({ message, fields }) => [message, String(fields['error'])]), [])
  })
})
