// SPDX-License-Identifier: Apache-2.0
// The chart's life by helm itself on an API server of its own: installed, upgraded, rolled back, removed, installed again; beside other releases and
// other definitions; and an operator whose definitions come after it.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { after, before, describe, it } from 'node:test'
import { Cluster, KubeError, type KubeClient, type KubeObject } from '../support/cluster.ts'
import { helm, type HelmResult } from '../support/kube/helm.ts'
import { TREE } from '../support/vm/guest.ts'
import { installResources, policy, POLICIES, until } from './support/operator.ts'

const CHART = join(TREE, 'charts/merlon')
const NS = 'kubearmor'
const CRDS = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions'
const RBAC = '/apis/rbac.authorization.k8s.io/v1'
const ADMISSION = '/apis/admissionregistration.k8s.io/v1'
const KSP = `${POLICIES}/namespaces/default/kubearmorpolicies`

let cluster: Cluster
let client: KubeClient

/** A release's helm. */
function run(command: string, ...args: readonly string[]): Promise<HelmResult> {
  return helm(command, ...args, '--kubeconfig', cluster.kubeconfig)
}

async function works(command: string, ...args: readonly string[]): Promise<string> {
  const { ok, text } = await run(command, ...args)
  assert.ok(ok, text)
  return text
}

const install = (...args: readonly string[]): Promise<string> => works('install', 'merlon', CHART, '--namespace', NS, '--create-namespace', ...args)
const upgrade = (...args: readonly string[]): Promise<string> => works('upgrade', 'merlon', CHART, '--namespace', NS, ...args)
const uninstall = (): Promise<string> => works('uninstall', 'merlon', '--namespace', NS)

/** Every kind that the chart makes in a namespace. */
const KINDS = ['/apis/apps/v1:daemonsets', '/apis/apps/v1:deployments', '/api/v1:services', '/api/v1:serviceaccounts', '/api/v1:configmaps', '/apis/policy/v1:poddisruptionbudgets',
  '/apis/rbac.authorization.k8s.io/v1:roles', '/apis/rbac.authorization.k8s.io/v1:rolebindings']

/** What is in a namespace, but for helm's own records: kind/name and the version that the server counts at each change. */
async function inside(namespace: string): Promise<Map<string, string>> {
  const found = new Map<string, string>()
  for (const kind of KINDS) {
    const [api = '', plural = ''] = kind.split(':')
    const { items } = (await client.get(`${api}/namespaces/${namespace}/${plural}`)) as { items?: KubeObject[] }
    for (const { metadata } of items ?? []) found.set(`${plural}/${metadata?.name}`, String(metadata?.['resourceVersion']))
  }
  return found
}

const dataOf = async (name: string): Promise<unknown> => (await client.get(`/api/v1/namespaces/${NS}/configmaps/${name}`))['data']
const change = (name: string, data: Record<string, string>): Promise<KubeObject> => client.patch(`/api/v1/namespaces/${NS}/configmaps/${name}`, { data })

async function guardRails(): Promise<string[]> {
  const lists = await Promise.all(['validatingadmissionpolicies', 'validatingadmissionpolicybindings'].map((plural) => client.get(`${ADMISSION}/${plural}`)))
  return lists.flatMap(({ items }) => (items as KubeObject[]).map(({ metadata }) => metadata?.name ?? '')).filter((name) => name.startsWith('merlon-'))
}

/** What changed between two looks. */
function differing(earlier: ReadonlyMap<string, string>, later: ReadonlyMap<string, string>): string[] {
  return [...new Set([...earlier.keys(), ...later.keys()])].filter((key) => earlier.get(key) !== later.get(key)).toSorted()
}

before(async () => {
  cluster = await Cluster.start()
  client = cluster.client
})
after(() => cluster.stop())

