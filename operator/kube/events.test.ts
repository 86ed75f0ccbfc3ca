// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { it } from 'node:test'
import { policyLibrary } from '../library.ts'
import { eventOf } from './events.ts'
import { readPolicy } from './policies.ts'

it('an Event of a policy with a long name and many characters is one that the API server takes', () => {
  const name = `${'a'.repeat(199)}-${'b'.repeat(53)}`
  const object = readPolicy({ metadata: { name, namespace: 'ns', uid: 'u', generation: 1 }, spec: {} }, 'KubeArmorPolicy', policyLibrary, undefined)
  const event = eventOf({ object, condition: { type: 'Accepted', status: 'False', reason: 'Invalid', message: 'ü😀'.repeat(600), observedGeneration: 1 } }, 'me', 1)
  assert.match(event?.metadata?.name ?? '', /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/)
  const note = String(event?.['note'])
  assert.ok(Buffer.byteLength(note) <= 1024 && Buffer.byteLength(note) > 1015)
  assert.ok(note.isWellFormed())
})
