// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SimulatedClock } from '../../runtime/clock.ts'
import { ContainerSet } from './set.ts'
import type { Container, ContainerSource } from './source.ts'

const container = (id: string, cgroupId: bigint, change: Partial<Container> = {}): Container =>
  ({ id, cgroupId, cgroupPath: `/c/${id}`, namespace: '', pod: '', podUid: '', container: id, image: '', labels: {}, runtime: 'crun', ...change })

class FakeSource implements ContainerSource {
  readonly name = 'fake'
  now: Container[] = []
  changed = (): void => {}
  list(): Container[] { return this.now }
  watch(onChange: () => void): { close(): void } {
    this.changed = onChange
    return { close: () => { this.changed = () => {} } }
  }
}

function start(...sources: FakeSource[]) {
  const clock = new SimulatedClock()
  const seen: string[] = []
  const set = new ContainerSet({ sources, clock, rescanMs: 1000, onChanges: ({ upserted, removed }) => {
    seen.push([...upserted.map((entry) => `+${entry.id}`), ...removed.map((entry) => `-${entry.id}`)].join(' '))
  } })
  set.start()
  return { clock, seen, set }
}

test('changes are reported once, when a source says so or when the time has come', () => {
  const source = new FakeSource()
  source.now = [container('a', 1n)]
  const { clock, seen } = start(source)
  source.now = [container('a', 1n), container('b', 2n)]
  source.changed()
  source.changed()
  source.now = [container('b', 2n)]
  clock.advance(1000)
  assert.deepEqual(seen, ['+a', '+b', '-a'])
})

test('a container that changed is reported again', () => {
  const source = new FakeSource()
  source.now = [container('a', 1n)]
  const { seen } = start(source)
  source.now = [container('a', 1n, { labels: { x: 'y' } })]
  source.changed()
  assert.deepEqual(seen, ['+a', '+a'])
})

test('the earlier source wins where two know one cgroup, and a better name replaces a worse one', () => {
  const oci = new FakeSource()
  const kubepods = new FakeSource()
  kubepods.now = [container('x', 1n, { runtime: 'kubepods' })]
  const { seen, set } = start(oci, kubepods)
  assert.equal(set.byCgroup(1n)?.runtime, 'kubepods')
  oci.now = [container('x', 1n, { runtime: 'runc', container: 'nginx' })]
  oci.changed()
  assert.equal(set.byCgroup(1n)?.container, 'nginx')
  assert.deepEqual(seen, ['+x', '+x'])
})

test('a cgroup that changes hands is removed and added', () => {
  const source = new FakeSource()
  source.now = [container('a', 1n)]
  const { seen } = start(source)
  source.now = [container('b', 1n)]
  source.changed()
  assert.deepEqual(seen, ['+a', '+b -a'])
})

test('stop() ends looking', () => {
  const source = new FakeSource()
  const { clock, seen, set } = start(source)
  set.stop()
  source.now = [container('a', 1n)]
  source.changed()
  clock.advance(5000)
  assert.deepEqual(seen, [])
  assert.equal(clock.waiting, 0)
})
