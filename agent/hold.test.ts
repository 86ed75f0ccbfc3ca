// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, test } from 'node:test'
import { SimulatedClock } from '../runtime/clock.ts'
import { encodeHeld, HELD, u64, view } from './abi.ts'
import { cgroupIdOf } from './containers/cgroups.ts'
import type { Container } from './containers/source.ts'
import { ANSWER_MS, AWAY_MS, CLAIM_MS, Holder, isUnit, type Unbound } from './hold.ts'
import { FakeKernel } from './testing/native.ts'

let root = ''
let cgroups = ''
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'merlon-hold-'))
  cgroups = join(root, 'cgroup')
})
afterEach(() => { rmSync(root, { recursive: true }) })

/** A cgroup with processes, and their /proc entries. */
function cgroup(name: string, ...pids: number[]): bigint {
  const path = join(cgroups, name)
  mkdirSync(path, { recursive: true })
  writeFileSync(join(path, 'cgroup.procs'), pids.map((pid) => `${pid}\n`).join(''))
  for (const pid of pids) {
    mkdirSync(join(root, 'proc', String(pid)), { recursive: true })
    writeFileSync(join(root, 'proc', String(pid), 'cgroup'), `1:name=systemd:/x\n0::/${name}\n`)
  }
  const id = cgroupIdOf(path)
  assert.ok(id)
  return id
}

function container(id: string, path: string): Container {
  const cgroupPath = join(cgroups, path)
  return { id, cgroupPath, cgroupId: cgroupIdOf(cgroupPath) ?? 0n, namespace: '', pod: '', podUid: '', container: id, image: '', labels: {}, runtime: 'crun' }
}

function start(unbound: Unbound = 'allow') {
  const held = new FakeKernel('').createMap({ type: 1, name: 'held', keySize: 8, valueSize: 8, maxEntries: 8 })
  const state = { held, clock: new SimulatedClock(), containers: [] as Container[], bound: new Set<bigint>(), answered: new Set<string>(), away: 0 }
  const seen: string[] = []
  const holder = new Holder({
    held, unbound, cgroupRoot: cgroups, clock: state.clock, proc: join(root, 'proc'),
    containers: () => state.containers, covers: (id) => state.bound.has(id), isAnswered: (workload) => state.answered.has(workload),
    announce: (found, isWaiting) => { seen.push(`${isWaiting ? 'ask' : 'done'} ${found.id}`) },
    awayMs: () => state.away, notify: (level, message) => { seen.push(`${level}: ${message.replaceAll(cgroups, '')}`) }, resume: (pid) => { seen.push(`resume ${pid}`) },
  })
  const entry = (id: bigint): number | undefined => {
    const value = held.lookup(u64(id))
    return value && view(value).getUint32(0, true)
  }
  const hold = (id: bigint, tgid: number): void => {
    held.update(u64(id), encodeHeld(HELD.WAITING, tgid))
    holder.onHeld(id, tgid)
  }
  return { ...state, state, holder, seen, entry, hold }
}

test('a container is announced, and released with all its processes when it is bound', () => {
  const id = cgroup('demo', 41, 42)
  const { hold, state, holder, seen, entry } = start()
  state.containers = [container('demo', 'demo')]
  hold(id, 41)
  assert.deepEqual(seen, ['ask demo'])
  assert.equal(entry(id), HELD.WAITING)
  state.bound.add(id)
  holder.check()
  assert.deepEqual(seen, ['ask demo', 'resume 41', 'resume 42', 'done demo'])
  assert.equal(entry(id), HELD.RESUMED)
  assert.equal(state.clock.waiting, 1)
  state.clock.advance(100)
  assert.equal(state.clock.waiting, 0, 'nothing is watched when nothing waits')
})

