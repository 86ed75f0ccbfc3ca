// SPDX-License-Identifier: Apache-2.0
// Two operators, each a process of its own with the lease's real times; one of them is killed while policies are being applied.
import assert from 'node:assert/strict'
import { spawn, type ChildProcess } from 'node:child_process'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { after, afterEach, before, describe, it } from 'node:test'
import { TestAgent } from '../../operator/testing/agent.ts'
import { policyLibrary } from '../../operator/library.ts'
import { sharedCluster, type KubeClient, type KubeObject, type SharedCluster } from '../support/cluster.ts'
import { TREE } from '../support/vm/guest.ts'
import { condition, ensure, installResources, NAMESPACE, pod, POLICIES, policy, statusOf, until } from './support/operator.ts'
import { ApiProxy } from './support/proxy.ts'

const NS = 'processes'
const KSP = `${POLICIES}/namespaces/${NS}/kubearmorpolicies`
const PODS = `/api/v1/namespaces/${NS}/pods`
const LEASE = `/apis/coordination.k8s.io/v1/namespaces/${NAMESPACE}/leases/merlon-operator`
const COUNT = 40

let cluster: SharedCluster
let client: KubeClient
const operators: Operator[] = []
const agents: TestAgent[] = []
const proxies: ApiProxy[] = []

class Operator {
  readonly address: Promise<string>
  readonly #http: Promise<string>
  readonly #child: ChildProcess
  readonly #ended: Promise<void>

  constructor(kubeconfig: string) {
    const args = ['--kubeconfig', kubeconfig, '--namespace', NAMESPACE, '--listen', '127.0.0.1:0', '--http', '127.0.0.1:0']
    this.#child = spawn(process.execPath, [join(TREE, 'operator/main.ts'), ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
    const [address, http] = [Promise.withResolvers<string>(), Promise.withResolvers<string>()]
    const { stdout, stderr } = this.#child
    assert(stdout && stderr)
    createInterface({ input: stdout }).on('line', (line) => address.resolve(line.replace('ready ', '')))
    createInterface({ input: stderr }).on('line', (line) => {
      if (line.includes('"Serving health"')) http.resolve((JSON.parse(line) as { address: string }).address)
    })
    this.#ended = new Promise((resolve) => this.#child.on('close', () => resolve()))
    void this.#ended.then(() => address.reject(new Error('The operator ended before it was ready')))
    this.address = address.promise
    this.#http = http.promise
  }

  async leads(): Promise<boolean> {
    return /^merlon_leader 1$/m.test(await (await fetch(`http://${await this.#http}/metrics`)).text())
  }

  async end(signal: NodeJS.Signals): Promise<void> {
    this.#child.kill(signal)
    await this.#ended
  }
}

async function start(kubeconfig = cluster.kubeconfig): Promise<Operator> {
  const operator = new Operator(kubeconfig)
  operators.push(operator)
  await operator.address
  return operator
}

/** A replica with a way of its own to the API server, on which is seen what it asks. */
async function startSeen(): Promise<{ operator: Operator; proxy: ApiProxy }> {
  const proxy = await ApiProxy.start(dirname(cluster.kubeconfig), cluster.server)
  proxies.push(proxy)
  return { operator: await start(proxy.kubeconfig), proxy }
}

async function agentOf(node: string, operator: Operator): Promise<TestAgent> {
  const agent = await new TestAgent(await operator.address, { hello: { node, table_versions: [policyLibrary.tableVersion], abilities: { bpf_lsm: true } } }).start([{ id: 'host' }])
  agents.push(agent)
  return agent
}

before(async () => {
  cluster = await sharedCluster()
  client = cluster.client
  await installResources(client)
  await ensure(client, '/api/v1/namespaces', { metadata: { name: NS } })
  for (const name of ['p1', 'p2']) {
    await ensure(client, '/api/v1/nodes', { metadata: { name } })
    await client.create(PODS, pod(`on-${name}`, { namespace: NS, labels: { app: 'web' }, node: name }))
  }
  await client.send('DELETE', `/apis/coordination.k8s.io/v1/namespaces/${NAMESPACE}/leases`)
})

afterEach(async () => {
  for (const agent of agents.splice(0)) agent.close()
  for (const operator of operators.splice(0)) await operator.end('SIGTERM')
  for (const proxy of proxies.splice(0)) await proxy.stop()
  await client.delete(KSP)
})

after(async () => {
  await client.send('DELETE', PODS, { gracePeriodSeconds: 0 })
  for (const name of ['p1', 'p2']) await client.delete(`/api/v1/nodes/${name}`)
  await cluster.stop()
})

/** Policies of the one pod of an agent's node. */
function held(agent: TestAgent): ReadonlySet<string> {
  const [bound = ''] = [...agent.bindings.keys()].filter((workload) => workload.startsWith('pod/'))
  return new Set(agent.policiesOf(bound))
}

const create = (name: string): Promise<unknown> => client.create(KSP, policy(name, { namespace: NS, paths: [`/usr/bin/${name}`] }))

async function allReady(names: readonly string[]): Promise<void> {
  for (const name of names) {
    await until(`the status of ${name} is true`, async () => {
      const status = await statusOf(client, `${KSP}/${name}`)
      return condition(status, 'Ready') === 'True Ready' && status['applied'] === '2/2'
    })
  }
}

