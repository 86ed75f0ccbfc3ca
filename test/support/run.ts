// SPDX-License-Identifier: Apache-2.0
// The test runner. The last line that it prints is "N passed, N failed", and its exit status says the same.
//
//   node test/support/run.ts unit|kernel|cluster|e2e|all [files of that suite...]

import { spawn } from 'node:child_process'
import { availableParallelism, totalmem } from 'node:os'
import { join } from 'node:path'
import { Cluster, SHARED } from './cluster.ts'
import { kernelJobs } from './kernel-suite.ts'
import { DURATIONS, longest, readDurations, runJobs, TEST_RUN, writeDurations, type Job } from './lanes.ts'
import { add, exitStatus, none, summary, type Totals } from './results.ts'
import { fileJobs, runFiles, suiteFiles, unitFiles } from './suites.ts'
import { TREE } from './vm/guest.ts'
import { isKernelName, KERNEL_NAMES } from './vm/kernels.ts'

const [suite = '', ...chosen] = process.argv.slice(2)

/** A check that is one program: it counts as one test. */
async function check(name: string, program: string, ...args: string[]): Promise<Totals> {
  const child = spawn(process.execPath, [join(TREE, 'node_modules', program), ...args], { cwd: TREE, stdio: 'inherit' })
  const status = await new Promise<number>((resolve) => child.on('close', (value) => resolve(value ?? 1)))
  console.log(status === 0 ? `    1 passed  ${name}` : `FAILED  ${name}: status ${status}`)
  return status === 0 ? { passed: 1, failed: 0, skipped: 0 } : { passed: 0, failed: 1, skipped: 0 }
}

const lint = (): Promise<Totals> => check('lint', 'oxlint/bin/oxlint', '--type-aware', '--deny-warnings')
const types = (): Promise<Totals> => check('types', 'typescript/bin/tsc', '-p', '.')
/** MERLON_TEST_FILES="a.test.ts b.test.ts" does what naming files does, through make. */
const named = chosen.length > 0 ? chosen : (process.env['MERLON_TEST_FILES']?.split(' ').filter(Boolean) ?? [])
const pick = (files: string[]): string[] => (named.length > 0 ? named : files)
/** MERLON_TEST_SUITES="lint types unit": only these, of all. */
const isWanted = (name: string): boolean => process.env['MERLON_TEST_SUITES']?.split(' ').includes(name) ?? true

/** MERLON_TEST_KERNELS="6.12 7.2" runs the kernel suite on these only. */
const kernels = process.env['MERLON_TEST_KERNELS']?.split(/[ ,]+/).filter(isKernelName) ?? KERNEL_NAMES
/** What is done side by side: an emulated processor keeps a real one busy, and a guest or an API server has up to 2 GB. */
const LANES = Number(process.env['MERLON_TEST_LANES'] ?? Math.max(1, Math.min(availableParallelism(), Math.round(totalmem() / 2e9))))
const SHOWN = 20
/** What a unit test takes at most, but for a few. */
const UNIT_SECONDS = 3

/** The cluster tests' files, one after the other on one API server. */
function clusterJobs(files: readonly string[]): Job[] {
  const run = async (): ReturnType<Job['run']> => {
    const started = await Cluster.start()
    try {
      return await runFiles(files, { env: { [SHARED]: started.directory } })
    } finally {
      await started.stop()
    }
  }
  return files.length === 0 ? [] : [{ name: 'cluster', usually: 340, run }]
}

/** Each suite's jobs. */
const JOBS: Record<string, () => Job[]> = {
  cluster: () => clusterJobs(pick(suiteFiles('cluster'))),
  kernel: () => kernelJobs(kernels, pick(suiteFiles('kernel'))),
  e2e: () => fileJobs(pick(suiteFiles('e2e'))),
  unit: () => fileJobs(pick(unitFiles()), UNIT_SECONDS),
}

/** An empty suite fails: it proves nothing. */
async function runSuites(names: readonly string[]): Promise<Totals> {
  const suites = names.map((name) => ({ name, jobs: JOBS[name]?.() ?? [] }))
  const empty = suites.filter(({ jobs }) => jobs.length === 0)
  for (const { name } of empty) console.log(`FAILED  ${name}: no tests were run`)
  const started = performance.now()
  const { totals, took, durations } = await runJobs(suites.flatMap(({ jobs }) => jobs), LANES, readDurations(DURATIONS))
  writeDurations(DURATIONS, durations)
  if (took.length > 1) console.log(`${Math.round((performance.now() - started) / 1000)} s, ${LANES} side by side. The longest:\n${longest(took, SHOWN).trimEnd()}`)
  return add(totals, { passed: 0, failed: empty.length, skipped: 0 })
}

async function all(): Promise<Totals> {
  const started = performance.now()
  const checks = Object.entries({ lint, types }).filter(([name]) => isWanted(name))
  const totals = add(none(), ...(await Promise.all(checks.map(([, each]) => each()))))
  add(totals, await runSuites(Object.keys(JOBS).filter(isWanted)))
  const isWhole = named.length === 0 && Object.keys(JOBS).every(isWanted) && kernels === KERNEL_NAMES
  if (isWhole) writeDurations(DURATIONS, { [TEST_RUN]: Math.round((performance.now() - started) / 1000) })
  return totals
}

const SUITES: Record<string, () => Promise<Totals>> = { all, lint, types, ...Object.fromEntries(Object.keys(JOBS).map((name) => [name, () => runSuites([name])])) }
const selected = Object.hasOwn(SUITES, suite) ? SUITES[suite] : undefined
if (selected === undefined) {
  console.error(`There is no suite "${suite}": use one of ${Object.keys(SUITES).join(', ')}`)
  process.exit(2)
}
const totals = await selected()
console.log(summary(totals))
process.exitCode = exitStatus(totals)
