// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import type { TestAgent } from '../../operator/testing/agent.ts'
import { sharedCluster, type KubeClient, type KubeObject, type SharedCluster } from '../support/cluster.ts'
import { condition, ensure, installResources, NAMESPACE, pod, POLICIES, policy, statusOf, TestOperator, until } from './support/operator.ts'

const NS = 'shop'
const KSP = `${POLICIES}/namespaces/${NS}/kubearmorpolicies`
const PODS = `/api/v1/namespaces/${NS}/pods`

let cluster: SharedCluster
let client: KubeClient
let operator: TestOperator
let agent: TestAgent

before(async () => {
  cluster = await sharedCluster()
  client = cluster.client
  await installResources(client)
  await ensure(client, '/api/v1/namespaces', { metadata: { name: NS } })
  for (const name of ['n1', 'n2']) await ensure(client, '/api/v1/nodes', { metadata: { name, labels: { zone: name } } })
  operator = await new TestOperator(cluster).start()
  agent = await operator.agent('n1')
  await agent.until(() => agent.messages.some(({ full }) => full))
})

after(async () => {
  await operator.stop()
  for (const plural of ['kubearmorclusterpolicies', 'kubearmorhostpolicies']) await client.delete(`${POLICIES}/${plural}`)
  await client.delete(KSP)
  await client.send('DELETE', PODS, { gracePeriodSeconds: 0 })
  for (const name of ['n1', 'n2']) await client.delete(`/api/v1/nodes/${name}`)
  await client.delete('/api/v1/namespaces/shop')
  await cluster.stop()
})

async function createPod(name: string, parts: Partial<Parameters<typeof pod>[1]> = {}): Promise<string> {
  const created = await client.create(PODS, pod(name, { namespace: NS, labels: { app: name }, node: 'n1', ...parts }))
  return `pod/${created.metadata?.uid}`
}

const removePod = (name: string): Promise<KubeObject> => client.send('DELETE', `${PODS}/${name}`, { gracePeriodSeconds: 0 })

