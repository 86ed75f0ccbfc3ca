// SPDX-License-Identifier: Apache-2.0
// What somebody tries who knows the rules and wants around them. Each trick is refused, or is one of those that a rule about paths does not close:
// then it is here all the same, so that docs/semantics.md ("Other names") says what is so.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { chmodSync, copyFileSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { after, afterEach, before, beforeEach, test } from 'node:test'
import { BIND, EVENT_FLAG, OP, REASONS, STATS, VERDICT } from '../../agent/abi.ts'
import type { KernelEvent } from '../../agent/records.ts'
import { Container, RUNTIMES } from '../support/container.ts'
import { enter, Node, policy, testCgroup } from './node.ts'
import { hostTrial, O, PROGRAM, TrialContainer, type Trial, type Word } from './trial.ts'
import { furnish } from './world.ts'

const TOP = '/run/merlon-tricks'
const SECRET = `${TOP}/secret/file`
/** On the guest's disk, whose file system can open by handle without a name. */
const ON_DISK = '/var/merlon-tricks'
const [CLONE_NEWUSER, CLONE_NEWNS] = [0x10000000, 0x20000]
const [MS_BIND, MS_PRIVATE_REC] = [4096, 0x44000]
const ROOT = '/sys/fs/cgroup'

let node: Node
let directory: string
let trial: Trial
let pid: number

before(() => {
  node = new Node()
  directory = testCgroup('tricks')
})
after(() => {
  assert.deepEqual(node.errors(), {})
  node.close()
})
beforeEach(() => {
  rmSync(TOP, { recursive: true, force: true })
  for (const each of ['secret', 'open', 'bin']) mkdirSync(`${TOP}/${each}`, { recursive: true })
  for (const path of [SECRET, ON_DISK]) writeFileSync(path, 'secret')
  for (const each of ['good', 'bad']) copyFileSync(PROGRAM, `${TOP}/bin/${each}`)
  ;({ trial, pid } = hostTrial())
  enter(directory, pid)
  bind(`  process:\n    matchPaths: [{path: ${TOP}/bin/bad}]\n  file:\n    matchPaths: [{path: ${SECRET}}, {path: ${ON_DISK}}]\n  action: Block`)
})
afterEach(async () => {
  await trial.end()
  node.unbindAll()
})

function bind(spec: string): void {
  node.bind(directory, node.load(policy(spec)).slot.slot, BIND.PLAIN)
  node.drain()
}

/** Tries, expects a denial, and returns its event, which must be the only one. */
async function denied(...words: Word[]): Promise<KernelEvent> {
  node.drain()
  const { error } = await trial.ask(...words)
  const [event, ...others] = node.drain()
  assert.deepEqual([error, event?.verdict, others.length], ['EACCES', VERDICT.BLOCK, 0], words.join(' '))
  assert.ok(event)
  return event
}

async function permitted(...words: Word[]): Promise<void> {
  node.drain()
  assert.equal((await trial.ask(...words)).error, 'ok', words.join(' '))
  assert.deepEqual(node.drain(), [])
}

async function ownMounts(): Promise<void> {
  await trial.must('unshare', CLONE_NEWNS)
  await trial.must('mount', 'none', '/', 'none', MS_PRIVATE_REC)
}

/* ---- Refused ---- */

test('a chain of symbolic links, relative and absolute, with .. in it', async () => {
  symlinkSync('../secret', `${TOP}/open/one`)
  symlinkSync(`${TOP}/open/one/../secret`, `${TOP}/open/two`)
  symlinkSync('two/./file', `${TOP}/open/three`)
  for (const path of [`${TOP}/open/one/file`, `${TOP}/open/two/file`, `${TOP}/open/three`, `/proc/self/root${TOP}/open/three`]) {
    assert.equal((await denied('open', path, O.RDONLY)).path, SECRET)
  }
})

test('a file that is opened by its handle: by the name that the kernel has for it, and where it has none, undecidable', async (context) => {
  await trial.must('handle', SECRET)
  assert.equal((await denied('openhandle', TOP, O.RDONLY)).path, SECRET)
  const { error } = await trial.ask('handle', ON_DISK)
  if (error === 'EOPNOTSUPP') return context.skip('SKIPPED: the guest\'s disk has no handles')
  assert.equal(error, 'ok')
  // What is not in the cache of names is found by its number, without a directory.
  execFileSync('sync')
  // A name that was used lately is passed over once.
  for (let time = 0; time < 3; time++) writeFileSync('/proc/sys/vm/drop_caches', '2')
  const before = node.stat(STATS.indexOf('undecidable'))
  const event = await denied('openhandle', '/var', O.RDONLY)
  assert.equal(REASONS[event.reason], 'Detached')
  assert.equal(node.stat(STATS.indexOf('undecidable')), before + 1)
})

