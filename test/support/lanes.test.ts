// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { longest, readDurations, runJobs, writeDurations, type Job } from './lanes.ts'

const one = { passed: 1, failed: 0, skipped: 0 }

/** Jobs that end when they are told to. */
function controlled(names: readonly string[]): { jobs: Job[]; started: string[]; end: (name: string) => void } {
  const started: string[] = []
  const ends = new Map(names.map((name) => [name, Promise.withResolvers<void>()]))
  const jobs = names.map((name) => ({
    name,
    run: async () => {
      started.push(name)
      await ends.get(name)?.promise
      return { totals: one, took: [{ name, seconds: 1 }] }
    },
  }))
  return { jobs, started, end: (name) => ends.get(name)?.resolve() }
}

test('as many jobs as there are lanes run at once, the longest first, the unknown before them', async () => {
  const { jobs, started, end } = controlled(['short', 'long', 'new', 'newer'])
  const all = runJobs(jobs, 2, { short: 1, long: 10 })
  assert.deepEqual(started, ['new', 'newer'])
  end('newer')
  await new Promise((resolve) => setImmediate(resolve))
  assert.deepEqual(started, ['new', 'newer', 'long'])
  for (const name of ['new', 'long', 'short']) end(name)
  const { totals, took, durations } = await all
  assert.deepEqual(started, ['new', 'newer', 'long', 'short'])
  assert.deepEqual(totals, { passed: 4, failed: 0, skipped: 0 })
  assert.deepEqual([took.length, Object.keys(durations).sort()], [4, ['long', 'new', 'newer', 'short']])
})

test('a job that has not been run yet has the place that it usually has; what is remembered of it comes before that', async () => {
  const { jobs, started, end } = controlled(['unit', 'guest', 'new', 'changed'])
  for (const name of ['unit', 'guest', 'new', 'changed']) end(name)
  const usually: Readonly<Record<string, number>> = { unit: 3, guest: 300, changed: 900 }
  const estimated = jobs.map((job) => ({ ...job, ...(usually[job.name] === undefined ? {} : { usually: usually[job.name] ?? 0 }) }))
  await runJobs(estimated, 1, { changed: 20 })
  assert.deepEqual(started, ['new', 'guest', 'changed', 'unit'])
})

test('a job that waits most of the time takes no lane, unless all are to go one after the other', async () => {
  for (const [lanes, first] of [[2, ['disk', 'a', 'b']], [1, ['a']]] as const) {
    const { jobs, started, end } = controlled(['a', 'b', 'c', 'disk'])
    const all = runJobs(jobs.map((job) => ({ ...job, waits: job.name === 'disk' })), lanes, { disk: 1, a: 5, b: 4, c: 3 })
    assert.deepEqual(started, first)
    for (const name of ['a', 'b', 'c', 'disk']) end(name)
    assert.equal((await all).totals.passed, 4)
  }
})

test('a job that throws has failed, and the others run', async () => {
  const { jobs, end } = controlled(['good'])
  end('good')
  const broken: Job = { name: 'broken', run: () => Promise.reject(new Error('a test of the runner, no failure')) }
  assert.deepEqual((await runJobs([broken, ...jobs], 1, {})).totals, { passed: 1, failed: 1, skipped: 0 })
})

test('longest() shows the longest, the longest first', () => {
  assert.equal(longest([{ name: 'a', seconds: 1 }, { name: 'b', seconds: 120.04 }, { name: 'c', seconds: 5 }], 2), '   120.0 s  b\n     5.0 s  c\n')
})

test('durations are remembered; a broken file is none', () => {
  const directory = mkdtempSync(join(tmpdir(), 'merlon-lanes-'))
  const file = join(directory, 'deeper/durations.json')
  try {
    assert.deepEqual(readDurations(file), {})
    writeDurations(file, { a: 1, b: 2 })
    writeDurations(file, { b: 3 })
    assert.deepEqual(readDurations(file), { a: 1, b: 3 })
    writeFileSync(file, '{"a": 1, "b": "two"')
    assert.deepEqual(readDurations(file), {})
    writeFileSync(file, '{"a": 1, "b": "two"}')
    assert.deepEqual(readDurations(file), { a: 1 })
    writeFileSync(join(directory, 'file'), '')
    writeDurations(join(directory, 'file/durations.json'), { a: 1 })
  } finally {
    rmSync(directory, { recursive: true })
  }
})