describe('an operator whose definitions are missing', { timeout: 1_800_000 }, () => {
  it('says which, and what to do; has them as soon as they come', async () => {
    const child = spawn(process.execPath, [join(TREE, 'operator/main.ts'), '--kubeconfig', cluster.kubeconfig, '--namespace', NS, '--listen', '127.0.0.1:0', '--http', '127.0.0.1:0'], { stdio: ['ignore', 'ignore', 'pipe'] })
    const ended = new Promise((resolve) => child.once('close', resolve))
    const log: Record<string, string>[] = []
    createInterface({ input: child.stderr }).on('line', (line) => log.push(JSON.parse(line) as Record<string, string>))
    try {
      const said = (message: string): string[] => log.filter((record) => record['message'] === message).map(({ resource }) => resource ?? '').toSorted()
      const all = ['kubearmorclusterpolicies.security.kubearmor.com', 'kubearmorconfigs.operator.kubearmor.com', 'kubearmorhostpolicies.security.kubearmor.com', 'kubearmornetworkpolicies.security.kubearmor.com', 'kubearmorpolicies.security.kubearmor.com']
      await until('every missing definition is named', () => said('Found a custom resource missing').length === all.length)
      assert.deepEqual(said('Found a custom resource missing'), all)
      assert.ok(log.some(({ remedy }) => remedy?.includes('kubectl apply --server-side -f crds/')))
      await until('it serves', () => log.some(({ address }) => address !== undefined))
      const { address = '' } = log.find(({ address: at }) => at !== undefined) ?? {}
      await until('it is ready', async () => (await fetch(`http://${address}/readyz`)).ok)

      await installResources(client)
      await until('it has found all of them', () => said('Found the missing custom resource').length === all.length)
      await client.create(KSP, policy('late', {}))
      await until('the policy has a status', async () => ((await client.get(`${KSP}/late`))['status'] as { conditions?: unknown[] } | undefined)?.conditions !== undefined)
      await client.delete(`${KSP}/late`)
    } finally {
      child.kill('SIGTERM')
      await ended
    }
    const names = ((await client.get(CRDS))['items'] as KubeObject[]).map(({ metadata }) => metadata?.name)
    for (const name of names) await client.delete(`${CRDS}/${name}`)
    await until('the definitions are gone', async () => ((await client.get(CRDS))['items'] as unknown[]).length === 0)
  })
})

