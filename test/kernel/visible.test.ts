// SPDX-License-Identifier: Apache-2.0
// What is permitted is recorded where it is visible, and nowhere else; a record changes no verdict, and takes no room from those that matter.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs'
import { after, afterEach, before, beforeEach, test } from 'node:test'
import { BIND, OP, STATS, VERDICT, VISIBLE } from '../../agent/abi.ts'
import type { KernelEvent } from '../../agent/records.ts'
import { FLAGS } from '../../policy/table.ts'
import { SECTIONS } from '../../policy/types.ts'
import { enter, Node, policy, testCgroup, type Loaded } from './node.ts'
import { hostTrial, O, PROGRAM, TrialContainer, type Trial } from './trial.ts'

const [PLAIN, DENIED, AUDITED, ALLOWED] = ['/run/merlon-visible/plain', '/run/merlon-visible/denied', '/run/merlon-visible/audited', '/run/merlon-visible/allowed']
/** Not the trial's own image: a process from outside may execute that one again. */
const OTHER = '/run/merlon-visible/program'
const BOTH = VISIBLE.PROCESS | VISIBLE.FILE
/** Records of these paths have some 200 bytes, the ring 1 MiB. */
const FLOOD = 8000

let node: Node
let directory: string
let rules: Loaded
let trial: Trial
let pid: number