/** Time enough for whoever leads, and for whoever thinks so. */
async function twoRenewals(): Promise<void> {
  const renewed = async (): Promise<unknown> => ((await client.get(LEASE))['spec'] as { renewTime?: string }).renewTime
  for (let round = 0; round < 2; round++) {
    const last = await renewed()
    await until('the lease is renewed', async () => (await renewed()) !== last)
  }
}

/** What a replica has asked the API server to write, changes or not: of a request that changes nothing no watch tells. */
function statusWrites({ seen }: ApiProxy): readonly string[] {
  return seen.filter((line) => /^(PATCH|PUT) .*\/kubearmorpolicies\/[^/]+\/status/.test(line))
}

/** All that a watch tells, up to what there is now: it comes in order, and a busy server may take its time. */
async function eventsSince(since: string): Promise<string> {
  const { items } = (await client.get(KSP)) as { readonly items?: readonly KubeObject[] }
  const versions = (items ?? []).map(({ metadata }) => metadata?.resourceVersion ?? '')
  for (let seconds = 2; ; seconds *= 2) {
    const { text = '' } = (await client.get(`${KSP}?watch=true&resourceVersion=${since}&timeoutSeconds=${seconds}`)) as { readonly text?: string }
    if (versions.every((version) => text.includes(`"resourceVersion":"${version}"`))) return text
    assert.ok(seconds < 600, 'the watch does not tell what there is')
  }
}

/** How often the status of each policy has changed since the list of that version. */
async function statusChanges(since: string): Promise<ReadonlyMap<string, number>> {
  const text = await eventsSince(since)
  const last = new Map<string, string>()
  const changes = new Map<string, number>()
  for (const line of text.split('\n').filter((each) => each !== '')) {
    const { type, object } = JSON.parse(line) as { readonly type: string; readonly object: KubeObject }
    assert.match(type, /^(ADDED|MODIFIED)$/, line)
    const [name, status] = [object.metadata?.name ?? '', JSON.stringify(object['status'] ?? {})]
    if (type === 'MODIFIED' && last.get(name) !== status) changes.set(name, (changes.get(name) ?? 0) + 1)
    last.set(name, status)
  }
  return changes
}

describe('two operators in processes of their own', () => {
  it('lose nothing when the one that leads is killed while policies are being applied', async () => {
    const first = await start()
    await until('the first leads', () => first.leads())
    const second = await start()
    const p2 = await agentOf('p2', second)
    const p1 = await agentOf('p1', first)
    const names = Array.from({ length: COUNT }, (_, index) => `held-${index}`)

    for (const name of names.slice(0, COUNT / 2)) await create(name)
    await p1.until((agent) => held(agent).size > 0)
    assert.equal(await second.leads(), false)
    const killed = first.end('SIGKILL')
    for (const name of names.slice(COUNT / 2)) await create(name)
    await killed

    // Who serves need not lead: the other one's agent has all of them before there is a leader, and so has the one that comes over.
    await p2.until((agent) => held(agent).size === COUNT)
    const moved = await agentOf('p1', second)
    await moved.until((agent) => held(agent).size === COUNT)
    assert.deepEqual([...held(moved)].toSorted(), names.toSorted())

    await until('the second leads', () => second.leads())
    const lease = (await client.get(LEASE))['spec'] as { leaseTransitions?: number }
    assert.equal(lease.leaseTransitions, 1)
    await allReady(names)
    // What is true is not written again.
    const versions = async (): Promise<readonly unknown[]> => Promise.all(names.map(async (name) => ((await client.get(`${KSP}/${name}`)).metadata as { resourceVersion?: string }).resourceVersion))
    const settled = await versions()
    await twoRenewals()
    assert.deepEqual(await versions(), settled)
  })

  it('write no status twice when the one that does not lead is killed while policies are being applied', async () => {
    const { operator: first, proxy: leading } = await startSeen()
    await until('the first leads', () => first.leads())
    const { operator: second, proxy: following } = await startSeen()
    const p2 = await agentOf('p2', second)
    const p1 = await agentOf('p1', first)
    const names = Array.from({ length: COUNT }, (_, index) => `once-${index}`)
    const since = ((await client.get(KSP)).metadata as { resourceVersion?: string }).resourceVersion ?? ''

    for (const name of names.slice(0, COUNT / 2)) await create(name)
    await p2.until((agent) => held(agent).size > 0)
    // That is when a second pen would show.
    await until('statuses are written', () => statusWrites(leading).length >= 8)
    assert.equal(await second.leads(), false)
    const killed = second.end('SIGKILL')
    for (const name of names.slice(COUNT / 2)) await create(name)
    await killed

    await p1.until((agent) => held(agent).size === COUNT)
    const moved = await agentOf('p2', first)
    await moved.until((agent) => held(agent).size === COUNT)
    await allReady(names)
    // All are counted once more.
    await create('afterwards')
    await allReady(['afterwards'])
    assert.equal(await first.leads(), true)
    await twoRenewals()
    const changes = await statusChanges(since)
    assert.deepEqual([changes.size, statusWrites(following)], [COUNT + 1, []])
    // Each request has changed something: none said what was there.
    assert.equal(statusWrites(leading).length, [...changes.values()].reduce((sum, count) => sum + count, 0))
  })
})