describe('a release of the chart', { timeout: 1_800_000 }, () => {
  it('says that the definitions are missing when they are left out, and makes them when they are not', async () => {
    assert.match(await install('--skip-crds'), /WARNING: the custom resource kubearmorpolicies\.security\.kubearmor\.com is missing/)
    await uninstall()
    assert.doesNotMatch(await install(), /WARNING/)
    assert.equal(((await client.get(CRDS))['items'] as unknown[]).length, 5)
    const objects = [...(await inside(NS)).keys()]
    for (const name of ['daemonsets/kubearmor', 'deployments/kubearmor-relay', 'deployments/merlon-operator', 'services/kubearmor', 'configmaps/kubearmor-config', 'poddisruptionbudgets/merlon-operator']) assert.ok(objects.includes(name), `there is no ${name}`)
    // By these labels and ports karmor finds them.
    const found = (await client.get('/apis/apps/v1/daemonsets?labelSelector=kubearmor-app%3Dkubearmor'))['items'] as KubeObject[]
    assert.deepEqual(found.map(({ metadata }) => metadata?.name), ['kubearmor'])
    const { spec } = (await client.get(`/api/v1/namespaces/${NS}/services/kubearmor`)) as { spec?: { ports: { port: number }[]; selector: unknown } }
    assert.deepEqual([spec?.ports.map(({ port }) => port), spec?.selector], [[32767], { 'kubearmor-app': 'kubearmor-relay' }])
    assert.equal((await guardRails()).length, 4)
  })

  it('changes on an upgrade what its values changed, and nothing else', async () => {
    // As the operator makes them.
    await client.create(`/api/v1/namespaces/${NS}/secrets`, { metadata: { name: 'merlon-authority' }, type: 'Opaque', stringData: { 'tls.key': 'kept' } })
    await client.create(`/api/v1/namespaces/${NS}/configmaps`, { metadata: { name: 'merlon-ca' }, data: { 'ca.crt': 'kept' } })
    const first = await inside(NS)
    await upgrade()
    assert.deepEqual(differing(first, await inside(NS)), [])
    await upgrade('--set', 'guardRails.enabled=false,config.defaultFilePosture=block,relay.replicas=2')
    assert.deepEqual(differing(first, await inside(NS)), ['configmaps/kubearmor-config', 'deployments/kubearmor-relay'])
    assert.deepEqual(await guardRails(), [])
    await upgrade('--set', 'operator.replicas=1')
    assert.ok(!(await inside(NS)).has('poddisruptionbudgets/merlon-operator'), 'one replica cannot be kept while its node is drained')
  })

  it('sets its own keys of the ConfigMap, as NOTES say, and leaves others', async () => {
    await change('kubearmor-config', { defaultFilePosture: 'block', untrackedNs: 'mine' })
    const notes = await upgrade()
    assert.match(notes, /sets every key that the chart has in the ConfigMap kubearmor-config/)
    const data = (await dataOf('kubearmor-config')) as Record<string, string>
    assert.deepEqual([data['defaultFilePosture'], data['untrackedNs']], ['audit', 'mine'])
    await upgrade('--set', 'config.create=false')
    assert.ok(!(await inside(NS)).has('configmaps/kubearmor-config'))
  })

  it('goes back to what it was, and keeps the authority', async () => {
    const secret = await client.get(`/api/v1/namespaces/${NS}/secrets/merlon-authority`)
    await works('rollback', 'merlon', '1', '--namespace', NS)
    assert.equal((await guardRails()).length, 4)
    assert.equal(((await dataOf('kubearmor-config')) as Record<string, string>)['defaultFilePosture'], 'audit')
    assert.deepEqual(await client.get(`/api/v1/namespaces/${NS}/secrets/merlon-authority`), secret)
    assert.deepEqual(await dataOf('merlon-ca'), { 'ca.crt': 'kept' })
  })

  it('is the only one of a cluster: a second is refused by a sentence, and leaves nothing', async () => {
    for (const [name, namespace] of [['second', 'elsewhere'], ['merlon', 'elsewhere'], ['second', NS]] as const) {
      const earlier = await inside(namespace)
      const { ok, text } = await run('install', name, CHART, '--namespace', namespace, '--create-namespace')
      assert.ok(!ok)
      assert.match(text, /Merlon is installed already, as release merlon in namespace kubearmor, and there is one in a cluster: upgrade that one/)
      assert.deepEqual(differing(earlier, await inside(namespace)), [])
    }
    assert.equal((JSON.parse(await works('list', '--all-namespaces', '--all', '--output', 'json')) as unknown[]).length, 1)
  })

  it('leaves on purpose what it says that it leaves, and is installed again over it, in whatever namespace', async () => {
    await client.create(KSP, policy('kept', {}))
    await uninstall()
    assert.deepEqual([...(await inside(NS)).keys()].filter((name) => !/serviceaccounts\/default|kube-root-ca/.test(name)), ['configmaps/merlon-ca'])
    assert.deepEqual(await guardRails(), [])
    assert.equal(await client.find(`${RBAC}/clusterroles/merlon-operator`), undefined)
    const notes = await install()
    for (const left of ['custom resources', 'policies', 'merlon-authority', 'merlon-ca']) assert.ok(notes.includes(left), left)
    assert.doesNotMatch(notes, /WARNING/)
    assert.ok(await client.find(`${KSP}/kept`))
    await uninstall()
    await works('install', 'other', CHART, '--namespace', 'security', '--create-namespace')
    assert.ok((await inside('security')).has('daemonsets/kubearmor'))
    await works('uninstall', 'other', '--namespace', 'security')
  })

  it("is refused by helm, which names it, where KubeArmor's settings are still there, and leaves or takes them over as it is told", async () => {
    const configmaps = `/api/v1/namespaces/${NS}/configmaps`
    await client.create(configmaps, { metadata: { name: 'kubearmor-config' }, data: { defaultFilePosture: 'block', cluster: 'theirs' } })
    const { ok, text } = await run('install', 'merlon', CHART, '--namespace', NS)
    assert.ok(!ok)
    assert.match(text, /ConfigMap "kubearmor-config" in namespace "kubearmor" exists and cannot be imported/)
    await install('--set', 'config.create=false')
    assert.deepEqual(await dataOf('kubearmor-config'), { defaultFilePosture: 'block', cluster: 'theirs' })
    await uninstall()
    assert.deepEqual(await dataOf('kubearmor-config'), { defaultFilePosture: 'block', cluster: 'theirs' })
    await install('--take-ownership')
    assert.equal(((await dataOf('kubearmor-config')) as Record<string, string>)['defaultFilePosture'], 'audit')
    await uninstall()
  })

  it('says that definitions from elsewhere are not its own, until they are', async () => {
    // As KubeArmor's are: without what is more here.
    const path = '/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/mode'
    await client.patch(`${CRDS}/kubearmorpolicies.security.kubearmor.com`, [{ op: 'remove', path }], 'json')
    const warning = /WARNING: the custom resource (\S+) is another than this chart's/g
    assert.deepEqual([...(await install()).matchAll(warning)].map(([, name]) => name), ['kubearmorpolicies.security.kubearmor.com'])
    // What it warns of: the server says that it has taken the policy, which would block.
    const trial = (): Promise<KubeObject> => client.create(`${KSP}?dryRun=All`, policy('trial', { spec: { mode: 'Audit' } }))
    await until('the server goes by them', async () => !Object.hasOwn((await trial())['spec'] as object, 'mode'))
    await installResources(client)
    assert.doesNotMatch(await upgrade(), /WARNING/)
    await until('the server goes by ours', async () => ((await trial())['spec'] as { mode?: string }).mode === 'Audit')
  })

  it('makes guard rails that hold', async () => {
    const system = `${POLICIES}/namespaces/kube-system/kubearmorpolicies`
    const refusal = (object: KubeObject): Promise<string> => client.create(`${system}?dryRun=All`, object).then(() => '', (error: unknown) => { assert.ok(error instanceof KubeError); return error.message })
    const blocking = policy('system', { namespace: 'kube-system' })
    // The server takes a moment to load them.
    await until('they are in force', async () => (await refusal(blocking)) !== '')
    assert.match(await refusal(blocking), /in a namespace of the system needs the label merlon\.io\/system: allow/)
    assert.equal(await refusal({ ...blocking, metadata: { name: 'system', namespace: 'kube-system', labels: { 'merlon.io/system': 'allow' } } }), '')
  })
})
