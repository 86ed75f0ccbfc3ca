// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, test } from 'node:test'
import { OciSource } from './oci.ts'

let root = ''
let state = ''
let cgroups = ''

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'merlon-oci-'))
  state = join(root, 'state')
  cgroups = join(root, 'cgroup')
  mkdirSync(join(cgroups, 'demo/web'), { recursive: true })
  mkdirSync(join(root, 'bundle'))
})
afterEach(() => { rmSync(root, { recursive: true }) })

function write(path: string, value: unknown): void {
  mkdirSync(join(path, '..'), { recursive: true })
  writeFileSync(path, JSON.stringify(value))
}

/** As crun 1.8 writes it. */
const crunStatus = (cgroup: string): object => ({
  pid: 4711, 'process-start-time': 1, 'cgroup-path': cgroup, scope: null, rootfs: '/r', 'systemd-cgroup': false,
  bundle: join(root, 'bundle'), created: '2026-01-01T00:00:00Z', detached: true, external_descriptors: '[]',
})

const KUBERNETES = {
  'io.kubernetes.cri.container-type': 'container',
  'io.kubernetes.cri.sandbox-namespace': 'shop',
  'io.kubernetes.cri.sandbox-name': 'web-0',
  'io.kubernetes.cri.sandbox-uid': '6f2c1a44-0000-4000-8000-000000000001',
  'io.kubernetes.cri.container-name': 'nginx',
  'io.kubernetes.cri.image-name': 'docker.io/library/nginx:1',
}

/** As runc 1.1 writes it, with cgroup v2. */
const runcState = (cgroup: string, annotations: Record<string, string>): object => ({
  id: 'r1', init_process_pid: 12, cgroup_paths: { '': cgroup },
  config: { rootfs: '/r', labels: [...Object.entries(annotations).map(([key, value]) => `${key}=${value}`), 'bundle=/b'] },
})

test('a crun container has its cgroup, and its bundle says who it is', () => {
  write(join(state, 'web', 'status'), crunStatus('/demo/web'))
  write(join(root, 'bundle', 'config.json'), { annotations: { app: 'web', 'io.kubernetes.pod.namespace': 'shop', 'run.oci.handler': 'x' } })
  assert.deepEqual(new OciSource(state, cgroups).list(), [{
    id: 'web', runtime: 'crun', cgroupPath: join(cgroups, 'demo/web'), cgroupId: statSync(join(cgroups, 'demo/web'), { bigint: true }).ino,
    namespace: 'shop', pod: '', podUid: '', container: 'web', image: '', labels: { app: 'web' },
  }])
})

test('a runc container of Kubernetes has its pod, its name and its image', () => {
  write(join(state, 'r1', 'state.json'), runcState(join(cgroups, 'demo/web'), { ...KUBERNETES, team: 'a=b' }))
  const [container] = new OciSource(state, cgroups).list()
  assert.equal(container?.runtime, 'runc')
  assert.equal(container?.cgroupPath, join(cgroups, 'demo/web'))
  assert.deepEqual([container?.namespace, container?.pod, container?.podUid, container?.container, container?.image],
    ['shop', 'web-0', '6f2c1a44-0000-4000-8000-000000000001', 'nginx', 'docker.io/library/nginx:1'])
  assert.deepEqual(container?.labels, { team: 'a=b' })
})

test('the sandbox of a pod has no container name', () => {
  write(join(state, 'r1', 'state.json'), runcState(join(cgroups, 'demo/web'), { ...KUBERNETES, 'io.kubernetes.cri.container-type': 'sandbox' }))
  assert.deepEqual(new OciSource(state, cgroups).list().map(({ pod, container }) => [pod, container]), [['web-0', '']])
})

test('a state without a bundle, half written or of another shape breaks nothing', () => {
  write(join(state, 'a', 'status'), crunStatus('/demo/web'))
  write(join(state, 'b', 'status'), 'x')
  write(join(state, 'c', 'state.json'), { cgroup_paths: {} })
  mkdirSync(join(state, 'd'))
  writeFileSync(join(state, 'b', 'state.json'), '{"id":')
  const source = new OciSource(state, cgroups)
  assert.deepEqual(source.list().map((container) => container.id), ['a'])
  write(join(state, 'd', 'status'), crunStatus('/demo/web'))
  assert.deepEqual(source.list().map((container) => container.id), ['a', 'd'])
})

test('a container whose cgroup is gone is gone, though its state is still there', () => {
  write(join(state, 'web', 'status'), crunStatus('/demo/web'))
  const source = new OciSource(state, cgroups)
  assert.equal(source.list().length, 1)
  rmSync(join(cgroups, 'demo/web'), { recursive: true })
  assert.deepEqual(source.list(), [])
})

test('a state directory that is not there has no containers', () => {
  assert.deepEqual(new OciSource(join(root, 'nowhere'), cgroups).list(), [])
})

test('watch() reports a container that comes in two steps, as runtimes make it', async () => {
  mkdirSync(state)
  const source = new OciSource(state, cgroups)
  const { promise, resolve } = Promise.withResolvers<string>()
  const watcher = source.watch(() => {
    const [found] = source.list()
    if (found) resolve(found.id)
  })
  mkdirSync(join(state, 'web'))
  setImmediate(() => write(join(state, 'web', 'status'), crunStatus('/demo/web')))
  assert.equal(await promise, 'web')
  watcher.close()
})