before(() => {
  node = new Node()
  mkdirSync('/run/merlon-visible', { recursive: true })
  for (const path of [PLAIN, DENIED, AUDITED, ALLOWED]) writeFileSync(path, '')
  copyFileSync(PROGRAM, OTHER)
  directory = testCgroup('visible')
  rules = node.load(policy(`  file:\n    matchPaths:\n    - {path: ${DENIED}, action: Block}\n    - {path: ${AUDITED}, action: Audit}\n    - {path: ${ALLOWED}, action: Allow}\n  action: Audit`), 'audit')
  // As the agent does before it binds something whose opens are visible, with or without file rules.
  assert.equal(node.kernel.onDemand.require(FLAGS.rules << SECTIONS.indexOf('file')), undefined)
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

const NAMES = ['exec', 'read', 'write']
const VERDICTS = ['log', 'audit', 'block']
const brief = ({ op, verdict, path }: KernelEvent): string => `${VERDICTS[verdict]} ${NAMES[op]} ${path}`

/** Opens each path for reading, executes the program that ends at once, and says what was recorded of that. */
async function recorded(...paths: string[]): Promise<string[]> {
  node.drain()
  for (const path of paths) await trial.ask('open', path, O.RDONLY)
  await trial.must('exec', OTHER, 'exit')
  const ours = (path: string): boolean => path.startsWith('/run/merlon-visible/')
  return node.drain().filter(({ path }) => ours(path)).map(brief)
}

test('nothing is recorded where nothing is visible', async () => {
  node.bind(directory, 0, BIND.PLAIN)
  enter(directory, pid)
  assert.deepEqual(await recorded(PLAIN), [])
})

test('each class by itself, where no rule applies at all', async () => {
  node.bind(directory, 0, BIND.PLAIN, { visible: VISIBLE.PROCESS })
  enter(directory, pid)
  assert.deepEqual(await recorded(PLAIN), [`log exec ${OTHER}`])
  // To execute a file the kernel opens it, as it does for a rule about files.
  node.bind(directory, 0, BIND.PLAIN, { visible: VISIBLE.FILE })
  assert.deepEqual(await recorded(PLAIN), [`log read ${PLAIN}`, `log read ${OTHER}`])
  node.bind(directory, 0, BIND.PLAIN, { visible: BOTH })
  assert.deepEqual(await recorded(PLAIN), [`log read ${PLAIN}`, `log read ${OTHER}`, `log exec ${OTHER}`])
  node.bind(directory, 0, BIND.PLAIN)
  assert.deepEqual(await recorded(PLAIN), [])
})

test('what a rule audits or blocks is told once, as that; what it allows and what no rule names is recorded', async () => {
  node.bind(directory, rules.slot.slot, BIND.PLAIN, { visible: BOTH })
  enter(directory, pid)
  const said = await recorded(PLAIN, DENIED, AUDITED, ALLOWED)
  // An allowing rule makes an allow-list of the section, and its posture is audit here: the rest is audited.
  assert.deepEqual(said, [`audit read ${PLAIN}`, `block read ${DENIED}`, `audit read ${AUDITED}`, `log read ${ALLOWED}`, `audit read ${OTHER}`, `log exec ${OTHER}`])
  assert.deepEqual(await recorded(), [`audit read ${OTHER}`, `log exec ${OTHER}`])
})

test('a record says who, what and with which arguments', async () => {
  node.bind(directory, 0, BIND.PLAIN, { visible: VISIBLE.PROCESS })
  enter(directory, pid)
  node.drain()
  await trial.must('exec', OTHER, 'one', 'two words')
  const [event, ...more] = node.drain()
  assert.equal(more.length, 0)
  assert.ok(event)
  const { op, verdict, clause, serial, reason, args, exe, hostPpid, boundId, cgroupId } = event
  assert.deepEqual({ op, verdict, clause, serial, reason, args, exe, hostPpid }, { op: OP.EXEC, verdict: VERDICT.ALLOW, clause: 0, serial: 0, reason: 0, args: [OTHER, 'one', 'two words'], exe: PROGRAM, hostPpid: pid })
  assert.equal(boundId, cgroupId)
})

test('opens of what hangs in no directory are not recorded; a program executed from memory is', async () => {
  node.bind(directory, 0, BIND.PLAIN, { visible: BOTH })
  enter(directory, pid)
  await trial.must('pipe')
  const memory = await trial.must('memfd', PROGRAM)
  node.drain()
  await trial.ask('open', '/proc/self/fd/0', O.RDONLY)
  await trial.ask('open', `/proc/self/fd/${memory}`, O.RDONLY)
  assert.deepEqual(node.drain().filter(({ path }) => !path.startsWith('/')), [])
  assert.equal(await trial.must('execfd', memory), 'ran')
  assert.deepEqual(node.drain().filter(({ path }) => !path.startsWith('/')).map(brief), ['log exec memfd:trial'])
})

test("a node's own processes are recorded, and not those of a container beneath it", async () => {
  node.bind('/sys/fs/cgroup', 0, BIND.HOST, { visible: VISIBLE.PROCESS })
  assert.deepEqual(await recorded(PLAIN), [`log exec ${OTHER}`])
  node.bind(directory, 0, BIND.CONTAINER)
  enter(directory, pid)
  assert.deepEqual(await recorded(PLAIN), [])
})

test("of a container's start its own first program is recorded, and nothing that the runtime does", async () => {
  const cgroupsPath = '/merlon-test/visible-container'
  const path = '/sys/fs/cgroup/merlon-test/visible-container'
  const container = await TrialContainer.start({ runtime: 'crun', root: 'debian', cgroupsPath }, () => {
    node.bind(path, 0, BIND.CONTAINER, { visible: BOTH })
    node.drain()
  })
  try {
    const [first, ...others] = node.drain().filter(({ boundId, path: opened }) => boundId !== 0n && opened !== '')
    assert.deepEqual([first && brief(first), others.filter(({ exe }) => exe.includes('crun')).map(brief)], ['log exec /trial', []])
    await container.trial.must('open', '/etc/passwd', O.RDONLY)
    assert.deepEqual(node.drain().map(brief), ['log read /etc/passwd'])
  } finally {
    await container.delete()
  }
})

test('a flood of records crowds out neither audits nor denials, and what has no room is counted', () => {
  node.bind(directory, rules.slot.slot, BIND.PLAIN, { visible: VISIBLE.FILE })
  node.drain()
  const lost = (name: 'logs_lost' | 'events_lost' | 'denials_lost'): number => node.stat(STATS.indexOf(name))
  const before = { logs: lost('logs_lost'), events: lost('events_lost'), denials: lost('denials_lost') }
  const flood = (path: string, times: number): string => {
    const result = spawnSync('sh', ['-c', `echo $$ > ${directory}/cgroup.procs && exec ${PROGRAM} once flood ${path} 0 ${times}`], { encoding: 'utf8' })
    assert.equal(result.status, 0, result.stderr)
    return result.stdout.trim()
  }
  assert.deepEqual([flood(ALLOWED, FLOOD), flood(AUDITED, 500), flood(DENIED, 100)], [`0 ${FLOOD} 0`, '0 500 0', '0 0 100'])
  const events = node.drain()
  const count = (path: string, verdict: number): number => events.filter((event) => event.path === path && event.verdict === verdict).length
  const logs = count(ALLOWED, VERDICT.ALLOW)
  assert.deepEqual([count(AUDITED, VERDICT.AUDIT), count(DENIED, VERDICT.BLOCK), lost('events_lost') - before.events, lost('denials_lost') - before.denials], [500, 100, 0, 0])
  assert.ok(logs > 0 && logs < FLOOD, `${logs} of ${FLOOD}: the flood is too small`)
  assert.ok(lost('logs_lost') - before.logs >= FLOOD - logs, 'counted')
})
