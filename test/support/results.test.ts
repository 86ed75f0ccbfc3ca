// SPDX-License-Identifier: Apache-2.0

import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { run, test } from 'node:test'
import { collect, describe, exitStatus, type Outcome, summary } from './results.ts'

const HEAD = "import { suite, test } from 'node:test';\n"

async function outcomesOf(files: Record<string, string>): Promise<Outcome[]> {
  const directory = mkdtempSync(join(tmpdir(), 'merlon-results-test-'))
  try {
    const paths = Object.entries(files).map(([name, text]) => {
      writeFileSync(join(directory, name), text)
      return join(directory, name)
    })
    const outcomes: Outcome[] = []
    // node:test refuses to run files from inside a test file of its own, which it knows by this variable.
    delete process.env['NODE_TEST_CONTEXT']
    await collect(run({ files: paths }), Object.keys(files), (outcome) => outcomes.push(outcome))
    return outcomes
  } finally {
    rmSync(directory, { recursive: true })
  }
}

function short(outcomes: readonly Outcome[]): string[] {
  return outcomes.map(({ kind, name }) => `${kind} ${name}`).sort()
}

test('collect() counts tests, and not the suites and tests that only hold others', async () => {
  const text = `${HEAD}suite('s', () => { test('a', () => {}); test('b', () => { throw new Error('no b'); }); });
    test('c', async (t) => { await t.test('d', () => { throw new Error('no d'); }); });`;
  const outcomes = await outcomesOf({ 'x.test.mjs': text })
  assert.deepEqual(short(outcomes), ['failed b', 'failed d', 'passed a'])
  assert.match(outcomes.find(({ name }) => name === 'b')?.detail ?? '', /no b/)
})

test('collect() keeps the reason of a skip', async () => {
  const outcomes = await outcomesOf({ 'x.test.mjs': `${HEAD}test('a', { skip: 'no kernel' }, () => {}); test('b', { skip: true }, () => {});` })
  assert.deepEqual(outcomes.map(({ kind, detail }) => [kind, detail]), [['skipped', 'no kernel'], ['skipped', 'no reason given']])
})

test('collect() reports a file that cannot be loaded, with what it said', async () => {
  const outcomes = await outcomesOf({ 'x.test.mjs': `${HEAD}throw new Error('at load');` })
  assert.deepEqual(short(outcomes), ['failed (the file)'])
  assert.match(outcomes[0]?.detail ?? '', /at load/)
})

test('collect() fails a file that has no tests', async () => {
  assert.deepEqual(short(await outcomesOf({ 'x.test.mjs': 'export {};' })), ['failed (the file)'])
})

test('collect() reports a file whose process dies in the middle', async () => {
  const text = `${HEAD}test('a', () => {}); test('b', () => { process.kill(process.pid, 'SIGKILL'); });`
  const outcomes = await outcomesOf({ 'x.test.mjs': text })
  assert.ok(outcomes.some(({ kind }) => kind === 'failed'), JSON.stringify(outcomes))
})

test('summary() and exitStatus() agree on what a run came to', () => {
  assert.equal(summary({ passed: 3, failed: 0, skipped: 0 }), '3 passed, 0 failed')
  assert.equal(summary({ passed: 3, failed: 1, skipped: 2 }), '3 passed, 1 failed, 2 skipped')
  assert.equal(exitStatus({ passed: 3, failed: 0, skipped: 2 }), 0)
  assert.equal(exitStatus({ passed: 3, failed: 1, skipped: 0 }), 1)
  assert.equal(exitStatus({ passed: 0, failed: 0, skipped: 0 }), 1)
  assert.equal(exitStatus({ passed: 0, failed: 0, skipped: 9 }), 1)
})

test('describe() says nothing about a pass, and why for everything else', () => {
  const base = { file: 'x.test.ts', name: 'a', milliseconds: 1 }
  assert.equal(describe({ ...base, kind: 'passed', detail: '' }), '')
  assert.equal(describe({ ...base, kind: 'skipped', detail: 'no kernel' }), 'SKIPPED x.test.ts: a: no kernel\n')
  assert.equal(describe({ ...base, kind: 'failed', detail: 'one\ntwo' }), 'FAILED  x.test.ts: a\n    one\n    two\n')
})
