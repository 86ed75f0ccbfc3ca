// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { type KubeError, sharedCluster, type SharedCluster } from '../support/cluster.ts'

let cluster: SharedCluster

before(async () => { cluster = await sharedCluster() })
after(() => cluster.stop())

test('The API server is a real one, of the version that design asks for', async () => {
  assert.match(String((await cluster.client.get('/version'))['gitVersion']), /^v1\.\d+\.\d+/)
})

test('Objects are stored, applied to, and gone when deleted; refusals carry the server\'s words', async () => {
  const path = '/api/v1/namespaces/default/configmaps/harness'
  const object = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'harness' }, data: { a: '1' } }
  await cluster.client.apply(path, object)
  assert.deepEqual((await cluster.client.get(path))['data'], { a: '1' })
  await assert.rejects(cluster.client.create('/api/v1/namespaces/default/configmaps', object), (error: KubeError) => error.code === 409 && /already exists/.test(error.message))
  await cluster.client.delete(path)
  assert.equal(await cluster.client.find(path), undefined)
})
