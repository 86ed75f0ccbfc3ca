// SPDX-License-Identifier: Apache-2.0
// The operator with the rights of charts/merlon/files/rbac.yaml and no others, and the guard rails of admission.yaml.
import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { parse, parseAllDocuments, stringify } from 'yaml'
import type { KubeApi } from '../../operator/kube/api.ts'
import { rightOf, rulesOf, type Right, type Rule } from '../../operator/kube/rights.ts'
import { KubeClient, sharedCluster, type KubeError, type KubeObject, type SharedCluster } from '../support/cluster.ts'
import { TREE } from '../support/vm/guest.ts'
import { condition, ensure, installResources, NAMESPACE, pod, POLICIES, policy, statusOf, TestOperator, until } from './support/operator.ts'

const FILE = join(TREE, 'charts/merlon/files/rbac.yaml')
const RBAC = '/apis/rbac.authorization.k8s.io/v1'
const KSP = `${POLICIES}/namespaces/rights/kubearmorpolicies`

interface Rights {
  readonly clusterRules: readonly Rule[]
  readonly namespaceRules: readonly Rule[]
}

const HEADER = `# SPDX-License-Identifier: Apache-2.0
# What the operator may do in the API, cluster-wide and in its own namespace: written by test/cluster/rights.test.ts (UPDATE=1) from what it
# does. Its identities (Secret, token reviews) are not among it.
`;

let cluster: SharedCluster
let client: KubeClient
let directory: string

before(async () => {
  cluster = await sharedCluster()
  client = cluster.client
  directory = await mkdtemp(join(tmpdir(), 'merlon-rights-'))
  await installResources(client)
  await ensure(client, '/api/v1/namespaces', { metadata: { name: 'rights' } })
  await ensure(client, '/api/v1/nodes', { metadata: { name: 'n1' } })
})

after(async () => {
  await client.delete(KSP)
  await client.send('DELETE', '/api/v1/namespaces/rights/pods', { gracePeriodSeconds: 0 })
  await client.delete('/api/v1/nodes/n1')
  await rm(directory, { recursive: true, force: true })
  await cluster.stop()
})

