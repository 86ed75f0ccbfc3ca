// SPDX-License-Identifier: Apache-2.0
// From a container's first instruction: what is bound before it starts, and what is held until it is bound.
import assert from 'node:assert/strict'
import { mkdirSync, readFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { after, afterEach, before, test } from 'node:test'
import { BIND, BOUND, encodeHeld, EVENT_KIND, HELD, HOLD, OP, STATS, u64, VERDICT } from '../../agent/abi.ts'
import type { KernelEvent } from '../../agent/records.ts'
import { Container, ROOTS, RUNTIMES, type Root, type Runtime } from '../support/container.ts'
import { cgroupId, Node, policy, type Loaded } from './node.ts'
import { until } from './wait.ts'
import { furnish } from './world.ts'

const ENTRY = '/t/bin/one'

let node: Node
let denyEntry: Loaded
let container: Container
/** Of its cgroup, which is gone when it is, or of the pod around it. */
let id: bigint
let stopBeating = (): void => {}

before(() => {
  node = new Node()
  denyEntry = node.load(policy(`  process:\n    matchPaths: [{path: ${ENTRY}}]\n  action: Block`))
})
after(() => {
  assert.deepEqual(node.errors(), {})
  node.close()
})
afterEach(() => {
  stopBeating()
  node.hold(false)
  container.delete()
  node.unbindAll()
})

function fresh(runtime: Runtime, root: Root): Container {
  container = new Container({ runtime, root, args: [ENTRY, 'and', 'arguments'] })
  furnish(container)
  node.drain()
  return container
}

/** Runtimes take a cgroup that is there already and empty. */
function bindFirst(): void {
  mkdirSync(container.cgroup, { recursive: true })
  id = node.bind(container.cgroup, denyEntry.slot.slot)
}

const seen: KernelEvent[] = []
async function event(what: string, is: (event: KernelEvent) => boolean): Promise<KernelEvent> {
  return until(what, () => {
    seen.push(...node.drain())
    const at = seen.findIndex(is)
    return at < 0 ? undefined : seen.splice(0, at + 1).at(-1)
  })
}

const isDenial = (one: KernelEvent): boolean => one.kind === EVENT_KIND.DECISION && one.verdict === VERDICT.BLOCK && one.boundId === id
const isHeld = (one: KernelEvent): boolean => one.kind === EVENT_KIND.HELD

function checkDenial(one: KernelEvent): void {
  assert.deepEqual([one.op, one.path, one.clause, one.boundId, one.args], [OP.EXEC, ENTRY, 1, id, [ENTRY, 'and', 'arguments']])
}

function beat(): void {
  node.hold(true)
  const timer = setInterval(() => node.hold(true), 500)
  stopBeating = () => clearInterval(timer)
}

function stateOf(pid: number): string {
  return / ([A-Z]) /.exec(readFileSync(`/proc/${pid}/stat`, 'utf8').replace(/^.*\)/, ''))?.[1] ?? ''
}

/** As the agent does it: the mark first, or the exec that runs again would be held again. */
function release(held: KernelEvent): void {
  node.kernel.maps.held.update(u64(held.cgroupId), encodeHeld(HELD.RELEASED, held.hostPid))
  process.kill(held.hostPid, 'SIGCONT')
}

/** The held event of a container that stands still before its first instruction. */
async function stopped(): Promise<KernelEvent> {
  const held = await event('held container', isHeld)
  assert.deepEqual([held.path, held.cgroupId], [ENTRY, cgroupId(container.cgroup)])
  await until('stopped process', () => (stateOf(held.hostPid) === 'T' ? true : undefined))
  return held
}

