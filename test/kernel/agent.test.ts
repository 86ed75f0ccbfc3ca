// SPDX-License-Identifier: Apache-2.0
// The agent as it is shipped, with an operator: containers that it has never seen are held, bound and decided from their first instruction; it is
// killed, started again, ended, left alone by its operator, and never is anything decided differently for that, nor left standing.
import assert from 'node:assert/strict'
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, afterEach, before, test } from 'node:test'
import { VERSION_DIRECTORY } from '../../agent/pins.ts'
import { Container, type ContainerOptions, RUNTIMES, type Ended } from '../support/container.ts'
import { AgentProcess, PINS, runAgent, TestOperator } from './agent-process.ts'
import { policy } from './node.ts'
import { O, TrialContainer } from './trial.ts'
import { until } from './wait.ts'
import { furnish } from './world.ts'

const [DENIED, LATER, FREE, ENTRY] = ['/s/denied', '/s/later', '/s/free', '/t/bin/one']
const annotations = { app: 'web' }
const POLICY = policy(`  process:\n    matchPaths: [{path: ${ENTRY}}]\n  file:\n    matchPaths: [{path: ${DENIED}}]\n  action: Block`)
const EDITED = policy(`  file:\n    matchPaths: [{path: ${LATER}}]\n  action: Block`)

const operator = new TestOperator()
let agent: AgentProcess | undefined
let place: TrialContainer
const strays: Container[] = []

before(async () => {
  mkdirSync('/run/merlon-agent', { recursive: true })
  await operator.start()
  operator.policies(POLICY)
})
afterEach(() => { for (const container of strays.splice(0)) container.delete() })
after(async () => {
  await agent?.end('SIGKILL')
  await place.delete()
  await operator.stop()
  await runAgent('--detach')
})

/** A container that runs one program to its end. */
function once(runtime: (typeof RUNTIMES)[number], labels: Record<string, string> = annotations, options: Pick<ContainerOptions, 'id' | 'cgroupsPath'> = {}): Container {
  const container = new Container({ ...options, runtime, root: 'busybox', args: [ENTRY], annotations: labels })
  furnish(container)
  strays.push(container)
  return container
}

function attached(program: string): boolean {
  const directory = readdirSync(join(PINS, VERSION_DIRECTORY)).find((name) => name.startsWith('links-')) ?? ''
  return existsSync(join(PINS, VERSION_DIRECTORY, directory, program))
}

async function opened(path: string): Promise<string> {
  return (await place.trial.ask('open', path, O.RDONLY)).error
}

for (const runtime of RUNTIMES) {
  test(`${runtime}: the first program of a container that the agent has never seen is decided; one that no policy selects runs`, async () => {
    // block: how long an answer takes in an emulated guest decides nothing.
    if (agent === undefined) {
      agent = await AgentProcess.start('--unbound', 'block')
      await operator.inForce('host', false)
      assert.ok(!attached('merlon_file_open'), 'nobody wrote file rules')
    }
    const { status, output } = await once(runtime).run()
    assert.notEqual(status, 0)
    assert.match(output, /permission denied/i)
    assert.deepEqual(await once(runtime, { app: 'other' }).run(), { status: 0, output: 'ran' })
    assert.ok(attached('merlon_file_open') && attached('merlon_exec'))
  })
}

const UID = '6f2c1a44_1b2c_4d3e_8f90_0123456789ab'
const pod = (at: string): string => at.replaceAll('UID', UID)
/** How a kubelet and its runtime name cgroups: some of what kubepods.test.ts has all of. */
const PLACES = [
  pod('/kubepods/burstable/podUID/').replaceAll('_', '-'), pod('/kubepods.slice/kubepods-podUID.slice/cri-containerd-'),
  pod('/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-besteffort.slice/kubelet-kubepods-besteffort-podUID.slice/crio-'), pod('/kubepods-podUID.slice:cri-containerd:'),
]

for (const [index, place] of PLACES.entries()) {
  const runtime = RUNTIMES[index % RUNTIMES.length] ?? 'crun'
  test(`${runtime}: a container in ${place}<id> is bound before its first instruction`, { timeout: 600_000 }, async () => {
    const id = `${index}a`.repeat(32)
    const { status, output } = await once(runtime, annotations, { id, cgroupsPath: `${place}${id}${place.endsWith('-') ? '.scope' : ''}` }).run()
    assert.notEqual(status, 0)
    assert.match(output, /permission denied/i)
  })
}