describe('operator on a Kubernetes API', () => {
  it('sends a bound pod\'s profile to its node before the node has seen it', async () => {
    await client.create(KSP, policy('early', { namespace: NS, labels: { app: 'early' } }))
    const id = await createPod('early')
    await agent.until(() => agent.policiesOf(id)?.includes('early') === true)
    await removePod('early')
    await agent.until(() => agent.bindings.get(id) === undefined)
    await client.delete(`${KSP}/early`)
  })

  it('sends it once the scheduler has bound the pod, and to that node', async () => {
    await client.create(KSP, policy('late', { namespace: NS, labels: { app: 'late' } }))
    const id = await createPod('late', { node: undefined as never })
    await client.create(`${PODS}/late/binding`, { apiVersion: 'v1', kind: 'Binding', metadata: { name: 'late' }, target: { apiVersion: 'v1', kind: 'Node', name: 'n1' } })
    await agent.until(() => agent.policiesOf(id)?.includes('late') === true)
    await removePod('late')
    await client.delete(`${KSP}/late`)
  })

  it('knows a container by the id that the kubelet reports, and what its pod is', async () => {
    await client.create(KSP, policy('only', { namespace: NS, labels: { app: 'two', 'kubearmor.io/container.name': '[side]' } }))
    const id = await createPod('two')
    const container = 'c'.repeat(64)
    await agent.report([{ id: container, pod_uid: id.slice(4), runtime: 'kubepods' }])
    await agent.until(() => agent.bindings.has(container))
    assert.deepEqual(agent.policiesOf(container), [])
    await client.patch(`${PODS}/two/status`, { status: { containerStatuses: [{ name: 'side', containerID: `containerd://${container}`, image: 'i', imageID: 'i', ready: true, restartCount: 0 }] } })
    // The kubelet only reports containers of the spec; the policy is for another name than the spec's, so nothing may change.
    const spec = await client.get(`${PODS}/two`)
    assert.equal((spec['status'] as { containerStatuses: unknown[] }).containerStatuses.length, 1)
    await client.patch(`${KSP}/only`, { spec: { selector: { matchLabels: { 'kubearmor.io/container.name': '[main]' } } } })
    await client.patch(`${PODS}/two/status`, { status: { containerStatuses: [{ name: 'main', containerID: `containerd://${container}`, image: 'i', imageID: 'i', ready: true, restartCount: 0 }] } })
    await agent.until(() => agent.policiesOf(container)?.includes('only') === true)
    await removePod('two')
    await client.delete(`${KSP}/only`)
  })

  it('follows labels, deletions and edits of policies', async () => {
    const id = await createPod('edit')
    await client.create(KSP, policy('edit', { namespace: NS, labels: { app: 'edit' } }))
    await agent.until(() => agent.policiesOf(id)?.includes('edit') === true)
    const first = agent.bindings.get(id)
    await client.patch(`${KSP}/edit`, { spec: { process: { matchPaths: [{ path: '/bin/cat' }] } } })
    await agent.until(() => agent.bindings.get(id) !== first)
    await client.patch(`${PODS}/edit`, { metadata: { labels: { app: 'other' } } })
    await agent.until(() => agent.policiesOf(id)?.length === 0)
    await client.patch(`${PODS}/edit`, { metadata: { labels: { app: 'edit' } } })
    await agent.until(() => agent.policiesOf(id)?.includes('edit') === true)
    await client.delete(`${KSP}/edit`)
    await agent.until(() => agent.policiesOf(id)?.length === 0)
    await removePod('edit')
  })

  it('gives a static pod its profile by the uid of its cgroup, which is not that of its mirror', async () => {
    await client.create(KSP, policy('static', { namespace: NS, labels: { app: 'static' } }))
    const hash = '0123456789abcdef0123456789abcdef'
    await createPod('static', { annotations: { 'kubernetes.io/config.mirror': hash } })
    await agent.until(() => agent.policiesOf(`pod/${hash}`)?.includes('static') === true)
    await removePod('static')
    await agent.until(() => agent.bindings.get(`pod/${hash}`) === undefined)
    await client.delete(`${KSP}/static`)
  })

  it('selects hosts by their labels in the API, and containers of all namespaces', async () => {
    await client.create(`${POLICIES}/kubearmorhostpolicies`, policy('hosts', { kind: 'KubeArmorHostPolicy', labels: { zone: 'n1' } }))
    await agent.until(() => agent.policiesOf('host')?.includes('hosts') === true)
    await client.patch('/api/v1/nodes/n1', { metadata: { annotations: { 'kubearmor-policy': 'disabled' } } })
    await agent.until(() => agent.policiesOf('host')?.length === 0)
    await client.patch('/api/v1/nodes/n1', { metadata: { annotations: { 'kubearmor-policy': null } } })
    await agent.until(() => agent.policiesOf('host')?.includes('hosts') === true)
    const id = await createPod('any')
    await client.create(`${POLICIES}/kubearmorclusterpolicies`, policy('all', { kind: 'KubeArmorClusterPolicy' }))
    await agent.until(() => agent.policiesOf(id)?.includes('all') === true)
    await client.delete(`${POLICIES}/kubearmorclusterpolicies/all`)
    await client.delete(`${POLICIES}/kubearmorhostpolicies/hosts`)
    await removePod('any')
  })

  it('follows postures: namespace annotation, then ConfigMap and KubeArmorConfig, whichever was written later', async () => {
    const id = await createPod('posture')
    await client.create(KSP, policy('allow', { namespace: NS, labels: { app: 'posture' }, action: 'Allow' }))
    const posture = (): string | undefined => agent.profiles.get(agent.bindings.get(id) ?? '')?.clauses.find(({ policy: name, text }) => name === 'DefaultPosture' && text.startsWith('process'))?.action
    const becomes = async (wanted: string): Promise<void> => { await agent.until(() => agent.policiesOf(id)?.includes('allow') === true && posture() === wanted) }
    await becomes('Audit')
    const maps = `/api/v1/namespaces/${NAMESPACE}/configmaps`
    await client.create(maps, { metadata: { name: 'kubearmor-config' }, data: { defaultFilePosture: 'block', visibility: 'none' } })
    await becomes('Block')
    await client.patch(`/api/v1/namespaces/${NS}`, { metadata: { annotations: { 'kubearmor-file-posture': 'audit' } } })
    await becomes('Audit')
    await client.patch(`/api/v1/namespaces/${NS}`, { metadata: { annotations: { 'kubearmor-file-posture': 'nonsense' } } })
    await becomes('Block')
    // Times of the API are whole seconds.
    await new Promise((resolve) => setTimeout(resolve, 1100))
    const configs = `/apis/operator.kubearmor.com/v1/namespaces/${NAMESPACE}/kubearmorconfigs`
    await client.create(configs, { apiVersion: 'operator.kubearmor.com/v1', kind: 'KubeArmorConfig', metadata: { name: 'first' }, spec: { defaultFilePosture: 'audit' } })
    await becomes('Audit')
    await new Promise((resolve) => setTimeout(resolve, 1100))
    await client.create(configs, { apiVersion: 'operator.kubearmor.com/v1', kind: 'KubeArmorConfig', metadata: { name: 'second' }, spec: { defaultFilePosture: 'block' } })
    await until('both KubeArmorConfigs have a phase', async () => {
      const [first, second] = await Promise.all(['first', 'second'].map((name) => statusOf(client, `${configs}/${name}`)))
      return first?.['phase'] === 'Running' && second?.['phase'] === 'Error' && /already manages/.test(String(second['message']))
    })
    assert.equal(posture(), 'Audit')
    await client.delete(`${configs}/first`)
    await becomes('Block')
    await until('the second one is honoured', async () => (await statusOf(client, `${configs}/second`))['phase'] === 'Running')
    await client.delete(`${configs}/second`)
    await client.delete(`${maps}/kubearmor-config`)
    await becomes('Audit')
    await client.patch(`/api/v1/namespaces/${NS}`, { metadata: { annotations: { 'kubearmor-file-posture': null } } })
    await client.delete(`${KSP}/allow`)
    await removePod('posture')
  })

  it('follows what is visible: of namespace, pod, node and settings; and says what is not recorded', async () => {
    const id = await createPod('seen')
    const becomes = async (pod: string, host: string): Promise<void> => { await agent.until(() => agent.visible.get(id)?.join() === pod && agent.visible.get('host')?.join() === host) }
    const annotate = async (path: string, visibility: string | null): Promise<void> => { await client.patch(path, { metadata: { annotations: { 'kubearmor-visibility': visibility } } }) }
    await becomes('', '')
    const maps = `/api/v1/namespaces/${NAMESPACE}/configmaps`
    await client.create(maps, { metadata: { name: 'kubearmor-config' }, data: { visibility: 'process', hostVisibility: 'file' } })
    await becomes('process', 'file')
    await annotate(`/api/v1/namespaces/${NS}`, 'process,file,network')
    await becomes('process,file,network', 'file')
    await annotate(`${PODS}/seen`, 'process,network')
    await annotate('/api/v1/nodes/n1', 'none')
    await becomes('process,network', '')
    await until('what is not recorded is said', () => operator.findings.some(({ code, position }) => code === 'MERLON_POLICY_VISIBILITY_NOT_RECORDED' && position.file.startsWith(`Namespace/${NS} `)))
    assert.equal(operator.findings.filter(({ code }) => code === 'MERLON_POLICY_VISIBILITY_NOT_RECORDED').length, 1)
    await annotate(`/api/v1/namespaces/${NS}`, null)
    await annotate('/api/v1/nodes/n1', null)
    await becomes('process', 'file')
    await client.delete(`${maps}/kubearmor-config`)
    await becomes('', '')
    await removePod('seen')
  })

  it('leaves policies out for a pod that is annotated so', async () => {
    const id = await createPod('off', { annotations: { 'kubearmor-policy': 'disabled' } })
    await client.create(KSP, policy('off', { namespace: NS, labels: { app: 'off' } }))
    await agent.until(() => agent.bindings.has(id))
    const on = await createPod('on', { labels: { app: 'off' } })
    await agent.until(() => agent.policiesOf(on)?.includes('off') === true)
    assert.deepEqual(agent.policiesOf(id), [])
    await client.patch(`${PODS}/off`, { metadata: { annotations: { 'kubearmor-policy': 'enabled' } } })
    await agent.until(() => agent.policiesOf(id)?.includes('off') === true)
    for (const name of ['off', 'on']) await removePod(name)
    await client.delete(`${KSP}/off`)
  })
})