/** A kubeconfig of a new service account, and a client with its token. */
async function account(name: string): Promise<{ readonly kubeconfig: string; readonly client: KubeClient }> {
  await ensure(client, `/api/v1/namespaces/${NAMESPACE}/serviceaccounts`, { metadata: { name } })
  const answer = await client.create(`/api/v1/namespaces/${NAMESPACE}/serviceaccounts/${name}/token`, { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenRequest', spec: {} })
  const { token } = answer['status'] as { token: string }
  const kubeconfig = join(directory, `kubeconfig-${name}`)
  const config = JSON.parse(readFileSync(cluster.kubeconfig, 'utf8')) as { users: { user: { token: string } }[] }
  for (const { user } of config.users) user.token = token
  writeFileSync(kubeconfig, JSON.stringify(config))
  return { kubeconfig, client: new KubeClient(client.server, { ...client.trust, token }) }
}

/** What is asked for through it. */
function recorder(rights: Right[]): (real: KubeApi) => KubeApi {
  const note = (right: Right | undefined): void => { if (right) rights.push(right) }
  return (real) => ({
    call: (call) => {
      note(rightOf(call, NAMESPACE))
      return real.call(call)
    },
    watch: (call) => {
      note(rightOf({ method: 'GET', path: `${call.path}?${new URLSearchParams(Object.entries(call.query).map(([key, value]): [string, string] => [key, String(value)])).toString()}` }, NAMESPACE, true))
      return real.watch(call)
    },
  })
}

async function grant(name: string, { clusterRules, namespaceRules }: Rights): Promise<void> {
  const subjects = [{ kind: 'ServiceAccount', name, namespace: NAMESPACE }]
  const home = `${RBAC}/namespaces/${NAMESPACE}`
  const role = (kind: string, rules: readonly Rule[]): KubeObject => ({ apiVersion: 'rbac.authorization.k8s.io/v1', kind, metadata: { name }, rules })
  const binding = (kind: string, to: string): KubeObject => ({ apiVersion: 'rbac.authorization.k8s.io/v1', kind, metadata: { name }, subjects, roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: to, name } })
  await client.apply(`${RBAC}/clusterroles/${name}`, role('ClusterRole', clusterRules))
  await client.apply(`${RBAC}/clusterrolebindings/${name}`, binding('ClusterRoleBinding', 'ClusterRole'))
  await client.apply(`${home}/roles/${name}`, role('Role', namespaceRules))
  await client.apply(`${home}/rolebindings/${name}`, binding('RoleBinding', 'Role'))
}

/** Everything that the operator does in an API: lists, watches, election, statuses of every kind, Events. */
async function exercise(operator: TestOperator): Promise<void> {
  await operator.start()
  await operator.agent('n1')
  await client.create('/api/v1/namespaces/rights/pods', pod('web', { namespace: 'rights', labels: { app: 'web' }, node: 'n1' }))
  await client.create(KSP, policy('web', { namespace: 'rights' }))
  const wide = { kubearmorclusterpolicies: 'KubeArmorClusterPolicy', kubearmorhostpolicies: 'KubeArmorHostPolicy' }
  for (const [plural, kind] of Object.entries(wide)) await client.create(`${POLICIES}/${plural}`, policy('wide', { kind }))
  const network = { apiVersion: 'security.kubearmor.com/v1', kind: 'KubeArmorNetworkPolicy', metadata: { name: 'wide' }, spec: { nodeSelector: { matchLabels: { a: 'b' } }, ingress: [{ from: [{ ipBlock: { cidr: '10.0.0.0/8' } }] }], action: 'Audit' } }
  await client.create(`${POLICIES}/kubearmornetworkpolicies`, network)
  const config = `/apis/operator.kubearmor.com/v1/namespaces/${NAMESPACE}/kubearmorconfigs`
  await client.create(config, { apiVersion: 'operator.kubearmor.com/v1', kind: 'KubeArmorConfig', metadata: { name: 'rights' }, spec: {} })
  const objects = [`${KSP}/web`, ...[...Object.keys(wide), 'kubearmornetworkpolicies'].map((plural) => `${POLICIES}/${plural}/wide`)]
  for (const path of objects) await until(`${path} has a status`, async () => condition(await statusOf(client, path), 'Accepted') !== '')
  await until('the KubeArmorConfig has a phase', async () => (await statusOf(client, `${config}/rights`))['phase'] === 'Running')
  await until('an Event was written', () => operator.kubernetes.status.done.events > 0)
  await until('the lease was renewed', () => operator.kubernetes.election.leads)
  for (const path of [...objects, `${config}/rights`]) await client.delete(path)
  await client.send('DELETE', '/api/v1/namespaces/rights/pods', { gracePeriodSeconds: 0 })
}

describe('rights of the operator', () => {
  it('are those of the file, and with them alone it does all that it does', async () => {
    const rights: Right[] = []
    const isUpdate = process.env['UPDATE'] === '1'
    const wanted = isUpdate ? { clusterRules: [{ apiGroups: ['*'], resources: ['*'], verbs: ['*'] }], namespaceRules: [] } : (parse(readFileSync(FILE, 'utf8')) as Rights)
    await client.send('DELETE', `/apis/coordination.k8s.io/v1/namespaces/${NAMESPACE}/leases`)
    const { kubeconfig } = await account('operator')
    await grant('operator', wanted)
    const operator = new TestOperator(cluster, { kubeconfig, api: recorder(rights) })
    await exercise(operator)
    const follower = await new TestOperator(cluster, { kubeconfig, api: recorder(rights) }).start()
    await follower.agent('n1')
    await until('a report was written', () => rights.some(({ resource, verb }) => resource === 'configmaps' && verb === 'patch'))
    await follower.stop()
    assert.ok(rights.some(({ resource, verb }) => resource === 'configmaps' && verb === 'delete'), 'the report was accepted, and removed at the end')
    await new Promise((resolve) => setTimeout(resolve, 700))
    await operator.stop()
    const asked = { clusterRules: rulesOf(rights, ''), namespaceRules: rulesOf(rights, NAMESPACE) }
    if (isUpdate) writeFileSync(FILE, HEADER + stringify(asked))
    else assert.deepEqual(asked, wanted)
    const refused = operator.log.filter(({ fields }) => /forbidden/i.test(JSON.stringify(fields)))
    assert.deepEqual(refused.map(({ message, fields }) => [message, fields['reason']]), [])
  })
})

describe('guard rails', () => {
  before(async () => {
    for (const document of parseAllDocuments(readFileSync(join(TREE, 'charts/merlon/files/admission.yaml'), 'utf8'))) {
      const object = document.toJS() as KubeObject
      await client.apply(`/apis/admissionregistration.k8s.io/v1/${object.kind === 'ValidatingAdmissionPolicy' ? 'validatingadmissionpolicies' : 'validatingadmissionpolicybindings'}/${object.metadata?.name}`, object)
    }
    // The server takes a moment to load them.
    await until('they are in force', async () => !(await accepts(system({}))))
  })

  after(async () => {
    for (const name of ['merlon-system-namespaces', 'merlon-cluster-wide']) {
      for (const plural of ['validatingadmissionpolicybindings', 'validatingadmissionpolicies']) await client.delete(`/apis/admissionregistration.k8s.io/v1/${plural}/${name}`)
    }
    await until('they are gone', () => accepts(system({})))
  })

  const system = (parts: { readonly spec?: Record<string, unknown>; readonly action?: string; readonly labels?: Record<string, string> }): KubeObject => {
    const object = policy('guard', { namespace: 'kube-system', action: parts.action ?? 'Block', spec: parts.spec ?? {} })
    return { ...object, metadata: { ...object.metadata, labels: parts.labels ?? {} } }
  }

  async function accepts(object: KubeObject, by = client): Promise<boolean> {
    const { namespace } = object.metadata ?? {}
    const plural = object.kind === 'KubeArmorPolicy' ? 'kubearmorpolicies' : 'kubearmorhostpolicies'
    try {
      await by.create(`${POLICIES}/${namespace === undefined ? '' : `namespaces/${namespace}/`}${plural}?dryRun=All`, object)
      return true
    } catch (error) {
      if ((error as KubeError).code === 403 || (error as KubeError).code === 422) return false
      throw error
    }
  }

  it('refuse policies that block in a namespace of the system, unless they are labelled', async () => {
    assert.equal(await accepts(system({ action: 'Allow' })), false)
    assert.equal(await accepts(system({ labels: { 'merlon.io/system': 'allow' } })), true)
    assert.equal(await accepts(system({ action: 'Audit' })), true)
    assert.equal(await accepts(system({ spec: { mode: 'Audit' } })), true)
    assert.equal(await accepts(system({ action: 'Audit', spec: { file: { matchPaths: [{ path: '/etc/x', action: 'Block' }] } } })), false)
    assert.equal(await accepts(system({ action: 'Audit', spec: { process: { action: 'Block', matchPaths: [{ path: '/bin/x' }] } } })), false)
    assert.equal(await accepts(policy('free', { namespace: 'rights' })), true)
  })

  it('leave policies of hosts to those who have the verb "enforce"', async () => {
    const writer = await account('writer')
    const rule = (verbs: string[]): Rights => ({ clusterRules: [{ apiGroups: ['security.kubearmor.com'], resources: ['kubearmorhostpolicies'], verbs }], namespaceRules: [] })
    const host = policy('guard', { kind: 'KubeArmorHostPolicy' })
    await grant('writer', rule(['create']))
    assert.equal(await accepts(host, writer.client), false)
    await grant('writer', rule(['create', 'enforce']))
    await until('the right is known', () => accepts(host, writer.client))
  })
})
