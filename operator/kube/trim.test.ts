// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { KubeObject } from './api.ts'
import { policySwitch, trimNamespace, trimNode, trimPod } from './trim.ts'

/** What a Deployment's pod with a sidecar looks like once it runs: some 8 KB. */
function realPod(index: number): KubeObject {
  const id = index.toString(16).padStart(12, '0')
  const container = (name: string): KubeObject => ({
    name, image: `registry.example/shop/${name}:v1.2.3`, resources: { limits: { cpu: '500m', memory: '256Mi' }, requests: { cpu: '100m', memory: '128Mi' } }, imagePullPolicy: 'IfNotPresent',
    env: Array.from({ length: 20 }, (_, at) => ({ name: `SETTING_${at}`, valueFrom: { configMapKeyRef: { name: 'settings', key: `setting-${at}` } } })), terminationMessagePath: '/dev/termination-log', terminationMessagePolicy: 'File',
    volumeMounts: [{ name: 'kube-api-access-x', readOnly: true, mountPath: '/var/run/secrets/kubernetes.io/serviceaccount' }], livenessProbe: { httpGet: { path: '/livez', port: 8080, scheme: 'HTTP' }, timeoutSeconds: 1, periodSeconds: 10 },
  })
  const status = (name: string): KubeObject => ({ name, containerID: `containerd://${id.padStart(64, name.charCodeAt(0).toString(16))}`, image: `registry.example/shop/${name}:v1.2.3`, imageID: 'registry.example/shop/x@sha256:'.padEnd(100, 'f'), ready: true, restartCount: 0, started: true, state: { running: { startedAt: '2026-01-01T00:00:00Z' } } })
  return {
    metadata: {
      name: `checkout-7d9f8b6c5d-${id.slice(-5)}`, namespace: 'shop', uid: `11111111-1111-1111-1111-${id}`, resourceVersion: String(index), creationTimestamp: '2026-01-01T00:00:00Z',
      labels: { app: 'checkout', 'app.kubernetes.io/name': 'checkout', 'app.kubernetes.io/part-of': 'shop', 'pod-template-hash': '7d9f8b6c5d' }, annotations: { 'kubectl.kubernetes.io/restartedAt': '2026-01-01T00:00:00Z', 'checksum/config': 'a'.repeat(64) },
      ownerReferences: [{ kind: 'ReplicaSet', name: 'checkout-7d9f8b6c5d', controller: true }], managedFields: [{ time: '2026-01-01T00:00:00Z', subresource: 'status' }],
    },
    spec: { nodeName: `node-${index % 50}`, containers: [container('checkout'), container('proxy')], initContainers: [container('wait')], volumes: [{ name: 'kube-api-access-x', projected: { sources: [{ serviceAccountToken: { expirationSeconds: 3607, path: 'token' } }] } }], tolerations: [{ key: 'node.kubernetes.io/not-ready', operator: 'Exists', effect: 'NoExecute', tolerationSeconds: 300 }] },
    status: { phase: 'Running', podIP: '10.1.2.3', hostIP: '10.0.0.1', qosClass: 'Burstable', containerStatuses: [status('checkout'), status('proxy')], initContainerStatuses: [status('wait')], conditions: ['PodScheduled', 'Initialized', 'ContainersReady', 'Ready'].map((type) => ({ type, status: 'True', lastTransitionTime: '2026-01-01T00:00:00Z' })) },
  }
}

