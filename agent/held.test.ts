// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, test } from 'node:test'
import type { BpfMap } from '../native/types.ts'
import { CONTROL, encodeHeld, HELD, HOLD, u32, u64, view } from './abi.ts'
import { cgroupIdOf } from './containers/cgroups.ts'
import { Control } from './control.ts'
import { detach } from './detach.ts'
import { releasePinned } from './held.ts'
import { FakeKernel } from './testing/native.ts'

let root = ''
let pins = ''
let fake: FakeKernel
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'merlon-held-'))
  pins = join(root, 'pins')
  fake = new FakeKernel(pins)
})
afterEach(() => { rmSync(root, { recursive: true }) })

function cgroup(name: string, ...pids: number[]): bigint {
  const path = join(root, 'cgroup', name)
  mkdirSync(path, { recursive: true })
  writeFileSync(join(path, 'cgroup.procs'), pids.map((pid) => `${pid}\n`).join(''))
  for (const pid of pids) {
    mkdirSync(join(root, 'proc', String(pid)), { recursive: true })
    writeFileSync(join(root, 'proc', String(pid), 'cgroup'), `0::/${name}\n`)
  }
  return cgroupIdOf(path) ?? 0n
}

function pinned(set: string, valueSize = 8): BpfMap {
  const map = fake.createMap({ type: 1, name: 'held', keySize: 8, valueSize, maxEntries: 8 })
  mkdirSync(join(pins, set, 'maps'), { recursive: true })
  map.pin(join(pins, set, 'maps/held'))
  return map
}

const stateOf = (map: BpfMap, id: bigint): number | undefined => {
  const value = map.lookup(u64(id))
  return value && view(value).getUint32(0, true)
}

test('releasePinned() lets everything go that waits, in every set of pins, and marks it first', () => {
  const [one, two] = [pinned('v1'), pinned('stale-1')]
  pinned('v9', 16)
  mkdirSync(join(pins, 'unused-1'))
  const [waiting, other, done] = [cgroup('waiting', 41, 42), cgroup('other', 51), cgroup('done', 61)]
  one.update(u64(waiting), encodeHeld(HELD.WAITING, 41))
  one.update(u64(done), encodeHeld(HELD.RESUMED, 61))
  one.update(u64(999_999n), encodeHeld(HELD.WAITING, 41))
  two.update(u64(other), encodeHeld(HELD.WAITING, 51))
  const resumed: string[] = []
  const count = releasePinned(fake.binding(), pins, { cgroupRoot: join(root, 'cgroup'), proc: join(root, 'proc') }, (pid) => {
    resumed.push(`${pid} ${stateOf(pid === 51 ? two : one, pid === 51 ? other : waiting)}`)
  })
  assert.equal(count, 2)
  assert.deepEqual(resumed.toSorted(), [`41 ${HELD.RELEASED}`, `42 ${HELD.RELEASED}`, `51 ${HELD.RELEASED}`])
})

test('releasePinned() ends the holding that a dead agent asked for', () => {
  pinned('v1')
  const control = fake.createMap({ type: 2, name: 'control', keySize: 4, valueSize: CONTROL.bytes, maxEntries: 1 })
  control.pin(join(pins, 'v1/maps/control'))
  const agent = new Control(control)
  agent.bumpEpoch()
  agent.setHold(HOLD.ALWAYS)
  releasePinned(fake.binding(), pins, { cgroupRoot: join(root, 'cgroup'), proc: join(root, 'proc') }, () => {})
  const left = view(control.lookup(u32(0)) ?? new Uint8Array())
  assert.deepEqual([left.getUint32(CONTROL.hold, true), left.getBigUint64(CONTROL.bind_epoch, true)], [HOLD.OFF, 1n])
})

test('detach() removes all pins where the native addon does not load, and says what it could not do', () => {
  pinned('v1')
  const { found, released, problem } = detach(pins, () => { throw new Error('no libbpf') }, () => true)
  assert.deepEqual([found, released], [true, 0])
  // Without cgroup v2 nothing is ever held.
  if (problem !== undefined) assert.match(problem, /no libbpf.*kill -CONT/)
  assert.deepEqual(detach(pins, () => fake.binding(), () => true).found, false)
})

test('detach() touches nothing outside a bpffs, and in one nothing that no agent made', () => {
  pinned('v1')
  assert.deepEqual(detach(pins, () => fake.binding()), { found: false, released: 0, problem: `${pins} is not in a bpffs: nothing was touched` })
  assert.deepEqual(detach(join(root, 'nowhere'), () => fake.binding()), { found: false, released: 0, problem: undefined })
  for (const name of ['notes', 'vault', 'v1x']) {
    mkdirSync(join(pins, name))
    writeFileSync(join(pins, name, 'kept'), '')
  }
  assert.equal(detach(pins, () => fake.binding(), () => true).found, true)
  assert.deepEqual(readdirSync(pins).toSorted(), ['notes', 'v1x', 'vault'])
})
