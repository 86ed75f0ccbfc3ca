// SPDX-License-Identifier: Apache-2.0
// The chart, rendered by helm itself: compared with what was looked over (UPDATE=1 writes it anew), and offered to a real API server, which takes no
// field that it does not know.
import assert from 'node:assert/strict'
import { globSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { parseAllDocuments } from 'yaml'
import { sharedCluster, type KubeObject, type SharedCluster } from '../support/cluster.ts'
import { helm, render } from '../support/kube/helm.ts'
import { TREE } from '../support/vm/guest.ts'

const CHART = join(TREE, 'charts/merlon')
const GOLDEN = join(import.meta.dirname, 'golden/chart')
const CASES = globSync('ci/*-values.yaml', { cwd: CHART }).map((path) => basename(path, '-values.yaml')).toSorted()

interface Workload extends KubeObject {
  readonly spec: { readonly template: { readonly metadata: { readonly labels: Record<string, string> }; readonly spec: PodSpec } }
}

interface PodSpec {
  readonly automountServiceAccountToken?: boolean
  readonly containers: readonly {
    readonly name: string
    readonly args: readonly string[]
    readonly ports: readonly { readonly name: string; readonly containerPort: number }[]
    readonly securityContext: { readonly privileged?: boolean; readonly allowPrivilegeEscalation: boolean; readonly readOnlyRootFilesystem: boolean; readonly runAsNonRoot?: boolean; readonly capabilities: { readonly drop: readonly string[]; readonly add?: readonly string[] } }
  }[]
}

async function rendered(name: string): Promise<{ text: string; objects: KubeObject[] }> {
  const { ok, text } = await render(CHART, '--values', join(CHART, `ci/${name}-values.yaml`))
  assert.ok(ok, text)
  return { text, objects: parseAllDocuments(text).map((document) => document.toJS() as KubeObject | null).filter((object) => object !== null) }
}

function find<T extends KubeObject>(objects: readonly KubeObject[], kind: string, name: string): T {
  const found = objects.find((object) => object.kind === kind && object.metadata?.name === name)
  assert.ok(found, `there is no ${kind} ${name}`)
  return found as T
}

describe('charts/merlon', { timeout: 1_800_000 }, () => {
  it('is lint clean, with every set of values', async () => {
    for (const name of CASES) {
      const { ok, text } = await helm('lint', '--strict', CHART, '--values', join(CHART, `ci/${name}-values.yaml`))
      assert.ok(ok, text)
    }
  })

  it('renders what was looked over', async () => {
    mkdirSync(GOLDEN, { recursive: true })
    for (const name of CASES) {
      const path = join(GOLDEN, `${name}.yaml`)
      const { text } = await rendered(name)
      if (process.env['UPDATE']) writeFileSync(path, text)
      assert.equal(text, readFileSync(path, 'utf8'), `${name}: look at what has changed, then UPDATE=1`)
    }
  })

  it('has the custom resources of crds/', () => {
    const ours = globSync('*.yaml', { cwd: join(TREE, 'crds') }).toSorted()
    assert.deepEqual(globSync('*.yaml', { cwd: join(CHART, 'crds') }).toSorted(), ours)
    for (const name of ours) assert.equal(readFileSync(join(CHART, 'crds', name), 'utf8'), readFileSync(join(TREE, 'crds', name), 'utf8'), `${name}: cp crds/*.yaml charts/merlon/crds/`)
  })

  it('refuses values that it does not know or cannot use', async () => {
    // Where the schema says that it is wrong; a key that is not known is named at what holds it.
    const wrong: readonly (readonly [values: string, said: string])[] = [
      ['defaultPosture=deny', '/defaultPosture'], ['agent.unbound=maybe', '/agent/unbound'], ['clusterName=', '/clusterName'], ['tls.enabled=false,tls.feeder=true', '/tls/enabled'],
      ['operator.replicas=0', '/operator/replicas'], ['operator.replicas=-1', '/operator/replicas'], ['relay.replicas=many', '/relay/replicas'], ['relay.queue=0', '/relay/queue'], ['operator.extraArgs=x', '/operator/extraArgs'],
      ['agent.maxUnavailable=some', '/agent/maxUnavailable'], ['agent.maxUnavailable=0', '/agent/maxUnavailable'], ['agent.maxUnavailable=0%', '/agent/maxUnavailable'], ['agent.maxUnavailable=101%', '/agent/maxUnavailable'],
      ['image.agent.digest=sha256:12', '/image/agent/digest'], ['image.agent.repository=', '/image/agent/repository'], ['image.agent.repository=reg:5000/merlon-agent:1.0', '/image/agent/repository'], ['image.operator.tag=a:b', '/image/operator/tag'],
      ['serviceMonitor.interval=often', '/serviceMonitor/interval'], ['operator.podLabels.kubearmor-app=x', '/operator/podLabels/kubearmor-app'], ['serviceMonitor.labels.kubearmor-app=x', '/serviceMonitor/labels/kubearmor-app'], ['podMonitor.labels.kubearmor-app=x', '/podMonitor/labels/kubearmor-app'], ['config.defaultFilePosture=deny', '/config/defaultFilePosture'], ['guardRails.enabled=yes', '/guardRails/enabled'],
      ...['', 'image', 'image.agent', 'tls', 'operator', 'agent', 'relay', 'config', 'guardRails', 'serviceMonitor', 'podMonitor'].map((level) => [`${level === '' ? '' : `${level}.`}mispelt=1`, `'/${level.replace('.', '/')}': additional properties 'mispelt' not allowed`.replace("'/'", "''")] as const),
    ]
    for (const [values, said] of wrong) {
      const { ok, text } = await render(CHART, '--set', values)
      assert.ok(!ok && /values don't meet the specifications of the schema/.test(text) && text.includes(said), `${values}: ${text.slice(0, 300)}`)
    }
  })

  it('takes what the schema must not be too strict for', async () => {
    for (const values of ['image.agent.repository=reg:5000/team/merlon-agent', 'agent.maxUnavailable=100%', 'agent.maxUnavailable=3', 'image.agent.tag=v1.2_3-x', 'global.anything=1', 'config.untrackedNs=kube-system\\,kubearmor', 'operator.resources.limits.cpu=1']) {
      const { ok, text } = await render(CHART, '--set', values)
      assert.ok(ok, `${values}: ${text.slice(0, 300)}`)
    }
  })

  it('quotes what people write', async () => {
    const { ok, text } = await render(CHART, '--set-string', 'clusterName=a: b # "c"\\,', '--set', 'agent.extraArgs[0]=--node-label=a=b: c')
    assert.ok(ok, text)
    const agent = parseAllDocuments(text).map((document) => document.toJS() as Workload | null).find((object) => object?.kind === 'DaemonSet')
    const args = agent?.spec.template.spec.containers[0]?.args ?? []
    assert.ok(args.includes('--cluster=a: b # "c",'), args.join('\n'))
    assert.ok(args.includes('--node-label=a=b: c'))
  })

  it('writes numbers into kubearmor-config as people write them, and leaves its own namespace alone', async () => {
    const settings = async (...args: string[]): Promise<Record<string, string> | undefined> => {
      const { ok, text } = await render(CHART, '--set', 'config.maxAlertPerSec=1000000', ...args)
      assert.ok(ok, text)
      const objects = parseAllDocuments(text).map((document) => document.toJS() as KubeObject | null)
      return objects.find((object) => object?.kind === 'ConfigMap' && object.metadata?.name === 'kubearmor-config')?.['data'] as Record<string, string> | undefined
    }
    const usual = await settings()
    assert.deepEqual([usual?.['maxAlertPerSec'], usual?.['untrackedNs']], ['1000000', undefined])
    assert.equal((await settings('--namespace', 'security'))?.['untrackedNs'], 'kube-system,kubearmor,security')
    assert.equal((await settings('--namespace', 'security', '--set', 'config.untrackedNs=mine'))?.['untrackedNs'], 'mine')
  })

  it('has what KubeArmor\'s clients look for', async () => {
    const { objects } = await rendered('everything')
    const agent = find<Workload>(objects, 'DaemonSet', 'kubearmor')
    const relay = find<Workload>(objects, 'Deployment', 'kubearmor-relay')
    const service = find<KubeObject & { spec: { selector: Record<string, string>; ports: { port: number }[] } }>(objects, 'Service', 'kubearmor')
    const label = (object: KubeObject): unknown => (object.metadata?.['labels'] as Record<string, string> | undefined)?.['kubearmor-app']
    const podLabel = (object: Workload): unknown => object.spec.template.metadata.labels['kubearmor-app']
    assert.deepEqual([label(agent), podLabel(agent), agent.spec.template.spec.containers[0]?.name], ['kubearmor', 'kubearmor', 'kubearmor'])
    assert.ok(agent.spec.template.spec.containers[0]?.ports.some(({ containerPort }) => containerPort === 32766))
    assert.deepEqual([label(relay), podLabel(relay), relay.spec.template.spec.containers[0]?.name], ['kubearmor-relay', 'kubearmor-relay', 'kubearmor-relay-server'])
    assert.ok(relay.spec.template.spec.containers[0]?.ports.some(({ containerPort }) => containerPort === 32767))
    assert.deepEqual([label(service), service.spec.selector, service.spec.ports.map(({ port }) => port)], ['kubearmor-relay', { 'kubearmor-app': 'kubearmor-relay' }, [32767]])
    assert.equal(label(find(objects, 'ConfigMap', 'kubearmor-config')), 'kubearmor-configmap')
    for (const object of objects.filter(({ metadata }) => metadata?.namespace !== undefined)) assert.equal(object.metadata?.namespace, 'kubearmor')
  })

  it('gives no container more than it needs', async () => {
    for (const name of CASES) {
      const { text, objects } = await rendered(name)
      assert.ok(!text.includes('privileged: true'))
      for (const { kind, spec } of objects.filter((object): object is Workload => object.kind === 'Deployment' || object.kind === 'DaemonSet')) {
        const held = spec.template.spec.containers.map(({ securityContext: { allowPrivilegeEscalation, readOnlyRootFilesystem, capabilities, runAsNonRoot } }) =>
          ({ allowPrivilegeEscalation, readOnlyRootFilesystem, drop: capabilities.drop, ...(kind === 'Deployment' ? { runAsNonRoot, add: capabilities.add } : {}) }))
        assert.deepEqual(held, [{ allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, drop: ['ALL'], ...(kind === 'Deployment' ? { runAsNonRoot: true, add: undefined } : {}) }])
        if (kind === 'DaemonSet') assert.deepEqual(spec.template.spec.containers[0]?.securityContext.capabilities.add, ['BPF', 'PERFMON', 'SYS_ADMIN', 'SYS_PTRACE', 'SYS_RESOURCE', 'KILL', 'DAC_OVERRIDE'])
        // Only the operator talks to the API.
        const talks = spec.template.metadata.labels['app.kubernetes.io/component'] === 'operator'
        assert.equal(spec.template.spec.automountServiceAccountToken, talks ? undefined : false)
      }
    }
  })

  it('asks for plaintext only where it is told to', async () => {
    const argsOf = async (name: string): Promise<string[]> => (await rendered(name)).objects.filter((object): object is Workload => 'template' in (object['spec'] as object | undefined ?? {})).flatMap(({ spec }) => spec.template.spec.containers.flatMap(({ args }) => args))
    assert.equal((await argsOf('default')).filter((arg) => arg === '--plaintext').length, 0)
    assert.equal((await argsOf('plaintext')).filter((arg) => arg === '--plaintext').length, 2)
    assert.ok((await argsOf('everything')).includes('--feeder-tls'))
  })
})

/** Where an object is kept, which the server is asked for. */
async function pathOf(client: SharedCluster['client'], { apiVersion, kind, metadata }: KubeObject): Promise<string> {
  const api = apiVersion === 'v1' ? '/api/v1' : `/apis/${apiVersion}`
  const resources = (await client.get(api))['resources'] as { kind: string; name: string }[]
  const plural = resources.find((resource) => resource.kind === kind && !resource.name.includes('/'))?.name
  assert.ok(plural, `${api} has no ${kind}`)
  return `${api}${metadata?.namespace ? `/namespaces/${metadata.namespace}` : ''}/${plural}/${metadata?.name}`
}

describe('charts/merlon and a real API server', { timeout: 1_800_000 }, () => {
  let cluster: SharedCluster
  before(async () => { cluster = await sharedCluster() })
  after(() => cluster.stop())

  it('takes every object, and drops no field of any', async () => {
    const { client } = cluster
    if ((await client.find('/api/v1/namespaces/kubearmor')) === undefined) await client.create('/api/v1/namespaces', { metadata: { name: 'kubearmor' } })
    const objects = (await Promise.all(CASES.map((name) => rendered(name)))).flatMap((each) => each.objects)
    // Prometheus's own resources are not there.
    for (const object of objects.filter(({ apiVersion }) => !apiVersion?.startsWith('monitoring.'))) {
      await client.send('PATCH', `${await pathOf(client, object)}?fieldManager=chart&force=true&dryRun=All&fieldValidation=Strict`, object, 'application/apply-patch+yaml')
    }
  })
})
