// SPDX-License-Identifier: Apache-2.0
// What @dot-i/k8s-operator does here and does not do as published (docs/decisions/dot-i.md), against a real API server.
import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { DotIOperator, type ResourceEvent } from '../../operator/dot-i.ts'
import { ClientNodeApi, KubeError, loadConfig, type KubeApi } from '../../operator/kube/api.ts'
import { systemClock } from '../../runtime/clock.ts'
import { silentLogger } from '../../runtime/log.ts'
import { sharedCluster, type KubeClient, type SharedCluster } from '../support/cluster.ts'
import { TREE } from '../support/vm/guest.ts'
import { ensure, installResources, POLICIES, policy, until } from './support/operator.ts'

const NS = 'dot-i'
const KSP = `${POLICIES}/namespaces/${NS}/kubearmorpolicies`

let cluster: SharedCluster
let client: KubeClient
let operator: DotIOperator
let isAway = false
const events: string[] = []
const seen = new Map<string, ResourceEvent>()

before(async () => {
  cluster = await sharedCluster()
  client = cluster.client
  await installResources(client)
  await ensure(client, '/api/v1/namespaces', { metadata: { name: NS } })
  const real = new ClientNodeApi(() => loadConfig({ kind: 'kubeconfig', file: cluster.kubeconfig }))
  const cuts = new Set<AbortController>()
  const api: KubeApi = {
    call: (call) => (isAway ? Promise.reject(new KubeError(503, 'away')) : real.call(call)),
    watch: async (call) => {
      if (isAway) return { ok: false, code: 0, message: 'away' }
      const cut = new AbortController()
      cuts.add(cut)
      const timer = setInterval(() => { if (isAway) cut.abort() }, 10)
      await real.watch({ ...call, signal: AbortSignal.any([call.signal, cut.signal]) })
      clearInterval(timer)
      return { ok: true }
    },
  }
  operator = new DotIOperator({ api, clock: systemClock, logger: silentLogger, random: Math.random })
  await operator.watchResource('security.kubearmor.com', 'v1', 'kubearmorpolicies', async (event) => {
    events.push(`${event.type} ${event.meta.name}`)
    seen.set(event.meta.name, event)
  })
})

after(async () => {
  await operator.stopped()
  await client.delete(KSP)
  await cluster.stop()
})

const hears = (event: string): Promise<void> => until(`it hears ${event}`, () => events.includes(event))

describe('DotIOperator', () => {
  it('brings nothing of `request` into the tree', () => {
    const require = createRequire(join(TREE, 'package.json'))
    for (const name of ['request', 'tough-cookie', 'har-validator']) assert.throws(() => require.resolve(name), { code: 'MODULE_NOT_FOUND' })
  })

  it('tells what is made, changed and removed', async () => {
    await client.create(KSP, policy('one', { namespace: NS }))
    await hears('ADDED one')
    await client.patch(`${KSP}/one`, { spec: { message: 'x' } })
    await hears('MODIFIED one')
    await client.delete(`${KSP}/one`)
    await hears('DELETED one')
  })

  it('sees what was removed while it was cut off, and neither ends the process nor tells the rest anew', async () => {
    for (const name of ['stays', 'goes']) await client.create(KSP, policy(name, { namespace: NS }))
    await hears('ADDED goes')
    isAway = true
    await client.delete(`${KSP}/goes`)
    await new Promise((resolve) => setTimeout(resolve, 300))
    isAway = false
    await hears('DELETED goes')
    assert.equal(events.filter((event) => event === 'ADDED stays').length, 1)
  })

  it('rejects when a status cannot be written, and writes it when it can', async () => {
    const { meta } = seen.get('stays') ?? assert.fail()
    isAway = true
    await assert.rejects(operator.patchResourceStatus(meta, { status: 'Applied' }), KubeError)
    await assert.rejects(operator.setResourceStatus(meta, { status: 'Applied' }), KubeError)
    isAway = false
    await operator.patchResourceStatus(meta, { status: 'Applied' })
    assert.equal(((await client.get(`${KSP}/stays`))['status'] as { status: string }).status, 'Applied')
    await assert.rejects(operator.setResourceStatus(meta, { status: 'Failure' }), (error: KubeError) => error.code === 409)
  })

  it('rejects when a finalizer cannot be written; with it, runs the action before the object goes', async () => {
    const event = seen.get('stays') ?? assert.fail()
    isAway = true
    await assert.rejects(operator.handleResourceFinalizer(event, 'merlon.io/test', async () => {}), KubeError)
    isAway = false
    const fresh = (): ResourceEvent => ({ ...event, object: Object.assign(structuredClone(event.object), { metadata: { name: 'stays', namespace: NS, finalizers: [] } }) })
    assert.equal(await operator.handleResourceFinalizer(fresh(), 'merlon.io/test', async () => {}), true)
    await client.delete(`${KSP}/stays`)
    await until('it is to be deleted', () => seen.get('stays')?.object.metadata?.deletionTimestamp !== undefined)
    let done = 0
    await operator.handleResourceFinalizer(seen.get('stays') ?? assert.fail(), 'merlon.io/test', async () => { done += 1 })
    await hears('DELETED stays')
    assert.equal(done, 1)
  })

  it('starts again with resources that exist', async () => {
    const registered = await operator.registerCustomResourceDefinition(join(TREE, 'crds/kubearmorpolicy.yaml'))
    assert.deepEqual([registered.group, registered.plural], ['security.kubearmor.com', 'kubearmorpolicies'])
  })

  it('hears what comes after 35 seconds of quiet, on the same watch', async () => {
    const informer = operator.informers.get('kubearmorpolicies.security.kubearmor.com/v1') ?? assert.fail()
    const watches = informer.done.watches
    await new Promise((resolve) => setTimeout(resolve, 35_000))
    await client.create(KSP, policy('late', { namespace: NS }))
    await hears('ADDED late')
    assert.equal(informer.done.watches, watches)
  })
})
