// SPDX-License-Identifier: Apache-2.0
// The test runner. The last line that it prints is "N passed, N failed", and its exit status says the same.
//
//   node test/support/run.ts unit|kernel|cluster|e2e|all [files of that suite...]

import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { Cluster, SHARED } from './cluster.ts'
import { add, exitStatus, none, summary, type Totals } from './results.ts'
import { runFiles, runKernelSuite, suiteFiles, unitFiles } from './suites.ts'
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
function kernels(): Parameters<typeof runKernelSuite>[0] {
  return process.env['MERLON_TEST_KERNELS']?.split(/[ ,]+/).filter(isKernelName) ?? KERNEL_NAMES
}

/** An empty suite fails: it proves nothing. */
async function filled(name: string, files: string[], runThem: (files: string[]) => Promise<Totals>): Promise<Totals> {
  const totals = files.length === 0 ? none() : await runThem(files)
  if (totals.passed + totals.failed + totals.skipped > 0) return totals
  console.log(`FAILED  ${name}: no tests were run`)
  return { passed: 0, failed: 1, skipped: 0 }
}

const unit = (): Promise<Totals> => filled('unit', pick(unitFiles()), (files) => runFiles(files, { parallel: true }))
const kernel = (): Promise<Totals> => filled('kernel', pick(suiteFiles('kernel')), (files) => runKernelSuite(kernels(), files))
const e2e = (): Promise<Totals> => filled('e2e', pick(suiteFiles('e2e')), (files) => runFiles(files, { parallel: false }))

/** One API server for all files. */
const cluster = (): Promise<Totals> => filled('cluster', pick(suiteFiles('cluster')), async (files) => {
  const started = await Cluster.start()
  process.env[SHARED] = started.directory
  try {
    return await runFiles(files, { parallel: false })
  } finally {
    await started.stop()
  }
})

async function all(): Promise<Totals> {
  const checks = Object.entries({ lint, types }).filter(([name]) => isWanted(name))
  const totals = add(none(), ...(await Promise.all(checks.map(([, each]) => each()))))
  // A debt: the end-to-end tests (make e2e) have not been seen to pass on a merged tree, so they do not decide yet.
  console.log('NOT RUN e2e: make e2e runs it')
  for (const [name, each] of Object.entries({ unit, cluster, kernel })) if (isWanted(name)) add(totals, await each())
  return totals
}

const SUITES: Record<string, () => Promise<Totals>> = { unit, kernel, cluster, e2e, all, lint, types }
const selected = SUITES[suite]
if (selected === undefined) {
  console.error(`There is no suite "${suite}": use one of unit, kernel, cluster, e2e, all`)
  process.exit(2)
}
const totals = await selected()
console.log(summary(totals))
process.exitCode = exitStatus(totals)
