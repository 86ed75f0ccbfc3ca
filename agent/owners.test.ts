// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Identity__Output as Identity } from '../proto/gen/merlon/v1/Identity.ts'
import type { Container } from './containers/source.ts'
import { Owners } from './owners.ts'

const container = (id: string, cgroupId: bigint): Container =>
  ({ id, cgroupId, cgroupPath: `/c/${id}`, namespace: '', pod: '', podUid: '', container: id, image: '', labels: { app: 'web' }, runtime: 'crun' })
const SHOP: Identity = { namespace: 'shop', pod: 'web-0', container: '', image: 'nginx', labels: 'app=web,tier=a', owner_kind: 'Deployment', owner_name: 'web', owner_namespace: 'shop' }

function start(identities: Record<string, Identity> = {}) {
  return new Owners({ identity: (workload) => identities[workload], workloadOf: (cgroupId) => (cgroupId === 1n ? 'host' : undefined) })
}

test('what the operator knows wins, what it does not know is taken from the container', () => {
  const owners = start({ c1: SHOP })
  owners.add(container('c1', 11n))
  assert.deepEqual(owners.who({ cgroupId: 11n, boundId: 11n }, false), {
    isHost: false, containerId: 'c1', namespace: 'shop', pod: 'web-0', container: 'c1', image: 'nginx', labels: 'app=web,tier=a',
    owner: { kind: 'Deployment', name: 'web', namespace: 'shop' },
  })
})

test('a cgroup below the container is known by the bound one', () => {
  const owners = start()
  owners.add(container('c1', 11n))
  const who = owners.who({ cgroupId: 99n, boundId: 11n }, false)
  assert.deepEqual([who.containerId, who.labels], ['c1', 'app=web'])
})

test('a container in a bound pod is itself, and the pod alone has no container id', () => {
  const owners = start()
  owners.add(container('pod/u', 10n))
  owners.add(container('c1', 11n))
  assert.equal(owners.who({ cgroupId: 11n, boundId: 10n }, false).containerId, 'c1')
  assert.equal(owners.who({ cgroupId: 77n, boundId: 10n }, false).containerId, '')
})

test('a container that is gone is known through two sweeps', () => {
  const owners = start()
  owners.add(container('c1', 11n))
  owners.remove(container('c1', 11n))
  const id = (): string => owners.who({ cgroupId: 11n, boundId: 11n }, false).containerId
  assert.equal(id(), 'c1')
  owners.sweep()
  assert.equal(id(), 'c1')
  owners.sweep()
  assert.equal(id(), '')
})

test('a host event has nobody', () => {
  assert.deepEqual(start().who({ cgroupId: 5n, boundId: 1n }, true), {
    isHost: true, containerId: '', namespace: '', pod: '', container: '', image: '', labels: '', owner: { kind: '', name: '', namespace: '' },
  })
})