describe('trimPod()', () => {
  it('keeps what decides: labels, node, containers by name and id, owner', () => {
    const pod = trimPod(realPod(1))
    assert.deepEqual([pod?.namespace, pod?.node, pod?.owner, pod?.policy, pod?.ended], ['shop', 'node-1', { kind: 'Deployment', name: 'checkout' }, 'enabled', undefined])
    assert.deepEqual(pod?.containers.map(({ name, id }) => [name, id?.length]), [['wait', 64], ['checkout', 64], ['proxy', 64]])
  })

  it('keeps less than 1 KB of a pod with three containers', () => {
    assert.ok(JSON.stringify(realPod(1)).length > 7_000)
    assert.ok(JSON.stringify(trimPod(realPod(1))).length < 1_000, `${JSON.stringify(trimPod(realPod(1))).length} bytes`)
  })

  it('reads pods of which nearly nothing is known', () => {
    assert.deepEqual(trimPod({ metadata: { name: 'p', namespace: 'n', uid: 'u' } }), { name: 'p', namespace: 'n', uid: 'u', labels: {}, node: '', containers: [], policy: 'enabled' })
    assert.equal(trimPod({}), undefined)
    assert.equal(trimPod({ metadata: { uid: 'u' }, spec: null, status: 'odd' })?.node, '')
    assert.deepEqual(trimPod({ metadata: { uid: 'u' }, spec: { containers: [{}] }, status: { phase: 'Failed', containerStatuses: 'odd' } })?.containers, [{ name: '', image: '' }])
  })

  it('knows that a pod has ended, and ephemeral containers', () => {
    assert.equal(trimPod({ metadata: { uid: 'u' }, status: { phase: 'Succeeded' } })?.ended, true)
    const debugged = trimPod({ metadata: { uid: 'u' }, spec: { ephemeralContainers: [{ name: 'debug', image: 'i' }] }, status: { ephemeralContainerStatuses: [{ name: 'debug', containerID: 'cri-o://abc' }] } })
    assert.deepEqual(debugged?.containers, [{ name: 'debug', image: 'i', id: 'abc', isPassing: true }])
  })

  it('knows which containers end while their pod goes on: init containers, but no sidecars', () => {
    const spec = { initContainers: [{ name: 'init', image: 'i' }, { name: 'sidecar', image: 'i', restartPolicy: 'Always' }], containers: [{ name: 'main', image: 'i' }] }
    assert.deepEqual(trimPod({ metadata: { uid: 'u' }, spec })?.containers.map(({ name, isPassing }) => [name, isPassing]), [['init', true], ['sidecar', undefined], ['main', undefined]])
  })

  it('calls a static pod by the uid that its cgroup has, and no other pod by what it says of itself', () => {
    const uidOf = (shown: string): string | undefined => trimPod({ metadata: { uid: 'u', annotations: { 'kubernetes.io/config.mirror': shown } } })?.uid
    assert.equal(uidOf('0123456789abcdef0123456789abcdef'), '0123456789abcdef0123456789abcdef')
    for (const shown of ['', 'x', '11111111-1111-1111-1111-111111111111']) assert.equal(uidOf(shown), 'u')
  })

  it('takes an owner that is no ReplicaSet of a Deployment as it is', () => {
    const owned = (kind: string, name: string, labels: Record<string, string> = {}): unknown => trimPod({ metadata: { uid: 'u', labels, ownerReferences: [{ kind, name, controller: true }] } })?.owner
    assert.deepEqual(owned('DaemonSet', 'd'), { kind: 'DaemonSet', name: 'd' })
    assert.deepEqual(owned('ReplicaSet', 'bare'), { kind: 'ReplicaSet', name: 'bare' })
    assert.deepEqual(owned('ReplicaSet', 'web-abc', { 'pod-template-hash': 'xyz' }), { kind: 'ReplicaSet', name: 'web-abc' })
  })
})

describe('annotations', () => {
  it('of pods and nodes switch policies; any other word is as none', () => {
    for (const [word, meant] of [['disabled', 'disabled'], ['audited', 'audited'], ['enabled', 'enabled'], ['patched', 'enabled'], ['Disabled', 'enabled'], ['', 'enabled']]) assert.equal(policySwitch({ 'kubearmor-policy': word ?? '' }), meant)
    assert.equal(policySwitch(undefined), 'enabled')
    assert.deepEqual(trimNode({ metadata: { name: 'n', labels: { a: 'b' }, annotations: { 'kubearmor-policy': 'audited' } } }), { name: 'n', labels: { a: 'b' }, policy: 'audited' })
  })

  it('of namespaces are postures where they are audit or block', () => {
    const annotations = { 'kubearmor-file-posture': 'block', 'kubearmor-network-posture': 'Block', 'kubearmor-capabilities-posture': 'audit' }
    assert.deepEqual(trimNamespace({ metadata: { name: 'n', annotations } }), { name: 'n', filePosture: 'block', capabilitiesPosture: 'audit' })
    assert.deepEqual(trimNamespace({}), { name: '' })
  })

  it('of all three say what is visible, in words that are kept once', () => {
    const metadata = { uid: 'u', name: 'n', annotations: { 'kubearmor-visibility': 'process,file,network,capabilities' } }
    assert.deepEqual(trimNamespace({ metadata }).visibility, ['process', 'file', 'network', 'capabilities'])
    assert.equal(trimPod({ metadata })?.visibility, trimNode({ metadata }).visibility)
    assert.deepEqual(trimPod({ metadata: { uid: 'u', annotations: { 'kubearmor-visibility': 'none' } } })?.visibility, [])
    assert.ok(!('visibility' in trimNode({ metadata: { annotations: {} } })))
  })
})