test('a container whose state file comes late is found by looking again', () => {
  const id = cgroup('late', 41)
  const { hold, state, seen } = start()
  hold(id, 41)
  state.clock.advance(CLAIM_MS - 100)
  state.containers = [container('late', 'late')]
  state.clock.advance(50)
  assert.deepEqual(seen, ['ask late'])
})

test('a cgroup below a container, and one below a bound pod, go with what is above', () => {
  const inner = cgroup('pod/demo/systemd', 41)
  cgroup('pod/demo')
  const pod = cgroup('pod')
  const { hold, state, seen } = start()
  state.containers = [container('demo', 'pod/demo'), container('pod/1', 'pod')]
  hold(inner, 41)
  assert.deepEqual(seen, ['ask demo'])
  state.bound.add(pod)
  state.clock.advance(50)
  assert.deepEqual(seen.slice(1), ['resume 41', 'done demo'])
})

test('the binding of the host covers no container', () => {
  const id = cgroup('demo', 41)
  const { hold, state, entry } = start()
  const hostId = cgroupIdOf(cgroups)
  assert.ok(hostId)
  state.bound.add(hostId)
  state.containers = [container('demo', 'demo')]
  hold(id, 41)
  assert.equal(entry(id), HELD.WAITING)
})

test('a container that no policy selects is released on the answer', () => {
  const id = cgroup('demo', 41)
  const { hold, state, seen } = start()
  state.containers = [container('demo', 'demo')]
  hold(id, 41)
  state.answered.add('demo')
  state.clock.advance(50)
  assert.deepEqual(seen, ['ask demo', 'resume 41', 'done demo'])
})

test('what nobody claims runs without a profile under allow and audit, and that is said', () => {
  for (const [unbound, level] of [['allow', 'info'], ['audit', 'warn']] as const) {
    const id = cgroup('stray', 41)
    const { hold, state, seen, entry } = start(unbound)
    hold(id, 41)
    state.clock.advance(CLAIM_MS - 1)
    assert.deepEqual(seen, [])
    state.clock.advance(50)
    assert.deepEqual(seen, [`${level}: Cgroup /stray runs without a profile of its own: no container runtime claims it`, 'resume 41'])
    assert.equal(entry(id), HELD.RESUMED)
  }
})

test('a unit of systemd that no runtime claims is let go at once, one that a runtime claims is not', () => {
  for (const unbound of ['allow', 'block'] as const) {
    const id = cgroup('system.slice/web.service', 41)
    const { hold, seen } = start(unbound)
    hold(id, 41)
    assert.deepEqual(seen, ['resume 41'])
  }
  const id = cgroup('system.slice/db.service', 51)
  const { hold, state, seen } = start()
  state.containers = [container('db', 'system.slice/db.service')]
  hold(id, 51)
  assert.deepEqual(seen, ['ask db'])
})

test('isUnit() tells units of the node from scopes of container engines', () => {
  const units = ['system.slice/cron.service', 'user.slice/user-0.slice', 'init.scope', 'user-0.slice/session-12.scope', 'app-firefox-77.scope', 'run-u12.scope']
  for (const path of units) assert.ok(isUnit(`/sys/fs/cgroup/${path}`), path)
  const others = ['docker-0a1b.scope', 'crun-web.scope', 'cri-containerd-0a1b.scope', 'libpod-0a1b.scope', 'web.service/libpod-payload-0a1b', 'machine-sessions.scope', 'lxc.payload.web', 'web']
  for (const path of others) assert.ok(!isUnit(`/sys/fs/cgroup/${path}`), path)
})

test('under block it waits, which is said once, and runs when it is bound after all', () => {
  const id = cgroup('stray', 41)
  const { hold, state, seen, entry, holder } = start('block')
  hold(id, 41)
  state.clock.advance(60_000)
  assert.deepEqual(seen, ['warn: Cgroup /stray waits before its first instruction: no container runtime claims it, and unbound containers are blocked'])
  holder.stop()
  assert.equal(entry(id), HELD.WAITING)
  state.bound.add(id)
  state.clock.advance(50)
  assert.equal(entry(id), HELD.RESUMED)
})

