// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, test } from 'node:test'
import { containerIdOf, KubepodsSource, podUidOf } from './kubepods.ts'

const UID = '6f2c1a44-1b2c-4d3e-8f90-0123456789ab'
const UNDERSCORED = UID.replaceAll('-', '_')
const ID = 'ab'.repeat(32)
let root = ''

beforeEach(() => { root = mkdtempSync(join(tmpdir(), 'merlon-kubepods-')) })
afterEach(() => { rmSync(root, { recursive: true }) })

const make = (...parts: string[]): void => { mkdirSync(join(root, ...parts), { recursive: true }) }
const found = (): string[] => new KubepodsSource(root).list().map((container) => `${container.podUid} ${container.id}`).toSorted()

test('podUidOf() reads the uid from each form', () => {
  assert.equal(podUidOf(`pod${UID}`), UID)
  assert.equal(podUidOf(`kubepods-burstable-pod${UNDERSCORED}.slice`), UID)
  assert.equal(podUidOf(`kubepods-pod${UNDERSCORED}.slice`), UID)
  assert.equal(podUidOf('pod0123456789abcdef0123456789abcdef'), '0123456789abcdef0123456789abcdef', 'a static pod')
  assert.equal(podUidOf('kubepods-burstable.slice'), undefined)
  assert.equal(podUidOf('tripod'), undefined)
})

test('containerIdOf() knows the prefixes of the runtimes, and what is no container', () => {
  for (const name of [ID, `cri-containerd-${ID}.scope`, `crio-${ID}.scope`, `docker-${ID}.scope`]) assert.equal(containerIdOf(name), ID)
  assert.equal(containerIdOf(`crio-conmon-${ID}.scope`), undefined)
  assert.equal(containerIdOf('init.scope'), undefined)
})

test('list() finds pods and containers of the cgroupfs driver in each QoS class', () => {
  make('kubepods/burstable', `pod${UID}`, ID)
  make('kubepods/pod11111111-1111-4111-8111-111111111111')
  make('system/pod22222222-2222-4222-8222-222222222222')
  assert.deepEqual(found(), ['11111111-1111-4111-8111-111111111111 pod/11111111-1111-4111-8111-111111111111', `${UID} ${ID}`, `${UID} pod/${UID}`])
})

test('list() finds those of the systemd driver, also below a root of the kubelet', () => {
  make('kubepods.slice/kubepods-besteffort.slice', `kubepods-besteffort-pod${UNDERSCORED}.slice`, `cri-containerd-${ID}.scope`)
  make('kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-burstable.slice', 'kubelet-kubepods-burstable-pod33333333_3333_4333_8333_333333333333.slice')
  assert.deepEqual(found(), ['33333333-3333-4333-8333-333333333333 pod/33333333-3333-4333-8333-333333333333', `${UID} ${ID}`, `${UID} pod/${UID}`])
})

/** Every combination of driver, QoS class and runtime, as they are on nodes; `ROOT` stands for a cgroup of the kubelet's own. */
const POD_DIRECTORIES = [
  `kubepods/pod${UID}`, `kubepods/burstable/pod${UID}`, `kubepods/besteffort/pod${UID}`,
  `kubepods.slice/kubepods-pod${UNDERSCORED}.slice`, `kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod${UNDERSCORED}.slice`,
  `kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod${UNDERSCORED}.slice`,
  `kubelet/kubepods/burstable/pod${UID}`, `podruntime/kubepods/pod${UID}`,
  `kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-besteffort.slice/kubelet-kubepods-besteffort-pod${UNDERSCORED}.slice`,
  `my.slice/my-kubepods.slice/my-kubepods-pod${UNDERSCORED}.slice`,
]
const CONTAINER_DIRECTORIES = [ID, `cri-containerd-${ID}.scope`, `crio-${ID}.scope`, `crio-${ID}`, `docker-${ID}.scope`, `libpod-${ID}.scope`]

test('list() finds a container under every name that kubelets and runtimes give to cgroups, and nothing below it', () => {
  for (const pod of POD_DIRECTORIES) {
    for (const container of CONTAINER_DIRECTORIES) {
      make(pod, container, 'container', 'init.scope')
      assert.deepEqual(found(), [`${UID} ${ID}`, `${UID} pod/${UID}`], join(pod, container))
      rmSync(join(root, pod.split('/')[0] ?? ''), { recursive: true })
    }
  }
})

test('list() finds a container whose runtime has another driver than the kubelet, in the root or where the runtime is', () => {
  const name = `kubepods-burstable-pod${UNDERSCORED}.slice:cri-containerd:${ID}`
  for (const place of ['', 'system.slice/containerd.service', 'k3s']) {
    make(place, name)
    assert.deepEqual(found(), [`${UID} ${ID}`], place)
    rmSync(join(root, place, name), { recursive: true })
  }
})

test('list() takes nothing else for a pod', () => {
  make('system.slice/kubelet.service')
  make('user.slice', `pod${UID}`, ID)
  make('kubepods/burstable', 'podx', ID)
  make('kubepods/burstable', `pod${UID.slice(1)}`, ID)
  make('notkubepods', `pod${UID}`, ID)
  make(`kubepods.slice:cri-containerd:${ID}`)
  assert.deepEqual(found(), [])
})

test('a pod has no container name, and its containers go by their ids until somebody knows better', () => {
  make('kubepods', `pod${UID}`, ID)
  const list = new KubepodsSource(root).list()
  assert.deepEqual(list.map(({ container, runtime }) => [container, runtime]), [['', 'kubepods'], [ID, 'kubepods']])
  assert.notEqual(list[0]?.cgroupId, list[1]?.cgroupId)
})

test('watch() reports a pod that appears below a class that appears', async () => {
  const source = new KubepodsSource(root)
  const { promise, resolve } = Promise.withResolvers<void>()
  const watcher = source.watch(() => { if (source.list().length === 2) resolve() })
  make('kubepods')
  setImmediate(() => {
    make('kubepods/burstable')
    setImmediate(() => {
      make('kubepods/burstable', `pod${UID}`)
      setImmediate(() => make('kubepods/burstable', `pod${UID}`, ID))
    })
  })
  await promise
  watcher.close()
})
