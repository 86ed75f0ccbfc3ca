// SPDX-License-Identifier: Apache-2.0
// The suites' files, and how files are run on this machine: unit, cluster, e2e. The kernel suite runs them in guests (kernel-suite.ts).

import { appendFileSync, globSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { run } from 'node:test'
import type { Came, Job } from './lanes.ts'
import { collect, describe, none, type Outcome, type Totals } from './results.ts'
import { TREE } from './vm/guest.ts'

/** The line that ends a guest's list of outcomes: without it the list is not complete. */
export const COMPLETE = 'complete'

export function unitFiles(): string[] {
  const outside = (path: string): boolean => /^(node_modules|build|test\/kernel|test\/cluster|test\/e2e)(\/|$)/.test(path)
  return globSync('**/*.test.ts', { cwd: TREE, exclude: outside }).filter((each) => !outside(each)).sort()
}

export function suiteFiles(name: 'kernel' | 'cluster' | 'e2e'): string[] {
  return globSync(`test/${name}/**/*.test.ts`, { cwd: TREE }).sort()
}

export type RunOptions = {
  /** Each outcome is written there too, as a JSON line. */
  eventsFile?: string
  /** Beside the runner's own environment. */
  env?: Readonly<Record<string, string>>
}

/** Runs files on this machine (which may be a guest), one after the other, telling what failed and one line a file. */
export async function runFiles(files: readonly string[], { eventsFile, env }: RunOptions = {}): Promise<Came> {
  const totals = none()
  const perFile = new Map<string, Totals & { milliseconds: number }>()
  if (eventsFile !== undefined) writeFileSync(eventsFile, '')
  const report = (outcome: Outcome): void => {
    totals[outcome.kind]++
    const file = perFile.get(outcome.file) ?? { ...none(), milliseconds: 0 }
    file[outcome.kind]++
    file.milliseconds += outcome.milliseconds
    perFile.set(outcome.file, file)
    process.stdout.write(describe(outcome))
    if (eventsFile !== undefined) appendFileSync(eventsFile, `${JSON.stringify(outcome)}\n`)
  }
  const running = run({ files: files.map((each) => join(TREE, each)), concurrency: 1, ...(env === undefined ? {} : { env: { ...process.env, ...env } }) })
  await collect(running, files, report)
  for (const [file, { passed, failed, skipped, milliseconds }] of perFile) {
    const counts = `${String(passed).padStart(5)} passed${failed > 0 ? ` ${failed} FAILED` : ''}${skipped > 0 ? ` ${skipped} skipped` : ''}`
    console.log(`${counts}  ${file}  ${(milliseconds / 1000).toFixed(1)} s`)
  }
  if (eventsFile !== undefined) appendFileSync(eventsFile, `${JSON.stringify(COMPLETE)}\n`)
  return { totals, took: [...perFile].map(([name, { milliseconds }]) => ({ name, seconds: milliseconds / 1000 })) }
}

/** Seconds of the long ones, on two processors. A file that is not here and has not been run yet goes first: it may be a long one. */
const USUALLY: Readonly<Record<string, number>> = {
  'test/e2e/fresh-clone.test.ts': 380, 'test/e2e/node.test.ts': 350, 'test/e2e/demo.test.ts': 190, 'test/e2e/faults.test.ts': 150,
  'test/e2e/guests.test.ts': 85, 'test/e2e/obstacles.test.ts': 60,
}

/** These write and delete whole trees of packages. */
const WAITS: ReadonlySet<string> = new Set(['test/e2e/fresh-clone.test.ts'])

/** A job for each file. `usually` is said of those that are not known to be long. */
export function fileJobs(files: readonly string[], usually?: number): Job[] {
  return files.map((name) => {
    const seconds = USUALLY[name] ?? usually
    return { name, ...(seconds === undefined ? {} : { usually: seconds }), waits: WAITS.has(name), run: () => runFiles([name]) }
  })
}
