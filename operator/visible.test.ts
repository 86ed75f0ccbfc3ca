// SPDX-License-Identifier: Apache-2.0
// What is recorded of each workload follows annotations and settings, and costs no plan and no table.
import assert from 'node:assert/strict'
import { beforeEach, describe, it } from 'node:test'
import { systemClock } from '../runtime/clock.ts'
import { silentLogger } from '../runtime/log.ts'
import { combine } from './files.ts'
import { policyLibrary, type PodManifest } from './library.ts'
import { Reconciler } from './reconcile.ts'
import { AgentView } from './view.ts'
import type { Change, Settings } from './world.ts'

const UID = '11111111-1111-1111-1111-111111111111'
const POD = `pod/${UID}`
const SETTINGS: Settings = { postures: { filePosture: 'audit' }, hostPostures: { filePosture: 'audit' } }
const pod = (parts: Partial<PodManifest> = {}): ReadonlyMap<string, PodManifest> => new Map([[UID, { name: 'web', namespace: 'shop', uid: UID, labels: { app: 'web' }, containers: [], node: 'n1', ...parts }]])
const host = { id: 'host', namespace: '', pod: '', pod_uid: '', container: '', image: '', labels: {}, waiting: false }

describe('visibility', () => {
  let reconciler: Reconciler
  beforeEach(async () => {
    reconciler = new Reconciler({ library: policyLibrary, settings: SETTINGS, clock: systemClock, logger: silentLogger, onNodes: () => {} })
    reconciler.setNode({ node: 'n1', labels: {} })
    reconciler.setWorkloads('n1', true, [host], [])
    await change({ pods: pod() })
  })

  async function change(to: Change): Promise<string> {
    reconciler.change(to)
    await reconciler.settled()
    return [POD, 'host'].map((id) => reconciler.desired('n1').get(id)?.visible.join('+')).join(' ')
  }

  it('is nothing where nobody says anything', async () => {
    assert.equal(await change({}), ' ')
  })

  it('is that of the settings, of the namespace before them, narrowed by the pod', async () => {
    assert.equal(await change({ settings: { ...SETTINGS, visibility: ['process', 'network'] } }), 'process+network ')
    assert.equal(await change({ namespaces: new Map([['shop', { name: 'shop', visibility: ['file', 'process'] }]]) }), 'process+file ')
    assert.equal(await change({ pods: pod({ visibility: ['process', 'file', 'network', 'capabilities'] }) }), 'process+file ')
    assert.equal(await change({ pods: pod({ visibility: ['file'] }) }), 'file ')
    assert.equal(await change({ namespaces: new Map([['shop', { name: 'shop', visibility: [] }]]) }), ' ')
    assert.equal(await change({ namespaces: new Map([['shop', undefined]]), pods: pod() }), 'process+network ')
    assert.equal(await change({ settings: SETTINGS }), ' ')
  })

  it("of a host is its node's, before that of the settings for hosts", async () => {
    assert.equal(await change({ settings: { ...SETTINGS, visibility: ['file'], hostVisibility: ['process'] } }), 'file process')
    assert.equal(await change({ nodes: new Map([['n1', { name: 'n1', labels: {}, visibility: [] }]]) }), 'file ')
    assert.equal(await change({ nodes: new Map([['n1', { name: 'n1', labels: {}, visibility: ['process', 'file'] }]]) }), 'file process+file')
  })

  it('is nothing in namespaces that are left alone, whatever they say', async () => {
    const seen = { namespaces: new Map([['kube-system', { name: 'kube-system', visibility: ['process'] }]]) }
    assert.equal(await change({ pods: pod({ namespace: 'kube-system' }), ...seen }), ' ')
    assert.equal(await change({ settings: { ...SETTINGS, untrackedNamespaces: [] } }), 'process ')
  })

  it('is also that of a pod whose policies are switched off', async () => {
    assert.equal(await change({ pods: pod({ policy: 'disabled' }), namespaces: new Map([['shop', { name: 'shop', visibility: ['process'] }]]) }), 'process ')
  })

  it('changes live: one message, with that binding alone and no table, and nothing where it stays the same', async () => {
    await change({ policies: new Map(policyLibrary.read('apiVersion: security.kubearmor.com/v1\nkind: KubeArmorPolicy\nmetadata: {name: p, namespace: shop}\nspec: {selector: {matchLabels: {app: web}}, process: {matchPaths: [{path: /bin/ls}]}}\n', 'p.yaml').policies.map((policy) => ['KubeArmorPolicy/shop/p', policy])) })
    const view = new AgentView({ generation: 0, heldTables: [] })
    view.next(reconciler.desired('n1'), true)
    const { plans, compiles } = reconciler.decider.done
    await change({ namespaces: new Map([['shop', { name: 'shop', visibility: ['process'] }]]) })
    const message = view.next(reconciler.desired('n1'), true)
    assert.deepEqual([message?.full, message?.tables, message?.profiles, message?.bindings?.map(({ workload, visible }) => [workload, visible])], [false, [], [], [[POD, ['process']]]])
    assert.deepEqual(reconciler.decider.done, { plans, compiles })
    await change({ settings: { ...SETTINGS, visibility: ['file'] } })
    assert.equal(view.next(reconciler.desired('n1'), true), undefined)
  })

  it('is read from the files of a directory', async () => {
    const text = `apiVersion: v1
kind: Namespace
metadata: {name: shop, annotations: {kubearmor-visibility: "process, file"}}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: kubearmor-config, namespace: kubearmor}
data: {visibility: file, hostVisibility: process}
---
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop, annotations: {kubearmor-visibility: process}}
spec: {containers: [{name: main, image: i}]}
`
    const read = policyLibrary.read(text, 'f.yaml')
    reconciler.setSnapshot(combine([{ path: 'f.yaml', fingerprint: '', ...read, good: true, stale: false }]))
    reconciler.setWorkloads('n1', true, [host, { ...host, id: 'c1', namespace: 'shop', pod: 'web', container: 'main' }, { ...host, id: 'c2', namespace: 'other', pod: 'x', labels: { a: 'b' } }], [])
    await reconciler.settled()
    assert.deepEqual(['host', 'c1', 'c2'].map((id) => reconciler.desired('n1').get(id)?.visible), [['process'], ['process'], ['file']])
  })
})
