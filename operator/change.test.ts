// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { openTable } from '../policy/lookup.ts'
import { SECTIONS, type Policy } from '../policy/types.ts'
import { nameOf } from './files.ts'
import { policyLibrary, type Compiled } from './library.ts'
import { Cluster, pod, policies, policy, UID, workload } from './testing/cluster.ts'
import { hostPolicyText, policyText } from './testing/manifests.ts'
import { AgentView } from './view.ts'
import type { Change } from './world.ts'

interface Mode {
  readonly field?: string
  readonly annotation?: string
}

function moded({ field, annotation }: Mode): object {
  const metadata = { name: 'p', namespace: 'default', ...(annotation === undefined ? {} : { annotations: { 'merlon.io/mode': annotation } }) }
  const spec = { ...(field === undefined ? {} : { mode: field }), selector: { matchLabels: { app: 'web' } }, process: { matchPaths: [{ path: '/bin/ls' }] } }
  return { apiVersion: 'security.kubearmor.com/v1', kind: 'KubeArmorPolicy', metadata, spec }
}

const named = (read: readonly Policy[]): Map<string, Policy> => new Map(read.map((each) => [nameOf(each), each]))

/** How a directory's files are read, and the objects of an API. */
const SOURCES: readonly (readonly [name: string, read: (mode: Mode) => Map<string, Policy>])[] = [
  ['a file', (mode) => named(policyLibrary.read(JSON.stringify(moded(mode)), 'p.json').policies)],
  ['the API', (mode) => named(policyLibrary.readObject(moded(mode), 'p').policies)],
]

