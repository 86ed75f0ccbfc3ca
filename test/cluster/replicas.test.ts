// SPDX-License-Identifier: Apache-2.0
// Two replicas: one writes, both serve agents; the one that writes is lost.
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { KubeError, type KubeApi } from '../../operator/kube/api.ts'
import { sharedCluster, type KubeClient, type SharedCluster } from '../support/cluster.ts'
import { condition, ensure, installResources, NAMESPACE, pod, POLICIES, policy, statusOf, TestOperator, until } from './support/operator.ts'

const NS = 'replicas'
const KSP = `${POLICIES}/namespaces/${NS}/kubearmorpolicies`
const PODS = `/api/v1/namespaces/${NS}/pods`

let cluster: SharedCluster
let client: KubeClient
const operators: TestOperator[] = []

/** Ended with the file, if the test has not done so. */
async function replica(api: Severed): Promise<TestOperator> {
  const operator = new TestOperator(cluster, { api: api.between })
  operators.push(operator)
  return operator.start()
}

before(async () => {
  cluster = await sharedCluster()
  client = cluster.client
  await installResources(client)
  await ensure(client, '/api/v1/namespaces', { metadata: { name: NS } })
  for (const name of ['r1', 'r2']) await ensure(client, '/api/v1/nodes', { metadata: { name } })
  await client.send('DELETE', `/apis/coordination.k8s.io/v1/namespaces/${NAMESPACE}/leases`)
})

after(async () => {
  for (const operator of operators) await operator.stop()
  await client.delete(KSP)
  await client.send('DELETE', PODS, { gracePeriodSeconds: 0 })
  for (const name of ['r1', 'r2']) await client.delete(`/api/v1/nodes/${name}`)
  await cluster.stop()
})

/** An API that can be taken away from one replica, as a network does. */
class Severed {
  isSevered = false
  /** Writes that were sent. */
  readonly writes: string[] = []

  between = (real: KubeApi): KubeApi => ({
    call: (call) => {
      if (this.isSevered) return Promise.reject(new KubeError(0, 'no route to host'))
      if (call.method !== 'GET') this.writes.push(`${call.method} ${call.path}`)
      return real.call(call)
    },
    watch: (call) => real.watch(call),
  })

  get statuses(): number {
    return this.writes.filter((write) => write.includes('/status')).length
  }
}

describe('two replicas', () => {
  it('count together, one writes, and when that one is lost the other goes on, with all that was known', async () => {
    const [firstApi, secondApi] = [new Severed(), new Severed()]
    const first = await replica(firstApi)
    await until('the first leads', () => first.kubernetes.election.leads)
    const second = await replica(secondApi)
    const [r1, r2] = [await first.agent('r1'), await second.agent('r2')]
    for (const node of ['r1', 'r2']) await client.create(PODS, pod(`on-${node}`, { namespace: NS, labels: { app: 'web' }, node }))
    await client.create(KSP, policy('both', { namespace: NS }))
    await until('both nodes count', async () => condition(await statusOf(client, `${KSP}/both`), 'Ready') === 'True Ready')
    const together = await statusOf(client, `${KSP}/both`)
    assert.deepEqual([together['selected'], together['applied']], ['2 pods', '2/2'])
    assert.deepEqual([second.kubernetes.election.leads, secondApi.statuses], [false, 0])

    // The leader loses its way to the API: it stops to write, goes on to serve, and the other one takes over.
    firstApi.isSevered = true
    const written = firstApi.writes.length
    await until('the second leads', () => second.kubernetes.election.leads)
    assert.deepEqual([first.kubernetes.election.leads, firstApi.writes.length, r1.policiesOf('host') !== undefined], [false, written, true])
    await client.patch(`${KSP}/both`, { spec: { message: 'after' } })
    await r2.until(() => [...r2.profiles.values()].some(({ clauses }) => clauses[0]?.message === 'after'))
    await until('the second writes', async () => (await statusOf(client, `${KSP}/both`)).observedGeneration === 2)
    assert.equal(firstApi.writes.length, written)

    // The first one dies; its agent comes to the second one.
    await first.stop()
    const moved = await second.agent('r1')
    await moved.until(() => [...moved.profiles.values()].some(({ clauses }) => clauses[0]?.message === 'after'))
    await until('all nodes hold it', async () => {
      const status = await statusOf(client, `${KSP}/both`)
      return condition(status, 'Ready') === 'True Ready' && status['applied'] === '2/2'
    })
    await second.stop()
  })
})
