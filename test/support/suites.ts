// SPDX-License-Identifier: Apache-2.0
// The suites: on this machine (unit, cluster, e2e), and inside a guest of every kernel (kernel).

import { appendFileSync, globSync, readFileSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { run } from 'node:test'
import { add, collect, describe, none, type Outcome, type Totals } from './results.ts'
import { command } from './vm/command.ts'
import { provideCompiled } from './vm/compiled.ts'
import { GuestError, runInGuest, TREE } from './vm/guest.ts'
import { provideImage } from './vm/image.ts'
import { KERNEL_NAMES, type KernelName, provideKernel } from './vm/kernels.ts'

const IN_GUEST = 'test/support/in-guest.ts'
/** What a machine of two cores can emulate side by side. */
const GUESTS_AT_ONCE = Number(process.env['MERLON_TEST_GUESTS'] ?? 2)
/**
 * The kernel suite in parts, each in a guest of its own, the longest first, so that guests side by side end at about the same time. One
 * emulated processor does the same work in 60 % of the time that two take; what is about processors getting in each other's way has two.
 */
const PARTS: readonly { cpus: number; holds: (file: string) => boolean }[] = [
  { cpus: 1, holds: (file) => !/\b(forms|swaps|adoption)\.test/.test(file) },
  { cpus: 1, holds: (file) => /\bforms\.test/.test(file) },
  { cpus: 2, holds: (file) => /\b(swaps|adoption)\.test/.test(file) },
]
const GUEST_SECONDS = Number(process.env['MERLON_TEST_GUEST_SECONDS'] ?? 2400)
const GUEST_MEMORY_MB = 1536
/** The line that ends a guest's list of outcomes: without it the list is not complete. */
const COMPLETE = 'complete'

export function unitFiles(): string[] {
  const outside = (path: string): boolean => /^(node_modules|build|test\/kernel|test\/cluster|test\/e2e)(\/|$)/.test(path)
  return globSync('**/*.test.ts', { cwd: TREE, exclude: outside }).filter((each) => !outside(each)).sort()
}

export function suiteFiles(name: 'kernel' | 'cluster' | 'e2e'): string[] {
  return globSync(`test/${name}/**/*.test.ts`, { cwd: TREE }).sort()
}

export type RunOptions = { parallel: boolean; eventsFile?: string }

/** Runs files on this machine (which may be a guest), telling what failed and one line a file. */
export async function runFiles(files: readonly string[], options: RunOptions): Promise<Totals> {
  const totals = none()
  const perFile = new Map<string, Totals & { milliseconds: number }>()
  if (options.eventsFile !== undefined) writeFileSync(options.eventsFile, '')
  const report = (outcome: Outcome): void => {
    totals[outcome.kind]++
    const file = perFile.get(outcome.file) ?? { ...none(), milliseconds: 0 }
    file[outcome.kind]++
    file.milliseconds += outcome.milliseconds
    perFile.set(outcome.file, file)
    process.stdout.write(describe(outcome))
    if (options.eventsFile !== undefined) appendFileSync(options.eventsFile, `${JSON.stringify(outcome)}\n`)
  }
  const concurrency = options.parallel ? availableParallelism() : 1
  await collect(run({ files: files.map((each) => join(TREE, each)), concurrency }), files, report)
  for (const [file, { passed, failed, skipped, milliseconds }] of perFile) {
    const counts = `${String(passed).padStart(5)} passed${failed > 0 ? ` ${failed} FAILED` : ''}${skipped > 0 ? ` ${skipped} skipped` : ''}`
    console.log(`${counts}  ${file}  ${(milliseconds / 1000).toFixed(1)} s`)
  }
  if (options.eventsFile !== undefined) appendFileSync(options.eventsFile, `${JSON.stringify(COMPLETE)}\n`)
  return totals
}

type GuestJob = { kernel: KernelName; files: readonly string[]; cpus: number }

/** Runs the kernel suite in guests of each kernel. */
export async function runKernelSuite(kernels: readonly KernelName[] = KERNEL_NAMES, files = suiteFiles('kernel')): Promise<Totals> {
  // Fetched before any guest starts, so that guests side by side do not both build the same image.
  for (const each of kernels) await provideKernel(each)
  await command('make', ['-s', '-C', join(TREE, 'test/kernel')])
  await provideImage()
  const env = await provideCompiled([IN_GUEST, 'build/bundle/agent/main.mjs', ...globSync('build/bundle/chunks/{run,check}-*.mjs', { cwd: TREE }), ...files])
  const waiting = PARTS.flatMap(({ cpus, holds }) => kernels.map((kernel): GuestJob => ({ kernel, files: files.filter(holds), cpus }))).filter((job) => job.files.length > 0)
  const totals = none()
  const lane = async (): Promise<void> => {
    for (let job = waiting.shift(); job !== undefined; job = waiting.shift()) add(totals, await runInOneGuest(job, env))
  }
  await Promise.all(Array.from({ length: GUESTS_AT_ONCE }, lane))
  return totals
}

async function runInOneGuest(job: GuestJob, env: Readonly<Record<string, string>>): Promise<Totals> {
  const results = await mkdtemp(join(tmpdir(), 'merlon-results-'))
  try {
    return await followOneGuest(job, env, results)
  } finally {
    await rm(results, { recursive: true, force: true })
  }
}

async function followOneGuest({ kernel, files, cpus }: GuestJob, env: Readonly<Record<string, string>>, results: string): Promise<Totals> {
  const started = performance.now()
  const prefixed = linePrefixer(`[${kernel}] `)
  let problem: string | undefined
  try {
    const guest = await runInGuest({
      kernel, script: IN_GUEST, args: ['/results/events.jsonl', ...files], results, env, cpus,
      timeoutSeconds: GUEST_SECONDS, memoryMb: GUEST_MEMORY_MB, onOutput: prefixed,
    })
    const { totals, complete } = readOutcomes(join(results, 'events.jsonl'))
    if (!complete) problem = `The test runner in the guest ended with ${guest.status} before the suite was over`
    else if (guest.status !== 0 && totals.failed === 0) problem = `The test runner in the guest ended with ${guest.status} although no test failed`
    if (problem === undefined) {
      console.log(`[${kernel}] ${totals.passed} passed, ${totals.failed} failed in ${((performance.now() - started) / 1000).toFixed(0)} s, of which ${guest.bootSeconds.toFixed(1)} s boot`)
      return totals
    }
  } catch (error) {
    if (!(error instanceof GuestError)) throw error
    problem = error.message
  }
  console.log(`[${kernel}] FAILED: ${problem}`)
  return add(readOutcomes(join(results, 'events.jsonl')).totals, { passed: 0, failed: 1, skipped: 0 })
}

function readOutcomes(path: string): { totals: Totals; complete: boolean } {
  const totals = none()
  let complete = false
  let text = ''
  try {
    text = readFileSync(path, 'utf8')
  } catch {
    // A guest that died before its first test has written nothing: that is what `complete` says.
  }
  for (const line of text.split('\n').filter((each) => each.endsWith('}') || each.endsWith('"'))) {
    const value = JSON.parse(line) as Outcome | typeof COMPLETE
    if (value === COMPLETE) complete = true
    else totals[value.kind]++
  }
  return { totals, complete }
}

function linePrefixer(prefix: string): (chunk: Buffer) => void {
  let rest = ''
  return (chunk) => {
    const lines = `${rest}${chunk.toString('utf8')}`.split('\n')
    rest = lines.pop() ?? ''
    for (const line of lines) console.log(`${prefix}${line}`)
  }
}
