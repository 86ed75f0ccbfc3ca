// SPDX-License-Identifier: Apache-2.0
// Whose rules apply: the nearest bound cgroup's, wherever a process goes and however it got there. Namespaces and roots change nothing.
import assert from 'node:assert/strict'
import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs'
import { after, afterEach, before, beforeEach, test } from 'node:test'
import { BIND, EVENT_FLAG, STATS } from '../../agent/abi.ts'
import { cgroupId, enter, Node, policy, testCgroup, type Loaded } from './node.ts'
import { hostTrial, O, PROGRAM, TrialContainer, type Trial } from './trial.ts'

const CLONE_NEWNS = 0x20000
const [FIRST, SECOND] = ['/run/merlon-cgroups/first', '/run/merlon-cgroups/second']
/** Not the trial's own image: a process from outside may execute that one again. */
const OTHER = '/run/merlon-cgroups/program'
const ROOT = '/sys/fs/cgroup'

let node: Node
let outer: string
let inner: string
let leaf: string
let denyFirst: Loaded
let denySecond: Loaded
let trial: Trial
let pid: number

before(() => {
  node = new Node()
  mkdirSync('/run/merlon-cgroups', { recursive: true })
  for (const path of [FIRST, SECOND]) writeFileSync(path, '')
  copyFileSync(PROGRAM, OTHER)
  ;[outer, inner, leaf] = ['outer', 'outer/inner', 'outer/inner/leaf'].map(testCgroup) as [string, string, string]
  denyFirst = node.load(policy(`  file:\n    matchPaths: [{path: ${FIRST}}]\n  action: Block`))
  denySecond = node.load(policy(`  file:\n    matchPaths: [{path: ${SECOND}}]\n  action: Block`))
})
after(() => {
  assert.deepEqual(node.errors(), {})
  node.close()
})
beforeEach(() => { ({ trial, pid } = hostTrial()) })
afterEach(async () => {
  await trial.end()
  node.unbindAll()
})

/** What opening both files comes to. */
async function both(...prefix: string[]): Promise<string> {
  const [first, second] = [await trial.ask(...prefix, 'open', FIRST, O.RDONLY), await trial.ask(...prefix, 'open', SECOND, O.RDONLY)]
  return `${first.error} ${second.error}`
}

test('a bound ancestor decides for all cgroups below it', async () => {
  node.bind(outer, denyFirst.slot.slot, BIND.PLAIN)
  enter(leaf, pid)
  node.drain()
  assert.equal(await both(), 'EACCES ok')
  const [event, ...others] = node.drain()
  assert.deepEqual([event?.boundId, event?.cgroupId, event?.hostPid, others.length], [cgroupId(outer), cgroupId(leaf), pid, 0])
})

test('of two bound ancestors the nearest decides, alone', async () => {
  node.bind(outer, denyFirst.slot.slot, BIND.PLAIN)
  node.bind(inner, denySecond.slot.slot, BIND.PLAIN)
  enter(leaf, pid)
  assert.equal(await both(), 'ok EACCES')
  enter(outer, pid)
  assert.equal(await both(), 'EACCES ok')
})

test('a cgroup that is bound to slot 0 has no rules, whatever is above it', async () => {
  node.bind(outer, denyFirst.slot.slot, BIND.PLAIN)
  node.bind(inner, 0, BIND.PLAIN)
  enter(leaf, pid)
  assert.equal(await both(), 'ok ok')
})

test('a binding that comes, changes and goes holds for the next operation', async () => {
  enter(leaf, pid)
  assert.equal(await both(), 'ok ok')
  node.bind(inner, denyFirst.slot.slot, BIND.PLAIN)
  assert.equal(await both(), 'EACCES ok')
  node.bind(inner, denySecond.slot.slot, BIND.PLAIN)
  assert.equal(await both(), 'ok EACCES')
  node.unbindAll()
  assert.equal(await both(), 'ok ok')
})

test('a process that moves in and out has the rules of where it is', async () => {
  node.bind(inner, denyFirst.slot.slot)
  for (let i = 0; i < 3; i++) {
    assert.equal(await both(), 'ok ok')
    enter(leaf, pid)
    assert.equal(await both(), 'EACCES ok')
    enter(ROOT, pid)
  }
})

test('the root cgroup, bound, covers what no other binding does', async () => {
  node.bind(inner, denySecond.slot.slot)
  node.bind(ROOT, denyFirst.slot.slot, BIND.HOST)
  assert.equal(await both(), 'EACCES ok')
  enter(leaf, pid)
  assert.equal(await both(), 'ok EACCES')
})