test('a container is bound before its first instruction, and an edit is in force without a restart', async () => {
  place = await TrialContainer.start({ runtime: 'crun', root: 'debian', annotations }, ({ rootfs }) => {
    mkdirSync(join(rootfs, 's'))
    for (const path of [DENIED, LATER, FREE]) writeFileSync(join(rootfs, path), '')
  })
  assert.deepEqual([await opened(DENIED), await opened(LATER), await opened(FREE)], ['EACCES', 'ok', 'ok'])
  operator.policies(EDITED)
  await operator.inForce(place.container.id)
  assert.deepEqual([await opened(DENIED), await opened(LATER)], ['ok', 'EACCES'])
  operator.policies(POLICY)
  await operator.inForce(place.container.id)
  assert.deepEqual([await opened(DENIED), await opened(LATER)], ['EACCES', 'ok'])
})

test('rules that no program of this agent decides are acknowledged as such, aloud, and the rest of the profile is in force', async () => {
  operator.policies(policy(`  network:\n    matchProtocols: [{protocol: tcp}]\n  file:\n    matchPaths: [{path: ${LATER}}]\n  action: Block`))
  await operator.inForce(place.container.id)
  assert.deepEqual([await opened(DENIED), await opened(LATER)], ['ok', 'EACCES'])
  const [error, ...others] = operator.errors()
  assert.deepEqual([error?.code, error?.workload, others], ['MERLON_AGENT_NOT_ENFORCED', place.container.id, []])
  assert.match(error?.message ?? '', /does not enforce network/)
  operator.policies(POLICY)
  await operator.inForce(place.container.id)
  assert.deepEqual(operator.errors(), [])
})

test('kill -9: the next agent takes over what it finds, and a violator is denied all the while', async () => {
  const stop = await place.trial.violateEvery(20_000, 'r', DENIED, 'r', FREE)
  assert.deepEqual(await agent?.end('SIGKILL'), [null, 'SIGKILL'])
  agent = await AgentProcess.start('--unbound', 'audit')
  assert.equal((await agent.said('Started'))['kernelSide'], 'adopted')
  await operator.inForce(place.container.id)
  const [denied, free] = await stop()
  assert.ok(denied && free)
  assert.deepEqual([denied.succeeded, free.denied], [0, 0])
  assert.ok(denied.denied > 0 && free.succeeded > 0)
})

test('while the operator is away the agent goes on, lets new containers run without a profile under --unbound audit, and connects again', async () => {
  await operator.stop()
  await agent?.said('Lost the operator')
  assert.deepEqual(await once('crun').run(), { status: 0, output: 'ran' })
  // For whichever reason came first (hold.test.ts has them apart): in an emulated guest, claiming a container may take longer than being away.
  await agent?.said('runs without a profile of its own: ')
  assert.equal(await opened(DENIED), 'EACCES')
  await operator.start()
  await operator.inForce(place.container.id)
  assert.equal(await opened(DENIED), 'EACCES')
})

test('SIGTERM ends it cleanly, and enforcement goes on', async () => {
  assert.deepEqual(await agent?.end('SIGTERM'), [0, null])
  agent = undefined
  assert.equal(await opened(DENIED), 'EACCES')
  assert.equal(await opened(FREE), 'ok')
})

/** Starts a container, under an agent that holds it, and returns once it stands still. */
async function held(): Promise<{ readonly container: Container; readonly ended: Promise<Ended> }> {
  const container = once('crun')
  const ended = container.run()
  const tooSoon = ended.then(({ output }) => { throw new Error(`The container was not held: ${output}`) })
  tooSoon.catch(() => {})
  await Promise.race([tooSoon, until('stopped process', () => (isStopped(container) ? true : undefined))])
  return { container, ended }
}

function isStopped({ cgroup }: Container): boolean {
  try {
    const pids = readFileSync(join(cgroup, 'cgroup.procs'), 'utf8').split('\n').filter(Boolean)
    return pids.some((pid) => /\) T /.test(readFileSync(`/proc/${pid}/stat`, 'utf8')))
  } catch {
    return false
  }
}

test('what an agent held when it was killed is taken up by the next one, and let go by the end of enforcement', async () => {
  await operator.stop()
  agent = await AgentProcess.start('--unbound', 'block')
  const first = await held()
  await agent.end('SIGKILL')
  assert.ok(isStopped(first.container))
  agent = await AgentProcess.start('--unbound', 'block')
  await agent.said(`Container ${first.container.id} waits before its first instruction`)
  const second = await held()
  await agent.end('SIGKILL')
  assert.match(await runAgent('--detach'), /Detached.*Released containers.*"count":2/s)
  for (const { ended } of [first, second]) assert.deepEqual(await ended, { status: 0, output: 'ran' })
  assert.deepEqual(readdirSync('/sys/fs/bpf').filter((name) => PINS.endsWith(`/${name}`)), [])
  // The kernel frees a link some time after its last pin went (bpf_link_put).
  await until('end of enforcement', async () => ((await opened(DENIED)) === 'ok' ? true : undefined))
})