test('an operator that is away is waited for two seconds, one that is silent five', () => {
  for (const [away, limit, why] of [[10, AWAY_MS, 'the operator is away'], [0, ANSWER_MS, 'no profile has come into force for it']] as const) {
    const id = cgroup('demo', 41)
    const { hold, state, seen } = start()
    state.containers = [container('demo', 'demo')]
    state.away = away
    hold(id, 41)
    state.clock.advance(limit - 50)
    assert.deepEqual(seen, ['ask demo'])
    state.clock.advance(50)
    assert.deepEqual(seen.slice(1), [`info: Container demo runs without a profile of its own: ${why}`, 'resume 41', 'done demo'])
  }
})

test('where both limits have passed, it is the operator that is away', () => {
  const { state, seen, hold } = start()
  const id = cgroup('late', 41)
  state.containers = [container('late', 'late')]
  hold(id, 41)
  state.clock.advance(ANSWER_MS - 50)
  state.away = 10
  state.clock.advance(50)
  assert.deepEqual(seen.filter((line) => line.startsWith('info')), ['info: Container late runs without a profile of its own: the operator is away'])
})

test('adopt() takes up what an earlier agent left stopped and forgets what is gone', () => {
  const waiting = cgroup('demo', 41)
  const released = cgroup('done', 51)
  const halfway = cgroup('halfway', 71)
  const { held, holder, state, seen, entry } = start()
  state.containers = [container('demo', 'demo')]
  held.update(u64(waiting), encodeHeld(HELD.WAITING, 41))
  held.update(u64(released), encodeHeld(HELD.RESUMED, 51))
  // The agent ended between its decision and SIGCONT.
  held.update(u64(halfway), encodeHeld(HELD.RELEASED, 71))
  held.update(u64(999_999n), encodeHeld(HELD.WAITING, 61))
  holder.adopt()
  assert.deepEqual(seen.toSorted(), ['ask demo', 'resume 71'])
  assert.deepEqual([entry(released), entry(halfway)], [HELD.RESUMED, HELD.RESUMED])
  assert.equal(entry(999_999n), undefined)
  rmSync(join(cgroups, 'done'), { recursive: true })
  holder.sweep()
  assert.equal(entry(released), undefined)
})

test('a stop that crossed with the release is undone at once', () => {
  const id = cgroup('demo', 41)
  const { hold, state, holder, seen } = start()
  hold(id, 41)
  state.clock.advance(CLAIM_MS)
  cgroup('demo', 41, 43)
  holder.onHeld(id, 43)
  assert.deepEqual(seen.slice(-2), ['resume 41', 'resume 43'])
  assert.equal(holder.size, 0)
})

test('a container that is removed while it waits is forgotten', () => {
  const id = cgroup('demo', 41)
  const { hold, state, holder, entry } = start()
  hold(id, 41)
  rmSync(join(cgroups, 'demo'), { recursive: true })
  state.clock.advance(50)
  assert.equal(holder.size, 0)
  assert.equal(entry(id), undefined)
})

test('stop() lets go of what waits, unless unbound containers are blocked', () => {
  const id = cgroup('demo', 41)
  const { hold, holder, seen } = start()
  hold(id, 41)
  holder.stop()
  assert.deepEqual(seen, ['resume 41'])
})

test('the agent\'s own cgroup is never held, and is forgotten when it is gone', () => {
  const id = cgroup('agent', 7)
  const { held, holder, entry } = start()
  held.update(u64(id), encodeHeld(HELD.WAITING, 7))
  holder.exempt(join(cgroups, 'agent'))
  assert.equal(entry(id), HELD.RESUMED)
  rmSync(join(cgroups, 'agent'), { recursive: true })
  holder.sweep()
  assert.equal(entry(id), undefined)
})