test('a process from outside is held to explicit rules at once, and to the rest from its first exec', async () => {
  const allowList = node.load(policy(`  process:\n    matchPaths: [{path: ${OTHER}}]\n  file:\n    matchPaths: [{path: ${OTHER}}, {path: ${FIRST}, readOnly: true}]\n  action: Allow`))
  const denyExec = node.load(policy(`  process:\n    matchPaths: [{path: ${OTHER}}]\n  file:\n    matchPaths: [{path: ${FIRST}}]\n  action: Block`))
  node.bind(inner, denyExec.slot.slot)
  enter(leaf, pid)
  node.drain()
  assert.equal(await both(), 'EACCES ok')
  assert.equal((await trial.ask('exec', OTHER, 'once', 'pid')).error, 'EACCES')
  assert.ok(node.drain().every((event) => (event.flags & EVENT_FLAG.ENTERING) !== 0))
  node.bind(inner, allowList.slot.slot)
  const exempted = node.stat(STATS.indexOf('entering'))
  assert.equal(await both(), 'ok ok')
  assert.equal(node.stat(STATS.indexOf('entering')), exempted + 1)
  assert.equal(await trial.must('exec', OTHER, 'once', 'open', SECOND, '0'), '13')
  assert.equal(await trial.must('exec', OTHER, 'once', 'open', FIRST, '0'), '0')
})

test('children and threads are of the same cgroup', async () => {
  node.bind(inner, denyFirst.slot.slot)
  enter(leaf, pid)
  assert.equal(await both('fork'), 'EACCES ok')
  assert.equal(await both('thread'), 'EACCES ok')
  assert.equal(await both('fork', 'fork', 'thread'), 'EACCES ok')
})

test('a child that is cloned into a cgroup has its rules from the first instruction', async () => {
  node.bind(inner, denyFirst.slot.slot)
  assert.equal(await both('into', leaf), 'EACCES ok')
  assert.equal(await both(), 'ok ok')
  assert.equal(await both('into', leaf, 'into', outer), 'ok ok')
})

test('a child that a container moves before it has done anything is no start-up code', async () => {
  const place = await TrialContainer.start({ runtime: 'crun', root: 'busybox', shared: ['cgroup'], binds: [{ source: ROOT, destination: '/cgroups' }] }, (container) => {
    writeFileSync(`${container.rootfs}/secret`, '')
    node.bind(container.cgroup, node.load(policy('  file:\n    matchDirectories: [{dir: /cgroups/, recursive: true}]\n  action: Allow')).slot.slot)
  })
  try {
    const below = `${place.container.cgroup}/below`
    mkdirSync(below)
    const procs = `/cgroups${below.slice(ROOT.length)}/cgroup.procs`
    assert.equal((await place.trial.ask('open', '/secret', O.RDONLY)).error, 'EACCES')
    assert.equal((await place.trial.ask('moved', procs, 'open', procs, O.RDONLY)).error, 'ok')
    assert.equal((await place.trial.ask('moved', procs, 'open', '/secret', O.RDONLY)).error, 'EACCES')
  } finally {
    await place.delete()
  }
})

test('another mount namespace or root is no way out', async () => {
  node.bind(inner, denyFirst.slot.slot, BIND.PLAIN)
  enter(leaf, pid)
  await trial.must('unshare', CLONE_NEWNS)
  assert.equal(await both(), 'EACCES ok')
  await trial.must('setns', '/proc/1/ns/mnt')
  assert.equal(await both(), 'EACCES ok')
  await trial.must('chroot', '/run/merlon-cgroups')
  node.drain()
  assert.equal((await trial.ask('open', '/first', O.RDONLY)).error, 'EACCES')
  assert.equal(node.drain()[0]?.path, FIRST)
  assert.equal((await trial.ask('open', '/second', O.RDONLY)).error, 'ok')
})

test('a process of the node that joins a container\'s namespaces keeps its own rules', async () => {
  const place = await TrialContainer.start({ runtime: 'crun', root: 'busybox' }, ({ rootfs }) => writeFileSync(`${rootfs}/file`, ''))
  try {
    const rules = node.load(policy('  file:\n    matchPaths: [{path: /file}]\n  action: Block'))
    node.bind(place.container.cgroup, rules.slot.slot)
    assert.equal((await place.trial.ask('open', '/file', O.RDONLY)).error, 'EACCES')
    await trial.must('setns', `/proc/${place.pid}/ns/mnt`)
    assert.equal((await trial.ask('open', '/file', O.RDONLY)).error, 'ok')
    // What is mounted there in a container is its own cgroup.
    assert.equal((await trial.ask('into', '/sys/fs/cgroup', 'open', '/file', O.RDONLY)).error, 'EACCES')
    enter(place.container.cgroup, pid)
    assert.equal((await trial.ask('open', '/file', O.RDONLY)).error, 'EACCES')
  } finally {
    await place.delete()
  }
})