describe('status', () => {
  it('is written whatever an agent calls its failures, and of an object that is made anew at once', async () => {
    await ensure(client, '/api/v1/nodes', { metadata: { name: 'n3' } })
    await operator.agent('n3', {}, () => ({ tables: [], errors: [{ code: 'no code - at all', message: 'x', workload: '' }] }))
    await createPod('odd', { node: 'n3' })
    const object = policy('odd', { namespace: NS, labels: { app: 'odd' } })
    for (let round = 0; round < 2; round++) {
      await client.create(KSP, object)
      await until('it has a status', async () => condition(await statusOf(client, `${KSP}/odd`), 'Programmed') === 'False MERLON_OPERATOR_UNKNOWN_FAILURE')
      await client.delete(`${KSP}/odd`)
    }
    await removePod('odd')
    await client.delete('/api/v1/nodes/n3')
  })

  it('says what is programmed where, and becomes true when the last node has acknowledged', async () => {
    await createPod('web')
    await createPod('web-2', { labels: { app: 'web' }, node: 'n2' })
    await client.create(KSP, policy('web', { namespace: NS }))
    await until('the node without an agent is told', async () => condition(await statusOf(client, `${KSP}/web`), 'Programmed') === 'False MERLON_OPERATOR_NO_AGENT')
    const partial = await statusOf(client, `${KSP}/web`)
    assert.deepEqual([partial.observedGeneration, partial['selected'], partial['applied'], condition(partial, 'Accepted')], [1, '2 pods', '1/2', 'True Accepted'])
    assert.deepEqual((partial['failures'] as { node: string }[]).map(({ node }) => node), ['n2'])
    const second = await operator.agent('n2')
    await until('all nodes hold it', async () => condition(await statusOf(client, `${KSP}/web`), 'Ready') === 'True Ready')
    const whole = await statusOf(client, `${KSP}/web`)
    assert.deepEqual([whole['status'], whole['applied'], whole['pods'], whole['rules']], ['Applied', '2/2', { selected: 2, programmed: 2 }, { total: 1, inForce: 1, unsupported: 0, shadowed: 0 }])
    // Unchanged conditions keep their times.
    const times = (status: typeof whole): unknown => status.conditions?.find(({ type }) => type === 'Accepted')?.lastTransitionTime
    assert.equal(times(whole), times(partial))
    second.close()
    for (const name of ['web', 'web-2']) await removePod(name)
    await until('it selects nothing', async () => condition(await statusOf(client, `${KSP}/web`), 'Ready') === 'True SelectsNothing')
    await client.delete(`${KSP}/web`)
  })

  it('tells a transition as an Event, once', async () => {
    await createPod('event')
    await client.create(KSP, policy('event', { namespace: NS, labels: { app: 'event' } }))
    const events = async (): Promise<string[]> => ((await client.get(`/apis/events.k8s.io/v1/namespaces/${NS}/events`))['items'] as { reason: string; regarding: { name: string }; reportingController: string }[])
      .filter(({ regarding, reportingController }) => regarding.name === 'event' && reportingController === 'merlon.io/operator').map(({ reason }) => reason)
    await until('there is an event', async () => (await events()).includes('PolicyReady'))
    await client.patch(`${KSP}/event`, { spec: { message: 'other words' } })
    await until('the new generation is observed', async () => (await statusOf(client, `${KSP}/event`)).observedGeneration === 2)
    assert.deepEqual(await events(), ['PolicyReady'])
    await removePod('event')
    await client.delete(`${KSP}/event`)
  })

  it('says why a policy cannot be used, with the field', async () => {
    await client.create(KSP, policy('wrong', { namespace: NS, spec: { file: { matchPatterns: [{ pattern: '/fine/*' }, { pattern: '/a[b' }] } } }))
    await until('it is refused', async () => condition(await statusOf(client, `${KSP}/wrong`), 'Accepted').startsWith('False MERLON_POLICY_'))
    const status = await statusOf(client, `${KSP}/wrong`)
    assert.match(status.conditions?.[0]?.message ?? '', /^spec\.file\.matchPatterns\[1\]\.pattern: /)
    assert.equal(status['status'], 'Invalid')
    await client.delete(`${KSP}/wrong`)
  })
})
