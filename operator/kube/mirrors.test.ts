// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { PodManifest } from '../library.ts'
import { Mirrors, podUid } from './mirrors.ts'

const HASH = '0123456789abcdef0123456789abcdef'
const ANNOTATION = 'kubernetes.io/config.mirror'
const pod = (uid: string, namespace: string): PodManifest => ({ name: 'p', namespace, uid, labels: {}, node: 'n1', containers: [], policy: 'enabled' })

/** What comes out, as uid=namespace. */
function resolver(): (...objects: readonly (readonly [own: string, shown: PodManifest | undefined])[]) => readonly string[] {
  const mirrors = new Mirrors()
  return (...objects) => [...mirrors.resolve(new Map(objects))].map(([uid, found]) => `${uid}=${found?.namespace}`)
}

test('a static pod has the uid of its annotation, and nothing else can claim one', () => {
  assert.equal(podUid({ uid: 'a-b', annotations: { [ANNOTATION]: HASH } }), HASH)
  for (const claim of ['6f2c1a44-1b2c-4d3e-8f90-0123456789ab', HASH.toUpperCase(), `${HASH}0`, '']) assert.equal(podUid({ uid: 'a-b', annotations: { [ANNOTATION]: claim } }), 'a-b')
  assert.equal(podUid({ uid: 'a-b' }), 'a-b')
})

test('ordinary pods come through as they are', () => {
  const resolve = resolver()
  assert.deepEqual(resolve(['a', pod('a', 'shop')], ['b', undefined]), ['a=shop', 'b=undefined'])
  assert.deepEqual(resolve(['a', undefined]), ['a=undefined'])
})

test('a mirror comes, changes and goes under the uid of its pod', () => {
  const resolve = resolver()
  assert.deepEqual(resolve(['m', pod(HASH, 'kube-system')]), [`${HASH}=kube-system`])
  assert.deepEqual(resolve(['m', pod(HASH, 'kube-system')]), [`${HASH}=kube-system`])
  assert.deepEqual(resolve(['m', undefined]), [`${HASH}=undefined`])
  // Made anew, as kubelets do.
  assert.deepEqual(resolve(['n', pod(HASH, 'kube-system')]), [`${HASH}=kube-system`])
  assert.deepEqual(resolve(['n', undefined], ['o', pod(HASH, 'kube-system')]), [`${HASH}=kube-system`])
  assert.deepEqual(resolve(['o', pod('f'.repeat(32), 'kube-system')]), [`${HASH}=undefined`, `${'f'.repeat(32)}=kube-system`])
  assert.deepEqual(resolve(['o', undefined]), [`${'f'.repeat(32)}=undefined`])
})

test('a second object with the same annotation neither takes the pod over nor ends it', () => {
  const resolve = resolver()
  resolve(['m', pod(HASH, 'kube-system')])
  assert.deepEqual(resolve(['x', pod(HASH, 'attacker')]), [])
  assert.deepEqual(resolve(['x', pod(HASH, 'attacker')]), [])
  assert.deepEqual(resolve(['x', undefined]), ['x=undefined'])
  assert.deepEqual(resolve(['m', pod(HASH, 'kube-system')]), [`${HASH}=kube-system`])
  // Nobody else is known to show it once the first has gone.
  resolve(['x', pod(HASH, 'attacker')], ['y', pod(HASH, 'later')])
  assert.deepEqual(resolve(['m', undefined]), [`${HASH}=attacker`])
  assert.deepEqual(resolve(['x', undefined]), [`${HASH}=later`])
})
