// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { identify as identifyFound, labelText, podOf, type Identified, type NodeFacts, type ReportedWorkload } from './identity.ts'
import type { PodManifest } from './library.ts'

const FACTS = { node: 'n1', labels: { zone: 'a' } }
const reported = (parts: Partial<ReportedWorkload>): ReportedWorkload => ({ id: 'c0ffee', namespace: '', pod: '', pod_uid: '', container: '', image: '', labels: {}, waiting: false, ...parts })
const pod = (name: string, parts: Partial<PodManifest> = {}): PodManifest => ({ name, namespace: 'default', uid: '', labels: { app: name }, containers: [{ name: 'main', image: 'img' }], ...parts })

const identify = (workload: ReportedWorkload, pods: readonly PodManifest[], facts: NodeFacts): Identified => identifyFound(workload, podOf(workload, pods), facts)

describe('identify()', () => {
  it('knows the host by its id, with the labels of its node and both host names', () => {
    const { workload } = identify(reported({ id: 'host', namespace: 'x', labels: { y: 'z' } }), [pod('host')], FACTS)
    assert.deepEqual(workload, { host: true, namespace: '', pod: '', container: '', labels: { zone: 'a', 'kubearmor.io/hostname': 'n1', 'kubernetes.io/hostname': 'n1' } })
  })

  it('puts a workload that says nothing into namespace default, with what it has', () => {
    const { workload } = identify(reported({ labels: { a: 'b' }, container: 'x' }), [pod('web')], FACTS)
    assert.deepEqual(workload, { host: false, namespace: 'default', pod: '', container: 'x', labels: { a: 'b' } })
  })

  it('finds the pod by uid, whatever else is said', () => {
    const pods = [pod('other'), pod('web', { uid: 'u1', namespace: 'shop' })]
    const { workload } = identify(reported({ pod_uid: 'u1', pod: 'other', container: 'main' }), pods, FACTS)
    assert.deepEqual([workload.namespace, workload.pod, workload.labels['app']], ['shop', 'web', 'web'])
  })

  it('finds the pod by namespace and name, in that namespace only', () => {
    const pods = [pod('web', { namespace: 'shop', labels: { app: 'shop' } }), pod('web', { labels: { app: 'default' } })]
    assert.equal(identify(reported({ namespace: 'shop', pod: 'web' }), pods, FACTS).workload.labels['app'], 'shop')
    assert.equal(identify(reported({ pod: 'web' }), pods, FACTS).workload.labels['app'], 'default')
    assert.equal(identify(reported({ namespace: 'else', pod: 'web' }), pods, FACTS).workload.labels['app'], undefined)
  })

  it('lets a container without a pod play the one that is called like its id or name', () => {
    const pods = [pod('web', { containers: [{ name: 'main', image: 'nginx' }, { name: 'side', image: 'envoy' }] }), pod('db')]
    const whole = identify(reported({ id: 'db' }), pods, FACTS)
    assert.deepEqual([whole.workload.pod, whole.workload.container, whole.image], ['db', 'main', 'img'])
    for (const id of ['web-side', 'web_side']) {
      const part = identify(reported({ id }), pods, FACTS)
      assert.deepEqual([part.workload.pod, part.workload.container, part.image], ['web', 'side', 'envoy'])
    }
    assert.equal(identify(reported({ container: 'web-main' }), pods, FACTS).workload.container, 'main')
    assert.deepEqual(identify(reported({ id: 'web' }), pods, FACTS).workload, { host: false, namespace: 'default', pod: 'web', container: '', labels: { app: 'web' }, nodeLabels: { zone: 'a', 'kubearmor.io/hostname': 'n1', 'kubernetes.io/hostname': 'n1' } })
    assert.equal(identify(reported({ id: 'web-none' }), pods, FACTS).workload.pod, '')
  })

  it('looks for that pod in all namespaces, default first, unless the container has one', () => {
    const pods = [pod('web', { namespace: 'a' }), pod('db', { namespace: 'b' }), pod('db')]
    assert.equal(identify(reported({ id: 'web' }), pods, FACTS).workload.namespace, 'a')
    assert.equal(identify(reported({ id: 'db' }), pods, FACTS).workload.namespace, 'default')
    assert.equal(identify(reported({ id: 'web', namespace: 'b' }), pods, FACTS).workload.pod, '')
  })

  it('lets the manifest win over what was found on the node, but for the image', () => {
    const { workload, image } = identify(reported({ pod: 'web', container: 'main', image: 'found', labels: { app: 'old', extra: '1' } }), [pod('web')], FACTS)
    assert.deepEqual(workload.labels, { app: 'web', extra: '1' })
    assert.equal(image, 'found')
  })
})

describe('labelText()', () => {
  it('is in the order of keys', () => assert.equal(labelText({ b: '2', a: '1' }), 'a=1,b=2'))
})
