// SPDX-License-Identifier: Apache-2.0
// The kernel suite: its files in guests of every kernel.

import { globSync, readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import type { Came, Job, Took } from './lanes.ts'
import { add, none, type Outcome } from './results.ts'
import { COMPLETE } from './suites.ts'
import { command } from './vm/command.ts'
import { provideCompiled } from './vm/compiled.ts'
import { GuestError, runInGuest, TREE } from './vm/guest.ts'
import { provideImage } from './vm/image.ts'
import { type KernelName, provideKernel } from './vm/kernels.ts'

const IN_GUEST = 'test/support/in-guest.ts'
/**
 * The kernel suite in parts, each in a guest of its own: so that guests side by side end at about the same time. One
 * emulated processor does the same work in 60 % of the time that two take; what is about processors getting in each other's way has two.
 */
const PARTS: readonly { cpus: number; usually: number; holds: (file: string) => boolean }[] = [
  { cpus: 1, usually: 260, holds: (file) => !/\b(forms|swaps|adoption)\.test/.test(file) },
  { cpus: 1, usually: 85, holds: (file) => /\bforms\.test/.test(file) },
  { cpus: 2, usually: 50, holds: (file) => /\b(swaps|adoption)\.test/.test(file) },
]
const GUEST_SECONDS = Number(process.env['MERLON_TEST_GUEST_SECONDS'] ?? 2400)
const GUEST_MEMORY_MB = 1536

type Guest = { kernel: KernelName; files: readonly string[]; cpus: number; usually: number }

/** A job for each part of the suite on each kernel. What all of them need is made once, by the first. */
export function kernelJobs(kernels: readonly KernelName[], files: readonly string[]): Job[] {
  let prepared: Promise<Readonly<Record<string, string>>> | undefined
  const guests = PARTS.flatMap(({ holds, ...part }) => kernels.map((kernel): Guest => ({ ...part, kernel, files: files.filter(holds) })))
  return guests.filter((guest) => guest.files.length > 0).map((guest) => ({
    name: `kernel ${guest.kernel} ${guest.files.map((file) => basename(file, '.test.ts')).join(' ')}`,
    usually: guest.usually,
    run: async () => runInOneGuest(guest, await (prepared ??= prepare(kernels, files))),
  }))
}

/** Fetched and built before any guest starts, so that guests side by side do not both build the same image. Returns the guests' environment. */
async function prepare(kernels: readonly KernelName[], files: readonly string[]): Promise<Readonly<Record<string, string>>> {
  for (const each of kernels) await provideKernel(each)
  await command('make', ['-s', '-C', join(TREE, 'test/kernel')])
  await provideImage()
  const compiled = await provideCompiled([IN_GUEST, 'build/bundle/agent/main.mjs', ...globSync('build/bundle/chunks/{run,check}-*.mjs', { cwd: TREE }), ...files])
  // What is set for the tests here holds for those in guests.
  const settings = Object.entries(process.env).filter((entry): entry is [string, string] => entry[0].startsWith('MERLON_TEST_') && entry[1] !== undefined)
  return { ...compiled, ...Object.fromEntries(settings) }
}

async function runInOneGuest(guest: Guest, env: Readonly<Record<string, string>>): Promise<Came> {
  const results = await mkdtemp(join(tmpdir(), 'merlon-results-'))
  try {
    return await followOneGuest(guest, env, results)
  } finally {
    await rm(results, { recursive: true, force: true })
  }
}

async function followOneGuest({ kernel, files, cpus }: Guest, env: Readonly<Record<string, string>>, results: string): Promise<Came> {
  const started = performance.now()
  const prefixed = linePrefixer(`[${kernel}] `)
  let problem: string | undefined
  try {
    const guest = await runInGuest({
      kernel, script: IN_GUEST, args: ['/results/events.jsonl', ...files], results, env, cpus,
      timeoutSeconds: GUEST_SECONDS, memoryMb: GUEST_MEMORY_MB, onOutput: prefixed,
    })
    const { totals, took, complete } = readOutcomes(join(results, 'events.jsonl'), kernel)
    if (!complete) problem = `The test runner in the guest ended with ${guest.status} before the suite was over`
    else if (guest.status !== 0 && totals.failed === 0) problem = `The test runner in the guest ended with ${guest.status} although no test failed`
    if (problem === undefined) {
      console.log(`[${kernel}] ${totals.passed} passed, ${totals.failed} failed in ${((performance.now() - started) / 1000).toFixed(0)} s, of which ${guest.bootSeconds.toFixed(1)} s boot`)
      return { totals, took }
    }
  } catch (error) {
    if (!(error instanceof GuestError)) throw error
    problem = error.message
  }
  console.log(`[${kernel}] FAILED: ${problem}`)
  const { totals, took } = readOutcomes(join(results, 'events.jsonl'), kernel)
  return { totals: add(totals, { passed: 0, failed: 1, skipped: 0 }), took }
}

function readOutcomes(path: string, kernel: KernelName): Came & { complete: boolean } {
  const totals = none()
  const seconds = new Map<string, number>()
  let complete = false
  let text = ''
  try {
    text = readFileSync(path, 'utf8')
  } catch {
    // A guest that died before its first test has written nothing: that is what `complete` says.
  }
  for (const line of text.split('\n').filter((each) => each.endsWith('}') || each.endsWith('"'))) {
    const value = JSON.parse(line) as Outcome | typeof COMPLETE
    if (value === COMPLETE) {
      complete = true
      continue
    }
    totals[value.kind]++
    seconds.set(value.file, (seconds.get(value.file) ?? 0) + value.milliseconds / 1000)
  }
  return { totals, took: [...seconds].map(([file, each]): Took => ({ name: `[${kernel}] ${file}`, seconds: each })), complete }
}

function linePrefixer(prefix: string): (chunk: Buffer) => void {
  let rest = ''
  return (chunk) => {
    const lines = `${rest}${chunk.toString('utf8')}`.split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) console.log(`${prefix}${line}`)
  }
}