test('a user namespace with mounts of its own', async () => {
  const place = await TrialContainer.start({ runtime: 'crun', root: 'debian' }, (container) => {
    furnish(container)
    node.bind(container.cgroup, node.load(policy('  file:\n    matchDirectories: [{dir: /t/data/, recursive: true}]\n  process:\n    matchPaths: [{path: /t/bin/one}]\n  action: Block')).slot.slot)
  })
  try {
    const { trial: inside } = place
    await inside.must('unshare', CLONE_NEWUSER | CLONE_NEWNS)
    assert.equal((await inside.ask('open', '/t/data/a.txt', O.RDONLY)).error, 'EACCES')
    assert.equal((await inside.ask('exec', '/t/bin/one')).error, 'EACCES')
    assert.equal((await inside.ask('fork', 'open', '/proc/self/root/t/data/a.txt', O.RDONLY)).error, 'EACCES')
    await inside.must('mount', '/t/agents', '/t/data', 'none', MS_BIND)
    assert.equal((await inside.ask('open', '/t/data/a', O.RDONLY)).error, 'EACCES')
  } finally {
    await place.delete()
  }
})

test('a script whose interpreter line names the program, and a program that is reached through a descriptor', async () => {
  const script = `${TOP}/open/script`
  writeFileSync(script, `#!${TOP}/bin/bad\n`)
  chmodSync(script, 0o755)
  assert.equal((await denied('exec', script)).path, `${TOP}/bin/bad`)
  const fd = await trial.must('keep', `${TOP}/bin/bad`, O.PATH)
  assert.deepEqual([(await denied('execfd', fd)).path, (await denied('exec', `/proc/self/fd/${fd}`)).path], [`${TOP}/bin/bad`, `${TOP}/bin/bad`])
})

test('memory: a copy of the program without a name is no name that an allow-list has', async () => {
  const memory = await trial.must('memfd', `${TOP}/bin/bad`)
  bind(`  process:\n    matchPaths: [{path: ${TOP}/bin/good}]\n  action: Allow`)
  assert.equal((await denied('execfd', memory)).op, OP.EXEC)
})

/* ---- Not closed by rules about paths ---- */

test('other names of the same file: a copy in memory under a block-list, a bind mount, a clone of a tree, another root', async () => {
  await permitted('execfd', await trial.must('memfd', `${TOP}/bin/bad`))
  await ownMounts()
  const clone = await trial.must('opentree', `${TOP}/secret`)
  await permitted('open', `/proc/self/fd/${clone}/file`, O.RDONLY)
  await trial.must('mount', `${TOP}/secret`, `${TOP}/open`, 'none', MS_BIND)
  await permitted('open', `${TOP}/open/file`, O.RDONLY)
  await trial.must('mkdir', `${TOP}/bin/old`)
  await trial.must('mount', TOP, TOP, 'none', MS_BIND)
  await trial.must('pivot', TOP, `${TOP}/bin/old`)
  await permitted('open', '/secret/file', O.RDONLY)
  await permitted('open', `/bin/old${TOP}/open/file`, O.RDONLY)
})

test('the dynamic loader, started as a program, reads the other one: a rule of `process` does not see it, one of `file` does', async () => {
  const place = await TrialContainer.start({ runtime: 'crun', root: 'debian' }, furnish)
  const loader = '/lib64/ld-linux-x86-64.so.2'
  const viaLoader = (): Promise<{ status: number; output: string }> => place.container.exec([loader, '/usr/bin/cat', '/t/data/a.txt'])
  const bindCat = (section: string): void => {
    node.bind(place.container.cgroup, node.load(policy(`  ${section}:\n    matchPaths: [{path: /usr/bin/cat}]\n  action: Block`)).slot.slot)
  }
  try {
    bindCat('process')
    assert.notEqual((await place.container.exec(['/usr/bin/cat', '/t/data/a.txt'])).status, 0)
    assert.deepEqual(await viaLoader(), { status: 0, output: '/t/data/a.txt' })
    bindCat('file')
    const { status, output } = await viaLoader()
    assert.notEqual(status, 0)
    assert.match(output, /permission denied/i)
  } finally {
    await place.delete()
  }
})

/* ---- What is no trick ---- */

test('a process may execute itself from a mount that it has taken away, and nothing else from there', async () => {
  await ownMounts()
  const place = `${TOP}/bin/good`
  for (const program of [PROGRAM, `${TOP}/bin/bad`]) {
    await trial.must('mount', program, place, 'none', MS_BIND)
    const fd = await trial.must('keep', place, O.PATH)
    await trial.must('umount', place)
    if (program === PROGRAM) await permitted('execfd', fd)
    else assert.equal(REASONS[(await denied('execfd', fd)).reason], 'Detached')
  }
})

for (const runtime of RUNTIMES) {
  test(`${runtime} starts a container on a node whose own profile blocks: its start-up code is no way around, and is not in the way`, async () => {
    const { slot } = node.load(policy(`  process:\n    matchPaths: [{path: ${TOP}/bin/bad}]\n  file:\n    matchPaths: [{path: ${SECRET}}]\n  action: Block`))
    node.bind(ROOT, slot.slot, BIND.HOST)
    const container = new Container({ runtime, root: 'busybox', args: ['/t/bin/one'], binds: [{ source: SECRET, destination: '/secret' }] })
    furnish(container)
    try {
      node.drain()
      assert.deepEqual(await container.run(), { status: 0, output: 'ran' })
      assert.deepEqual(node.drain().map(({ op, path, reason, flags }) => ({ op, path, reason: REASONS[reason], entering: flags & EVENT_FLAG.ENTERING })), [])
    } finally {
      container.delete()
    }
  })
}
