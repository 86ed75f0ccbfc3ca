// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { beforeEach, describe, it } from 'node:test'
import type { ContainerManifest } from './library.ts'
import { Cluster, pod, policies, policy, UID, workload } from './testing/cluster.ts'
import { policyText } from './testing/manifests.ts'

const POD = `pod/${UID}`
const both = (main?: string, side?: string, more: readonly ContainerManifest[] = []): ReturnType<typeof pod> => pod(UID, {
  containers: [...more, { name: 'main', image: 'img', ...(main === undefined ? {} : { id: main }) }, { name: 'side', image: 'img', ...(side === undefined ? {} : { id: side }) }],
})
/** About the container `side` alone. */
const aside = (name = 'aside'): ReturnType<typeof policy> => policies(policyText({ name }).replace('matchLabels: {', 'matchLabels: {kubearmor.io/container.name: "[side]", '))

describe('containers of a pod that policies tell apart by name', () => {
  let cluster: Cluster
  const holds = (): boolean | undefined => cluster.reconciler.desired('n1').get(POD)?.holds
  async function starts(id: string): Promise<void> {
    cluster.reconciler.setWorkloads('n1', false, [workload(id, { pod_uid: UID, container: id, waiting: true })], [])
    await cluster.reconciler.settled()
  }

  beforeEach(async () => {
    cluster = await new Cluster().change({ policies: new Map([...policy({ name: 'p' }), ...aside()]), pods: both() })
  })

  it('wait in their cgroups until the API says which is which, the sandbox until all of them are there', async () => {
    assert.deepEqual([cluster.policies(POD), holds()], [['p'], true])
    for (const id of ['sandbox', 'c-main', 'c-side']) await starts(id)
    assert.deepEqual(cluster.reconciler.undecided('n1'), ['sandbox', 'c-main', 'c-side'])
    assert.ok(cluster.reconciler.isSettled('n1'))
    await cluster.change({ pods: both('c-main') })
    assert.deepEqual([cluster.policies('c-main'), cluster.reconciler.undecided('n1')], [['p'], ['sandbox', 'c-side']])
    await cluster.change({ pods: both('c-main', 'c-side') })
    assert.deepEqual([cluster.policies('c-side'), cluster.policies('sandbox'), cluster.reconciler.undecided('n1')], [['aside', 'p'], ['p'], []])
  })

  it('wait also where the API was quicker than the agent, and the sandbox no longer then', async () => {
    await starts('sandbox')
    await cluster.change({ pods: both('c-main', 'c-side') })
    await starts('c-main')
    assert.deepEqual(cluster.reconciler.undecided('n1'), ['sandbox'])
    await starts('c-side')
    assert.deepEqual([cluster.policies('c-side'), cluster.policies('sandbox')], [['aside', 'p'], ['p']])
  })

  it('wait when they start again: the id that the API still has is not theirs', async () => {
    for (const id of ['sandbox', 'c-main', 'c-side']) await starts(id)
    await cluster.change({ pods: both('c-main', 'c-side') })
    cluster.reconciler.setWorkloads('n1', false, [], ['c-side'])
    await starts('c-side-2')
    assert.deepEqual(cluster.reconciler.undecided('n1'), ['c-side-2'])
    assert.deepEqual(cluster.policies('sandbox'), ['p'])
    await cluster.change({ pods: both('c-main', 'c-side-2') })
    assert.deepEqual(cluster.policies('c-side-2'), ['aside', 'p'])
  })

  it('do not wait for those that have ended for good: init containers, but no sidecar', async () => {
    for (const id of ['sandbox', 'c-main', 'c-side']) await starts(id)
    await cluster.change({ pods: both('c-main', 'c-side', [{ name: 'init', image: 'img', id: 'c-sidecar' }]) })
    assert.deepEqual(cluster.reconciler.undecided('n1'), ['sandbox'])
    await cluster.change({ pods: both('c-main', 'c-side', [{ name: 'init', image: 'img', id: 'c-init', isPassing: true }]) })
    assert.deepEqual(cluster.policies('sandbox'), ['p'])
  })

  it('have their names from a runtime, where the agent sees one', async () => {
    cluster.reconciler.setWorkloads('n1', false, [workload('c-side', { pod_uid: UID, container: 'side', waiting: true }), workload('sandbox', { pod_uid: UID, container: '', waiting: true })], [])
    assert.deepEqual([cluster.policies('c-side'), cluster.policies('sandbox')], [['aside', 'p'], ['p']])
  })

  it('are told apart as long as a policy that is about them does so', async () => {
    const gone = new Map([...aside().keys()].map((key) => [key, undefined]))
    await cluster.change({ policies: gone })
    assert.equal(holds(), false)
    await starts('c-any')
    assert.deepEqual(cluster.policies('c-any'), ['p'])
    await cluster.change({ policies: policies(policyText({ name: 'elsewhere' }).replace('matchLabels: {', 'matchLabels: {kubearmor.io/container.name: "[other]", ')) })
    assert.equal(holds(), false)
    await cluster.change({ policies: aside() })
    assert.equal(holds(), true)
    await starts('c-more')
    assert.deepEqual(cluster.reconciler.undecided('n1'), ['c-more'])
    await cluster.change({ policies: gone })
    assert.deepEqual([holds(), cluster.policies('c-more')], [false, ['p']])
  })
})