for (const runtime of RUNTIMES) {
  for (const root of ROOTS) {
    test(`${runtime} run, ${root} root: an entrypoint that is blocked does not run`, async () => {
      fresh(runtime, root)
      bindFirst()
      const { status, output } = await container.run()
      assert.notEqual(status, 0)
      assert.match(output, /permission denied/i)
      assert.doesNotMatch(output, /ran/)
      checkDenial(await event('denial', isDenial))
    })
  }

  test(`${runtime} create and start: an entrypoint that is blocked in between does not run`, async () => {
    fresh(runtime, 'debian')
    container.create()
    assert.equal(container.state(), 'created')
    id = node.bind(container.cgroup, denyEntry.slot.slot)
    try {
      await container.start()
    } catch (error) {
      assert.match(String(error), /permission denied/i)
    }
    checkDenial(await event('denial', isDenial))
    await until('end', () => (container.state() === 'stopped' ? true : undefined))
  })

  test(`${runtime} run: an unknown container is held, and then held to what it was bound to`, async () => {
    fresh(runtime, 'debian')
    const count = node.stat(STATS.indexOf('held'))
    beat()
    const running = container.run()
    const held = await stopped()
    id = node.bind(container.cgroup, denyEntry.slot.slot)
    release(held)
    const { status, output } = await running
    assert.notEqual(status, 0)
    assert.match(output, /permission denied/i)
    checkDenial(await event('denial', isDenial))
    assert.equal(node.stat(STATS.indexOf('held')), count + 1)
  })

  test(`${runtime} run: an unknown container that nothing applies to runs once it is released`, async () => {
    fresh(runtime, 'busybox')
    beat()
    const running = container.run()
    const held = await stopped()
    release(held)
    assert.deepEqual(await running, { status: 0, output: 'ran' })
    assert.deepEqual(node.drain().filter(isHeld), [])
  })

  test(`${runtime} create and start: it is held at start`, async () => {
    fresh(runtime, 'debian')
    container.create()
    beat()
    await container.start()
    const held = await stopped()
    assert.equal(held.hostPid, container.pid())
    id = node.bind(container.cgroup, denyEntry.slot.slot)
    release(held)
    checkDenial(await event('denial', isDenial))
  })

  test(`${runtime} run: without a heartbeat nobody is held`, async () => {
    fresh(runtime, 'debian')
    node.control.setHold(HOLD.LIVE)
    node.control.beat(node.uptimeNs() - 3_100_000_000n)
    const count = node.stat(STATS.indexOf('not_held'))
    assert.deepEqual(await container.run(), { status: 0, output: 'ran' })
    assert.deepEqual(node.drain(), [])
    assert.ok(node.stat(STATS.indexOf('not_held')) > count, 'counted')
  })

  test(`${runtime} run: where unknown containers are blocked, it is held without a heartbeat too`, async () => {
    fresh(runtime, 'busybox')
    node.control.setHold(HOLD.ALWAYS)
    node.control.beat(0n)
    const running = container.run()
    const held = await stopped()
    release(held)
    assert.deepEqual(await running, { status: 0, output: 'ran' })
  })

  test(`${runtime} run: in a pod whose containers are told apart, each is held until it is bound itself; one that is bound already is not`, async () => {
    fresh(runtime, 'debian')
    node.bind(dirname(container.cgroup), 0, BIND.CONTAINER, { flags: BOUND.HOLDS })
    beat()
    const running = container.run()
    const held = await stopped()
    assert.equal(held.boundId, cgroupId(dirname(container.cgroup)))
    id = node.bind(container.cgroup, denyEntry.slot.slot)
    release(held)
    assert.match((await running).output, /permission denied/i)
    checkDenial(await event('denial', isDenial))
    container.delete()

    fresh(runtime, 'busybox')
    bindFirst()
    assert.match((await container.run()).output, /permission denied/i)
    const events = node.drain()
    assert.deepEqual([events.filter(isHeld), events.filter(isDenial).length], [[], 1])
  })

  test(`${runtime} run: in a pod whose containers are told apart, one that is let go as it is has the pod's rules`, async () => {
    fresh(runtime, 'debian')
    id = node.bind(dirname(container.cgroup), denyEntry.slot.slot, BIND.CONTAINER, { flags: BOUND.HOLDS })
    beat()
    const running = container.run()
    release(await stopped())
    assert.match((await running).output, /permission denied/i)
    checkDenial(await event('denial', isDenial))
  })

  test(`${runtime} run: a container that is bound is not held`, async () => {
    fresh(runtime, 'debian')
    mkdirSync(container.cgroup, { recursive: true })
    node.bind(container.cgroup, 0)
    beat()
    assert.deepEqual(await container.run(), { status: 0, output: 'ran' })
    assert.deepEqual(node.drain(), [])
  })
}