describe('Reconciler.change()', () => {
  it('gives a pod its profile on its node before the agent has seen it, and takes it back when the pod is gone', async () => {
    const cluster = await new Cluster().change({ policies: policy({ name: 'p' }), pods: pod(UID) })
    assert.deepEqual(cluster.policies(`pod/${UID}`), ['p'])
    assert.equal(cluster.policies(`pod/${UID}`, 'n2'), undefined)
    await cluster.change({ pods: new Map([[UID, undefined]]) })
    assert.equal(cluster.policies(`pod/${UID}`), undefined)
  })

  it('leaves out pods that have ended, and those that no node has yet', async () => {
    const cluster = await new Cluster().change({ policies: policy({ name: 'p' }), pods: new Map([...pod(UID, { ended: true }), ...pod('2', { node: '' })]) })
    assert.deepEqual([...cluster.reconciler.desired('n1').keys()], ['host'])
    await cluster.change({ pods: pod('2', { node: 'n2' }) })
    assert.deepEqual(cluster.policies('pod/2', 'n2'), ['p'])
  })

  it('keeps what is expected when the agent reports without it, and forgets it when it was reported gone with its pod', async () => {
    const cluster = await new Cluster().change({ policies: policy({ name: 'p' }), pods: pod(UID) })
    cluster.reconciler.setWorkloads('n1', true, [workload('host')], [])
    await cluster.reconciler.settled()
    assert.deepEqual(cluster.policies(`pod/${UID}`), ['p'])
    cluster.reconciler.setWorkloads('n1', false, [workload(`pod/${UID}`, { pod_uid: UID })], [])
    await cluster.change({ pods: new Map([[UID, undefined]]) })
    // The agent still has its cgroup, as of a pod that was deleted by force: what runs there keeps its rules until it is reported gone.
    assert.deepEqual(cluster.policies(`pod/${UID}`), ['p'])
    cluster.reconciler.setWorkloads('n1', false, [], [`pod/${UID}`])
    await cluster.reconciler.settled()
    assert.equal(cluster.policies(`pod/${UID}`), undefined)
  })

  it('has no answer for a pod\'s cgroup before somebody says whose it is, and then one', async () => {
    const cluster = await new Cluster().change({ policies: policy({ name: 'p' }) })
    cluster.reconciler.setWorkloads('n1', true, [workload('host'), workload(`pod/${UID}`, { pod_uid: UID }), workload('c1', { pod_uid: UID, container: 'c1', waiting: true })], [])
    await cluster.reconciler.settled()
    assert.deepEqual([cluster.policies(`pod/${UID}`), cluster.policies('c1')], [undefined, undefined])
    assert.ok(cluster.reconciler.isSettled('n1'))
    await cluster.change({ pods: pod(UID) })
    assert.deepEqual([cluster.policies(`pod/${UID}`), cluster.policies('c1')], [['p'], ['p']])
    // A runtime's state may say it before the API does.
    cluster.reconciler.setWorkloads('n1', false, [workload('c2', { pod_uid: 'another', labels: { app: 'web' }, namespace: 'shop' })], [])
    await cluster.reconciler.settled()
    assert.ok(cluster.policies('c2') !== undefined)
  })

  it('has nothing to say of a container whose pod is gone, and has its node leave it as it is', async () => {
    const cluster = await new Cluster().change({ policies: policy({ name: 'p' }), pods: pod(UID) })
    const running = [workload('host'), workload('c1', { pod_uid: UID, container: 'c1' })]
    cluster.reconciler.setWorkloads('n1', false, running, [])
    await cluster.reconciler.settled()
    await cluster.change({ pods: new Map([[UID, undefined]]) })
    assert.deepEqual([cluster.policies('c1'), cluster.reconciler.undecided('n1')], [['p'], []])
    // To another replica, to which the agent moves, it has always been gone.
    const other = await new Cluster().change({ policies: policy({ name: 'p' }) })
    other.reconciler.setWorkloads('n1', true, running, [])
    await other.reconciler.settled()
    assert.deepEqual([other.policies('c1'), other.reconciler.undecided('n1')], [undefined, ['c1']])
    const view = new AgentView({ generation: 0, heldTables: [] })
    const message = view.next(other.reconciler.desired('n1'), other.reconciler.isDecided('n1'), other.reconciler.undecided('n1'))
    assert.deepEqual([message?.full, message?.keep], [true, ['c1']])
  })

  it('selects a host by its node\'s name and by the host name that its label has, where they differ', async () => {
    const cluster = new Cluster()
    const nodes = new Map([['n1', { name: 'n1', labels: { 'kubernetes.io/hostname': 'ip-10-0-0-1' } }]])
    const hosts = ['n1', 'ip-10-0-0-1', 'ip-10-0-0-2'].flatMap((value) => ['kubernetes.io/hostname', 'kubearmor.io/hostname'].map((label) => [label, value] as const))
    const texts = hosts.map(([label, value], index) => JSON.stringify({ apiVersion: 'security.kubearmor.com/v1', kind: 'KubeArmorHostPolicy', metadata: { name: `h${index}` }, spec: { nodeSelector: { matchLabels: { [label]: value } }, process: { matchPaths: [{ path: '/bin/ls' }] } } }))
    await cluster.change({ nodes, policies: new Map(texts.flatMap((text) => [...policies(text)])) })
    assert.deepEqual(cluster.policies('host'), ['h0', 'h1', 'h2', 'h3'])
  })

  it('tells a node nothing of the pods of another', async () => {
    const cluster = await new Cluster().change({ policies: policy({ name: 'p' }), pods: pod(UID) })
    const stolen = workload('c1', { pod_uid: UID })
    cluster.reconciler.setWorkloads('n2', false, [stolen], [])
    await cluster.reconciler.settled()
    assert.equal(cluster.policies('c1', 'n2'), undefined)
    cluster.reconciler.setWorkloads('n1', false, [stolen], [])
    await cluster.reconciler.settled()
    assert.deepEqual(cluster.policies('c1'), ['p'])
    // A kubelet may have heard of a binding before we have.
    await cluster.change({ pods: pod('early', { node: '' }) })
    cluster.reconciler.setWorkloads('n2', false, [workload('c2', { pod_uid: 'early' })], [])
    await cluster.reconciler.settled()
    assert.deepEqual(cluster.policies('c2', 'n2'), ['p'])
  })

  it('says which nodes have left the API, with or without an agent, once each', async () => {
    const cluster = await new Cluster().change({ nodes: new Map(['n1', 'n3'].map((name) => [name, { name, labels: {} }])) })
    await cluster.change({ nodes: new Map([['n1', undefined], ['n3', undefined]]) })
    await cluster.change({ policies: policy({ name: 'p' }) })
    assert.deepEqual(cluster.gone, ['n1', 'n3'])
  })

  it('forgets a node that is gone, also where its end came before its agent', async () => {
    const gone = new Map([['n1', undefined]])
    const early = await new Cluster().change({ nodes: new Map([['n1', { name: 'n1', labels: {} }]]) })
    await early.change({ nodes: gone })
    assert.ok(early.reconciler.nodes.has('n1'))
    early.reconciler.leave('n1')
    assert.ok(!early.reconciler.nodes.has('n1'))
    early.reconciler.setNode({ node: 'n1', labels: {} })
    early.reconciler.leave('n1')
    assert.ok(!early.reconciler.nodes.has('n1'))
    // Of a directory nobody hears of nodes: what was last known of one that is away stays.
    const alone = new Cluster()
    alone.reconciler.leave('n1')
    assert.ok(alone.reconciler.nodes.has('n1'))
  })

  it('knows a container by the id that the pod says, and so its name', async () => {
    const cluster = await new Cluster().change({ pods: pod(UID, { containers: [{ name: 'a', image: 'x', id: 'c1' }, { name: 'b', image: 'y', id: 'c2' }] }) })
    cluster.reconciler.setWorkloads('n1', false, [workload('c2', { pod_uid: UID })], [])
    await cluster.reconciler.settled()
    const identity = cluster.reconciler.desired('n1').get('c2')?.identity
    assert.deepEqual([identity?.container, identity?.image, identity?.labels], ['b', 'y', 'app=web'])
  })

  it('asks a change of one pod of that pod only, and notifies its node only', async () => {
    const pods = new Map(Array.from({ length: 50 }, (_, index) => [...pod(`u${index}`, { node: index % 2 === 0 ? 'n1' : 'n2' })][0]!))
    const cluster = await new Cluster().change({ pods, policies: new Map([...policy({ name: 'p' }), ...policy({ name: 'q', app: 'db' })]) })
    cluster.reset()
    await cluster.change({ pods: pod('u1', { node: 'n2', labels: { app: 'db' } }) })
    assert.deepEqual(cluster.policies('pod/u1', 'n2'), ['q'])
    assert.equal(cluster.selections, 2)
    assert.equal(cluster.reconciler.decider.done.plans, 1)
    assert.deepEqual(cluster.notified, ['n2'])
  })

  it('asks a changed policy only, plans once, and notifies the nodes that it concerns', async () => {
    const pods = new Map([...pod('u1'), ...pod('u2'), ...pod('u3', { node: 'n2', labels: { app: 'db' } })])
    const cluster = await new Cluster().change({ pods, policies: new Map([...policy({ name: 'p' }), ...policy({ name: 'q', app: 'db' })]) })
    cluster.reset()
    await cluster.change({ policies: policy({ name: 'p', path: '/bin/other' }) })
    assert.deepEqual([cluster.notified, cluster.reconciler.decider.done], [['n1'], { plans: 1, compiles: 1 }])
    assert.deepEqual(cluster.policies('pod/u1'), ['p'])
    await cluster.change({ policies: policy({ name: 'p', app: 'db' }) })
    assert.deepEqual([cluster.policies('pod/u1'), cluster.policies('pod/u3', 'n2')], [[], ['p', 'q']])
    await cluster.change({ policies: new Map([['KubeArmorPolicy/default/p', undefined]]) })
    assert.deepEqual([cluster.policies('pod/u1'), cluster.policies('pod/u3', 'n2')], [[], ['q']])
  })

  it('takes a thousand policies at once, with one plan for identical pods', async () => {
    const pods = new Map(Array.from({ length: 100 }, (_, index) => [...pod(`u${index}`)][0]!))
    const cluster = await new Cluster().change({ pods })
    cluster.reset()
    const many = policies(Array.from({ length: 1000 }, (_, index) => policyText({ name: `p${index}`, path: `/bin/p${index}` })).join(''))
    await cluster.change({ policies: many })
    assert.equal(cluster.policies('pod/u99')?.length, 1000)
    assert.deepEqual(cluster.reconciler.decider.done, { plans: 1, compiles: 1 })
  })

  it('follows postures: the namespace\'s before the cluster\'s, both while they change', async () => {
    const cluster = await new Cluster().change({ pods: pod(UID), policies: policy({ name: 'p', action: 'Allow' }) })
    const verdict = (): string | undefined => cluster.reconciler.desired('n1').get(`pod/${UID}`)?.profile.clauses.at(-2 * SECTIONS.length)?.action
    assert.equal(verdict(), 'Audit')
    await cluster.change({ settings: { postures: { filePosture: 'block' }, hostPostures: { filePosture: 'audit' } } })
    assert.equal(verdict(), 'Block')
    await cluster.change({ namespaces: new Map([['default', { name: 'default', filePosture: 'audit' }]]) })
    assert.equal(verdict(), 'Audit')
    await cluster.change({ namespaces: new Map([['default', undefined]]) })
    assert.equal(verdict(), 'Block')
  })

  it('leaves policies out for a pod that is switched off, and audits for one that is to be audited', async () => {
    const cluster = await new Cluster().change({ pods: pod(UID, { policy: 'disabled' }), policies: policy({ name: 'p' }) })
    const profile = (): { table: string; action: string | undefined } => {
      const desired = cluster.reconciler.desired('n1').get(`pod/${UID}`)?.profile
      return { table: desired?.tableHash ?? '', action: desired?.clauses[0]?.action ?? undefined }
    }
    assert.equal(profile().table, '')
    await cluster.change({ pods: pod(UID, { policy: 'audited' }) })
    const audited = profile()
    await cluster.change({ pods: pod(UID) })
    assert.deepEqual([audited.action, profile().action], ['Block', 'Block'])
    assert.notEqual(audited.table, profile().table)
  })

  for (const [source, read] of SOURCES) {
    it(`follows the mode of a policy from ${source}, as a field and as an annotation that goes before it`, async () => {
      const cluster = await new Cluster().change({ pods: pod(UID) })
      const modes = [{}, { field: 'Audit' }, { field: 'Off' }, { field: 'Enforce' }, { annotation: 'Audit' }, { field: 'Audit', annotation: 'Enforce' }, { annotation: 'Off' }]
      const verdicts: string[] = []
      for (const mode of modes) {
        await cluster.change({ policies: read(mode) })
        const table = cluster.reconciler.desired('n1').get(`pod/${UID}`)?.profile.table ?? new Uint8Array()
        verdicts.push(table.length === 0 ? 'no rules' : openTable(table).decide({ operation: 'exec', owner: true, path: Buffer.from('/bin/ls'), sources: [] }).verdict)
      }
      assert.deepEqual(verdicts, ['Block', 'Audit', 'no rules', 'Block', 'Audit', 'Block', 'no rules'])
    })
  }

  it('selects hosts by the labels that the API gives their nodes, and switches them off by annotation', async () => {
    const hosts = policies(hostPolicyText('h', 'zone: a'))
    const node = (parts: object): Change => ({ nodes: new Map([['n1', { name: 'n1', labels: { zone: 'a' }, policy: 'enabled', ...parts }]]) })
    const cluster = await new Cluster().change({ policies: hosts })
    assert.deepEqual(cluster.policies('host'), [])
    await cluster.change(node({}))
    assert.deepEqual([cluster.policies('host'), cluster.policies('host', 'n2')], [['h'], []])
    await cluster.change(node({ policy: 'disabled' }))
    assert.equal(cluster.reconciler.desired('n1').get('host')?.profile.tableHash, '')
    await cluster.change(node({ labels: {} }))
    assert.deepEqual(cluster.policies('host'), [])
  })

  it('compiles elsewhere what would take long, keeps the table until then, and goes on with the rest', async () => {
    const waiting: ((compiled: Compiled) => void)[] = []
    const cluster = new Cluster({ compileElsewhere: () => new Promise((resolve) => waiting.push(resolve)) })
    await cluster.change({ pods: new Map([...pod(UID), ...pod('other', { labels: { app: 'db' } })]), policies: policy({ name: 'p' }) })
    const table = (id: string): string | undefined => cluster.reconciler.desired('n1').get(id)?.profile.tableHash
    const before = table(`pod/${UID}`)
    const long = policies(policyText({ name: 'p' }).replace('{path: /bin/ls}', Array.from({ length: 500 }, (_, index) => `{path: /bin/p${index}}`).join(', ')))
    await cluster.change({ policies: new Map([...long, ...policy({ name: 'q', app: 'db' })]) })
    assert.deepEqual([table(`pod/${UID}`) === before, cluster.policies('pod/other'), cluster.reconciler.isSettled('n1'), waiting.length], [true, ['q'], false, 1])
    waiting[0]?.({ ok: true, table: new Uint8Array([1]), hash: 'ab' })
    await new Promise((resolve) => setImmediate(resolve))
    await cluster.reconciler.settled()
    assert.deepEqual([table(`pod/${UID}`), cluster.reconciler.isSettled('n1')], ['ab', true])
  })
})

describe('a workload whose switch says audited', () => {
  it('has an Audit in place of every Block, and keeps who decides', () => {
    const [only] = policy({ name: 'p' }).values()
    const web = { host: false, namespace: 'default', pod: 'x', container: '', labels: { app: 'web' } }
    const plan = policyLibrary.makePlan([only!], web, { filePosture: 'block' })
    const soft = policyLibrary.makePlan([only!], { ...web, policy: 'audited' }, { filePosture: 'block' })
    assert.deepEqual([plan.clauses[0]?.verdict, soft.clauses[0]?.verdict], ['Block', 'Audit'])
    assert.equal(soft.clauses[0]?.origin.action, 'Block')
    assert.equal(soft.undecidable.process.verdict, 'Audit')
  })
})
