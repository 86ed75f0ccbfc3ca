// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { it } from 'node:test'
import { policyLibrary } from '../library.ts'
import type { KubeObject } from './api.ts'
import { statusOf } from './conditions.ts'
import { readPolicy } from './policies.ts'

it('a defect in reading a policy is a condition of that policy, and leaves its last version in force', () => {
  const object = (generation: number): KubeObject => ({ metadata: { name: 'p', namespace: 'ns', uid: 'u', generation }, spec: { selector: {}, process: { matchPaths: [{ path: '/bin/x' }] }, action: 'Block' } })
  const before = readPolicy(object(1), 'KubeArmorPolicy', policyLibrary, undefined)
  const after = readPolicy(object(2), 'KubeArmorPolicy', { readObject: () => { throw new Error('defect') } }, before)
  assert.ok(after.policy && after.policy === before.policy)
  const [accepted] = statusOf(after).conditions
  assert.deepEqual([accepted?.status, accepted?.reason], ['False', 'MERLON_OPERATOR_INTERNAL'])
})
