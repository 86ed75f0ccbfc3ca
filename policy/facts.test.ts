// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { readManifests, type Manifests } from './read.ts'

const read = (text: string): Manifests => readManifests(text, 'f.yaml')
const said = ({ findings }: Manifests): readonly unknown[] => findings.map(({ code, severity, position }) => [code.replace('MERLON_POLICY_', ''), severity, position.line])

describe('namespaces', () => {
  const namespace = (annotations: string): Manifests => read(`apiVersion: v1\nkind: Namespace\nmetadata:\n  name: shop\n  annotations: {${annotations}}\n`)
  test('postures of files, network and capabilities, and visibility', () => {
    const [facts] = namespace('kubearmor-file-posture: block, kubearmor-network-posture: audit, kubearmor-capabilities-posture: block, kubearmor-visibility: "process, file,dns"').namespaces
    assert.deepEqual([facts?.filePosture, facts?.networkPosture, facts?.capabilitiesPosture, facts?.visibility], ['block', 'audit', 'block', ['process', 'file', 'dns']])
  })

  test('what is not said is absent', () => {
    const [facts] = namespace('').namespaces
    assert.ok(facts !== undefined && !('filePosture' in facts) && !('networkPosture' in facts) && !('visibility' in facts))
  })

  test('`none` is no class at all, which is something else than nothing said', () => {
    const found = namespace('kubearmor-visibility: none')
    assert.deepEqual([found.namespaces[0]?.visibility, said(found)], [[], []])
  })

  test('classes of which nothing is recorded are told, where they are asked for', () => {
    const found = namespace('kubearmor-visibility: "process,network,dns"')
    assert.deepEqual([said(found), found.namespaces[0]?.visibility], [[['VISIBILITY_NOT_RECORDED', 'warning', 5]], ['process', 'network', 'dns']])
    assert.match(found.findings[0]?.message ?? '', /kubearmor-visibility asks for logs of network, dns,/)
    assert.deepEqual(said(namespace('kubearmor-visibility: "process,file"')), [])
  })

  test('what is none of the words is told, and left out', () => {
    const found = namespace('kubearmor-network-posture: Block, kubearmor-visibility: "process,files"')
    assert.deepEqual(said(found), [['INVALID_POSTURE', 'warning', 5], ['INVALID_VISIBILITY', 'warning', 5]])
    assert.deepEqual([found.namespaces[0]?.networkPosture, found.namespaces[0]?.visibility], [undefined, ['process']])
  })
})

describe('pods and nodes', () => {
  const object = (kind: string, annotations: string): Manifests => read(`apiVersion: v1\nkind: ${kind}\nmetadata: {name: x, annotations: {${annotations}}}\nspec: {nodeName: n-1}\n`)
  test('the policy switch', () => {
    for (const value of ['enabled', 'disabled', 'audited'] as const) {
      assert.equal(object('Pod', `kubearmor-policy: ${value}`).pods[0]?.policy, value)
      assert.equal(object('Node', `kubearmor-policy: ${value}`).nodes[0]?.policy, value)
    }
    const odd = object('Pod', 'kubearmor-policy: disable')
    assert.deepEqual([odd.pods[0]?.policy, said(odd)], [undefined, [['INVALID_SWITCH', 'warning', 3]]])
    assert.deepEqual(said(object('Pod', 'kubearmor-policy: patched')), [])
  })

  test('where a pod is, and what is to be seen', () => {
    const [pod] = object('Pod', 'kubearmor-visibility: "process,network"').pods
    assert.deepEqual([pod?.node, pod?.visibility], ['n-1', ['process', 'network']])
    const written = 'kubearmor-visibility: "process,file,network,capabilities"'
    assert.deepEqual(said(object('Pod', written)), [], "KubeArmor's controller writes this onto every pod")
    assert.deepEqual(said(object('Node', written)), [['VISIBILITY_NOT_RECORDED', 'warning', 3]])
  })
})

describe('settings', () => {
  test('a KubeArmorConfig', () => {
    const found = read(`apiVersion: operator.kubearmor.com/v1
kind: KubeArmorConfig
metadata: {name: default, namespace: kubearmor}
spec:
  defaultFilePosture: block
  defaultNetworkPosture: audit
  defaultVisibility: process,file
  seccompEnabled: false
  kubearmorImage: {image: example/agent, imagePullPolicy: Never, env: [{name: A, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}]}
`)
    assert.deepEqual(said(found), [])
    assert.deepEqual(found.settings, [
      {
        kind: 'KubeArmorConfig', namespace: 'kubearmor', name: 'default', postures: { filePosture: 'block', networkPosture: 'audit' }, hostPostures: {}, visibility: ['process', 'file'],
        position: { file: 'f.yaml', line: 1, column: 1 },
      },
    ])
  })

  test('a KubeArmorConfig that the API server would refuse is none', () => {
    const found = read('apiVersion: operator.kubearmor.com/v1\nkind: KubeArmorConfig\nmetadata: {name: x}\nspec: {defaultFilePosture: Block, unknown: 1}\n')
    assert.deepEqual([said(found), found.settings], [[['NOT_ALLOWED', 'error', 4], ['UNKNOWN_FIELD', 'error', 4]], []])
  })

  test('KubeArmor’s ConfigMap, by its name or its label', () => {
    const map = (metadata: string): Manifests => read(`apiVersion: v1\nkind: ConfigMap\nmetadata: {${metadata}}\ndata: {defaultFilePosture: block, hostDefaultDevicePosture: block, visibility: none, hostVisibility: process, untrackedNs: "kube-system, mine", gRPC: "32767"}\n`)
    for (const metadata of ['name: kubearmor-config', 'name: other, labels: {kubearmor-app: kubearmor-configmap}']) {
      const [settings] = map(metadata).settings
      assert.deepEqual([settings?.postures, settings?.hostPostures, settings?.visibility, settings?.hostVisibility, settings?.untrackedNamespaces], [{ filePosture: 'block' }, { devicePosture: 'block' }, [], ['process'], ['kube-system', 'mine']])
    }
    assert.deepEqual([said(map('name: mine')), map('name: mine').settings], [[['UNKNOWN_KIND', 'warning', 2]], []])
  })

  test('a posture that is none is told', () => {
    const found = read('apiVersion: v1\nkind: ConfigMap\nmetadata: {name: kubearmor-config}\ndata:\n  defaultFilePosture: allow\n')
    assert.deepEqual([said(found), found.settings[0]?.postures], [[['INVALID_POSTURE', 'warning', 5]], {}])
  })
})
