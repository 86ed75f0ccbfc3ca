// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Backoff } from '../runtime/backoff.ts'
import { systemClock } from '../runtime/clock.ts'
import { readable } from './child-output.ts'
import { Child } from './supervise.ts'

interface Watched {
  readonly child: Child
  readonly lines: string[]
  readonly notices: string[]
  /** Resolves when this many lines have come. */
  readonly lineCount: (count: number) => Promise<void>
}

/** A child that runs this script with our own Node; pauses between restarts are short. */
function childOf(script: string): Watched {
  const lines: string[] = []
  const notices: string[] = []
  const waiting: { readonly count: number; readonly resolve: () => void }[] = []
  const child = new Child({ name: 'agent', command: process.execPath, args: ['-e', script] }, {
    backoff: new Backoff({ baseMs: 1, capMs: 5, clock: systemClock, random: () => 0.5 }),
    onLine: (name, line) => {
      lines.push(`${name}: ${line}`)
      for (const wait of waiting) if (lines.length >= wait.count) wait.resolve()
    },
    onNotice: (text) => notices.push(text),
    onChange: () => {},
  })
  const lineCount = (count: number): Promise<void> => (lines.length >= count ? Promise.resolve() : new Promise((resolve) => waiting.push({ count, resolve })))
  return { child, lines, notices, lineCount }
}

const RUNS = 'console.log(process.pid); setInterval(() => {}, 1000)'
const untilDead = (signal: AbortSignal): Promise<boolean> => new Promise((resolve) => signal.addEventListener('abort', () => resolve(false)))

test('a child that is killed is started again, and that is said', async () => {
  const { child, lines, notices, lineCount } = childOf(RUNS)
  assert.deepEqual(await child.start(async () => lineCount(1).then(() => true)), { ok: true })
  const first = child.pid as number
  process.kill(first, 'SIGKILL')
  await lineCount(2)
  assert.notEqual(child.pid, first)
  assert.deepEqual(lines, [`agent: ${first}`, `agent: ${child.pid}`])
  assert.match(notices[0] ?? '', /^The agent ended \(signal SIGKILL\); starting it again in 0\.0 s$/)
  await child.stop(5000)
  assert.equal(child.pid, undefined)
})

test('a child that ends before it is ready is not started again', async () => {
  const { child, notices } = childOf('console.error("port in use"); process.exit(2)')
  assert.deepEqual(await child.start(untilDead), { ok: false, end: 'exit code 2' })
  assert.deepEqual(notices, [])
  await child.stop(5000)
})

test('a program that is not there is an end like another', async () => {
  const notices: string[] = []
  const child = new Child({ name: 'relay', command: '/nonexistent', args: [] }, {
    backoff: new Backoff({ baseMs: 1, capMs: 5, clock: systemClock, random: () => 0 }),
    onLine: () => {},
    onNotice: (text) => notices.push(text),
    onChange: () => {},
  })
  const outcome = await child.start(untilDead)
  assert.ok(!outcome.ok)
  assert.match(outcome.end, /ENOENT/)
})

test('one that ignores SIGTERM is killed after its grace, and that is said', async () => {
  const { child, notices, lineCount } = childOf(`process.on('SIGTERM', () => {}); ${RUNS}`)
  await child.start(async () => lineCount(1).then(() => true))
  await child.stop(50)
  assert.equal(child.pid, undefined)
  assert.deepEqual(notices, ['The agent did not stop within 0.05 s and was killed'])
})

test('stop() during the pause before a restart leaves nothing running', async () => {
  const { child, lineCount } = childOf('console.log(1); process.exit(1)')
  await child.start(async () => lineCount(1).then(() => true))
  await lineCount(3)
  await child.stop(5000)
  assert.equal(child.pid, undefined)
})

test('readable() shows log records as text and quotes what else a child writes', () => {
  const record = { time: '2026-11-22T06:41:03.120Z', level: 'warn', name: 'agent', message: 'Lost events', count: 3, path: '/a b' }
  assert.equal(readable('agent', JSON.stringify(record)), '06:41:03.120 WARN  agent: Lost events count=3 path="/a b"')
  const finding = { ...record, level: 'error', name: 'operator', message: 'Found a problem in a manifest', count: undefined, path: undefined, code: 'MERLON_POLICY_UNKNOWN_FIELD', problem: 'unknown field spec.proces', file: '/p/a.yaml', line: 9, column: 5, text: 'proces', hint: 'did you mean process?' }
  assert.equal(readable('operator', JSON.stringify(finding)), '06:41:03.120 ERROR operator: /p/a.yaml:9:5: unknown field spec.proces: proces: did you mean process? (MERLON_POLICY_UNKNOWN_FIELD)')
  assert.equal(readable('operator', JSON.stringify({ ...finding, line: 0, text: '', hint: '' })), '06:41:03.120 ERROR operator: /p/a.yaml: unknown field spec.proces (MERLON_POLICY_UNKNOWN_FIELD)')
  for (const line of ['{"level":"warn"}', '{not json', 'plain']) assert.equal(readable('agent', line), `agent: ${line}`)
  assert.equal(readable('agent', '\u001b[2J'), 'agent: \\e[2J')
})
