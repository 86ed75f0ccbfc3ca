// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { policyLibrary } from './library.ts'

test('the operator refuses a policy that nothing enforces yet, from a file and from an API', () => {
  const object = {
    apiVersion: 'security.kubearmor.com/v1',
    kind: 'KubeArmorHostPolicy',
    metadata: { name: 'devices' },
    spec: { nodeSelector: { matchLabels: { a: 'b' } }, device: { matchDevice: [{ class: 'HUB' }] }, file: { matchPaths: [{ path: '/x' }] } },
  }
  for (const read of [policyLibrary.read(JSON.stringify(object), 'f.yaml'), policyLibrary.readObject(object, 'devices')]) {
    assert.deepEqual([read.policies, read.refused.map(({ name }) => name), read.findings.map(({ code }) => code)], [[], ['devices'], ['MERLON_POLICY_UNSUPPORTED_DEVICE']])
  }
})
