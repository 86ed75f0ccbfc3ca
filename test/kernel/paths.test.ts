// SPDX-License-Identifier: Apache-2.0
// Names that are hard to name: long, deep, moved, mounted, linked, not text, no name at all; and every other way to open or execute.
import assert from 'node:assert/strict'
import { chmodSync, copyFileSync, linkSync, mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { after, afterEach, before, beforeEach, test } from 'node:test'
import { BIND, OP, REASONS, STATS, VERDICT } from '../../agent/abi.ts'
import type { KernelEvent } from '../../agent/records.ts'
import { SECTIONS } from '../../policy/types.ts'
import { enter, Node, policy, testCgroup, type Loaded } from './node.ts'
import { planOf } from '../support/generate.ts'
import { bytes, hostTrial, O, PROGRAM, type Trial, type Word } from './trial.ts'

const TOP = '/run/merlon-paths'
const BLOCKED = `${TOP}/blocked`
const CLONE_NEWNS = 0x20000
const MS_BIND = 4096
const MS_MOVE = 8192
const MS_PRIVATE_REC = 0x44000
const RESOLVE_NO_SYMLINKS = 4

let node: Node
let directory: string
let loaded: Loaded
let trial: Trial
let pid: number

before(() => {
  node = new Node()
  directory = testCgroup('paths')
})
after(() => {
  assert.deepEqual(node.errors(), {})
  node.close()
})
beforeEach(() => {
  rmSync(TOP, { recursive: true, force: true })
  for (const each of ['blocked/sub', 'open/sub', 'bin']) mkdirSync(`${TOP}/${each}`, { recursive: true })
  for (const each of ['blocked/f', 'blocked/sub/f', 'open/f', 'open/sub/f']) writeFileSync(`${TOP}/${each}`, each)
  for (const each of ['good', 'bad']) copyFileSync(PROGRAM, `${TOP}/bin/${each}`)
  ;({ trial, pid } = hostTrial())
  enter(directory, pid)
  bind(`  process:\n    matchPaths: [{path: ${TOP}/bin/bad}]\n  file:\n    matchDirectories: [{dir: ${BLOCKED}/, recursive: true}]\n  action: Block`)
})
afterEach(async () => {
  await trial.end()
  node.unbindAll()
})

function bind(spec: string): void {
  loaded = node.load(policy(spec), 'block', loaded?.slot.slot)
  node.bind(directory, loaded.slot.slot, BIND.PLAIN)
  node.drain()
}

/** A rule for one path, longer than policies may write it. */
function bindPath(path: string): void {
  const rule = { section: 'file', match: { kind: 'path', path }, action: 'Block', readOnly: false, ownerOnly: false, sources: [], severity: 1, tags: [], message: '' } as const
  loaded = node.loadPlan(planOf([rule], 'block'), loaded.slot.slot)
  node.bind(directory, loaded.slot.slot, BIND.PLAIN)
  node.drain()
}

const open = async (path: Word, flags = 0): Promise<string> => (await trial.ask('open', path, flags)).error

/** Tries, expects a denial, and returns its event, which must be the only one. */
async function denied(...words: Word[]): Promise<KernelEvent> {
  node.drain()
  const { error } = await trial.ask(...words)
  const [event, ...others] = node.drain()
  assert.deepEqual([error, event?.verdict, others.length], ['EACCES', VERDICT.BLOCK, 0], words.join(' ').slice(0, 200))
  assert.ok(event)
  return event
}

async function deniedAs(path: string, ...words: Word[]): Promise<void> {
  assert.equal((await denied(...words)).path, path)
}

/* ---- Long and deep ---- */

/** Makes a file whose path has `length` bytes; the trial stands beside it. Returns path and last component. */
async function deep(length: number, levels: number, name: string): Promise<{ path: string; last: string }> {
  const above = `${TOP}/open${`/${name}`.repeat(levels)}/`
  const last = 'f'.repeat(length - above.length)
  assert.ok(last.length > 0 && last.length < 256, `a last component of ${last.length} bytes`)
  await trial.must('chdir', `${TOP}/open`)
  await trial.must('descend', name, levels)
  await trial.must('open', last, O.CREAT | O.WRONLY)
  return { path: above + last, last }
}

for (const { length, levels, name } of [
  { length: 4000, levels: 200, name: 'n'.repeat(18) }, { length: 600, levels: 200, name: 'd' }, { length: 4094, levels: 20, name: 'n'.repeat(195) }, { length: 4095, levels: 20, name: 'n'.repeat(195) },
]) {
  test(`a path of ${length} bytes, ${levels} levels deep, is decided whole`, async () => {
    const { path, last } = await deep(length, levels, name)
    const next = `${path.slice(0, -1)}g`
    bindPath(path)
    const event = await denied('open', last, O.RDONLY)
    assert.deepEqual([event.path, event.reason], [path, 0])
    bindPath(next)
    assert.equal(await open(last), 'ok')
    bind(`  file:\n    matchPatterns: [{pattern: "${TOP}/**/${name}/f*"}]\n  action: Block`)
    await deniedAs(path, 'open', last, O.RDONLY)
  })
}

test('a path of more than 4,095 bytes gets the verdict for what cannot be decided, with its reason, counted', async () => {
  node.unbindAll()
  const { last } = await deep(4096, 20, 'n'.repeat(195))
  const before = node.stat(STATS.indexOf('undecidable'))
  bind(`  file:\n    matchPaths: [{path: /unrelated}]\n  action: Block`)
  const event = await denied('open', last, O.RDONLY)
  // After the rules and the default of each section (docs/table.md).
  const undecidableFile = loaded.plan.clauses.length + SECTIONS.length + SECTIONS.indexOf('file') + 1
  assert.deepEqual([REASONS[event.reason], event.clause], ['PathTooLong', undecidableFile])
  assert.equal(node.stat(STATS.indexOf('undecidable')), before + 1)
  assert.equal(node.hits(loaded.slot, event.clause), 1)
  bind(`  file:\n    matchPaths: [{path: /unrelated}]\n  action: Audit`)
  assert.equal(await open(last), 'ok')
  assert.deepEqual(node.drain().map(({ verdict, reason }) => [verdict, REASONS[reason]]), [[VERDICT.AUDIT, 'PathTooLong']])
  bind(`  process:\n    matchPaths: [{path: /unrelated}]\n  action: Block`)
  assert.equal(await open(last), 'ok')
})

/* ---- Mounts, links, moves ---- */

test('a path is that of the place where an object is mounted', async () => {
  await trial.must('unshare', CLONE_NEWNS)
  await trial.must('mount', 'none', '/', 'none', MS_PRIVATE_REC)
  await trial.must('mount', `${TOP}/open`, `${BLOCKED}/sub`, 'none', MS_BIND)
  await deniedAs(`${BLOCKED}/sub/sub/f`, 'open', `${BLOCKED}/sub/sub/f`, 0)
  await trial.must('umount', `${BLOCKED}/sub`)
  await trial.must('mount', BLOCKED, `${TOP}/open/sub`, 'none', MS_BIND)
  assert.equal(await open(`${TOP}/open/sub/f`), 'ok')
  await trial.must('mount', 'tmpfs', BLOCKED, 'tmpfs', 0)
  await deniedAs(`${BLOCKED}/new`, 'open', `${BLOCKED}/new`, O.CREAT | O.WRONLY)
  await trial.must('mkdir', `${TOP}/open/moved`)
  await trial.must('mount', BLOCKED, `${TOP}/open/moved`, 'none', MS_MOVE)
  assert.equal(await open(`${TOP}/open/moved/other`, O.CREAT | O.WRONLY), 'ok')
})

test('an object whose mount hangs in no namespace cannot be decided', async () => {
  await trial.must('unshare', CLONE_NEWNS)
  await trial.must('mount', 'none', '/', 'none', MS_PRIVATE_REC)
  await trial.must('mount', 'tmpfs', `${TOP}/open/sub`, 'tmpfs', 0)
  await trial.must('chdir', `${TOP}/open/sub`)
  assert.equal(await open('f', O.CREAT | O.WRONLY), 'ok')
  await trial.must('umount', `${TOP}/open/sub`)
  assert.equal(REASONS[(await denied('open', 'f', O.RDONLY)).reason], 'Detached')
})

test('links: a symbolic one is what it leads to, a hard one is what it is called', async () => {
  symlinkSync(`${BLOCKED}/f`, `${TOP}/open/symbolic`)
  linkSync(`${BLOCKED}/f`, `${TOP}/open/hard`)
  linkSync(`${TOP}/open/f`, `${BLOCKED}/hard`)
  await deniedAs(`${BLOCKED}/f`, 'open', `${TOP}/open/symbolic`, 0)
  await deniedAs(`${BLOCKED}/hard`, 'open', `${BLOCKED}/hard`, 0)
  assert.equal(await open(`${TOP}/open/hard`), 'ok')
})

test('detours lead to the same path', async () => {
  for (const detour of ['/proc/self/root', '/proc/1/root', '/proc/self/cwd/..', '/../run/./..//']) {
    await trial.must('chdir', '/run')
    await deniedAs(`${BLOCKED}/f`, 'open', `${detour}${BLOCKED}/f`, 0)
  }
})

test('a directory that is renamed takes its files along', async () => {
  await trial.must('rename', BLOCKED, `${TOP}/free`)
  assert.equal(await open(`${TOP}/free/sub/f`), 'ok')
  await trial.must('rename', `${TOP}/open`, BLOCKED)
  await deniedAs(`${BLOCKED}/sub/f`, 'open', `${BLOCKED}/sub/f`, 0)
})

test('names may hold every byte', async () => {
  const name = '\n "\\é日*?[]{}'
  writeFileSync(`${BLOCKED}/${name}`, '')
  await deniedAs(`${BLOCKED}/${name}`, 'open', `${BLOCKED}/${name}`, 0)
  await trial.must('open', bytes(`${TOP}/open/\x80\xff`), O.CREAT | O.WRONLY)
  bind(`  file:\n    matchPatterns: [{pattern: "${TOP}/open/??"}]\n  action: Block`)
  assert.equal((await denied('open', bytes(`${TOP}/open/\x80\xff`), 0)).path, `${TOP}/open/\ufffd\ufffd`)
  assert.equal(await open(bytes(`${TOP}/open/\x80\xff\xff`), O.CREAT | O.WRONLY), 'ok')
})

/* ---- Without a name ---- */

test('a file that was removed keeps its name for those who hold it', async () => {
  node.unbindAll()
  const fd = await trial.must('keep', `${BLOCKED}/f`, O.RDONLY)
  await trial.must('unlink', `${BLOCKED}/f`)
  node.bind(directory, loaded.slot.slot, BIND.PLAIN)
  assert.match((await denied('open', `/proc/self/fd/${fd}`, 0)).path, new RegExp(`^${BLOCKED}/f`))
})

test('pipes, sockets and memory are no files', async () => {
  const pipe = await trial.must('pipe')
  const memory = await trial.must('memfd', PROGRAM)
  const socket = await trial.must('socket')
  bind('  file:\n    matchPaths: [{path: /unrelated}]\n  action: Allow')
  assert.equal(await open(`/proc/self/fd/${pipe}`), 'ok')
  assert.equal(await open(`/proc/self/fd/${memory}`), 'ok')
  assert.equal(await open(`/proc/self/fd/${socket}`), 'ENXIO')
  assert.deepEqual(node.drain(), [])
})

test('executing memory is like executing a path that nobody names', async () => {
  const memory = await trial.must('memfd', PROGRAM)
  assert.equal(await trial.must('execfd', memory), 'ran')
  bind(`  process:\n    matchPaths: [{path: ${TOP}/bin/good}]\n  action: Allow`)
  const event = await denied('execfd', memory)
  assert.equal(event.op, OP.EXEC)
  assert.equal(await trial.must('exec', `${TOP}/bin/good`), 'ran')
})

/* ---- Ways to open ---- */

test('every call that opens is decided', async () => {
  const path = `${BLOCKED}/f`
  for (const flags of [O.RDONLY, O.WRONLY, O.RDWR, O.WRONLY | O.APPEND, O.CREAT | O.WRONLY, O.RDONLY | O.TRUNC]) await deniedAs(path, 'open', path, flags)
  await deniedAs(`${BLOCKED}/sub`, 'open', `${BLOCKED}/sub`, O.DIRECTORY)
  await deniedAs(path, 'openat2', path, O.RDONLY, RESOLVE_NO_SYMLINKS)
  assert.equal(readFileSync(path, 'utf8'), 'blocked/f')
})

test('O_PATH opens nothing; what is opened through it is decided', async () => {
  const fd = await trial.must('keep', `${BLOCKED}/f`, O.PATH)
  await deniedAs(`${BLOCKED}/f`, 'open', `/proc/self/fd/${fd}`, O.RDONLY)
})

test('truncation is a write, and a file that may only be read keeps its content', async () => {
  bind(`  file:\n    matchPaths: [{path: ${TOP}/open/f, readOnly: true}]\n  action: Block`)
  assert.equal(await open(`${TOP}/open/f`), 'ok')
  for (const flags of [O.RDONLY | O.TRUNC, O.RDWR, O.WRONLY | O.TRUNC]) assert.equal((await denied('open', `${TOP}/open/f`, flags)).op, OP.WRITE)
  assert.equal(readFileSync(`${TOP}/open/f`, 'utf8'), 'open/f')
})

for (const [how, isAsync] of [['at once', 0], ['by its worker thread', 1]] as const) {
  test(`io_uring, ${how}`, async (context) => {
    const { error } = await trial.ask('uring', `${TOP}/open/f`, O.RDONLY, isAsync)
    if (error === 'ENOSYS' || error === 'EPERM') return context.skip(`this kernel has no io_uring for us: ${error}`)
    assert.equal(error, 'ok')
    await deniedAs(`${BLOCKED}/f`, 'uring', `${BLOCKED}/f`, O.RDONLY, isAsync)
  })
}

/* ---- Ways to execute ---- */

test('every call that executes is decided', async () => {
  const [good, bad] = [`${TOP}/bin/good`, `${TOP}/bin/bad`]
  assert.equal(await trial.must('exec', good), 'ran')
  await deniedAs(bad, 'exec', bad)
  for (const flags of [O.RDONLY, O.PATH]) {
    const fd = await trial.must('keep', bad, flags)
    await deniedAs(bad, 'execfd', fd, 'argument')
    await deniedAs(bad, 'exec', `/proc/self/fd/${fd}`)
  }
  linkSync(bad, `${TOP}/bin/other-name`)
  assert.equal(await trial.must('exec', `${TOP}/bin/other-name`), 'ran')
})

test('a script is decided, and so is its interpreter', async () => {
  const script = `${TOP}/bin/script`
  const write = (interpreter: string): void => {
    writeFileSync(script, `#!${interpreter}\n`)
    chmodSync(script, 0o755)
  }
  write(`${TOP}/bin/good`)
  assert.equal(await trial.must('exec', script, 'x'), 'ran')
  write(`${TOP}/bin/bad`)
  await deniedAs(`${TOP}/bin/bad`, 'exec', script, 'x')
  write(`${TOP}/bin/good`)
  bind(`  process:\n    matchPaths: [{path: ${script}}]\n  action: Block`)
  const event = await denied('exec', script, 'x')
  assert.deepEqual([event.path, event.args], [script, [script, 'x']])
})
