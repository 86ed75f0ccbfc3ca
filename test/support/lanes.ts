// SPDX-License-Identifier: Apache-2.0
// Jobs side by side in as many lanes as the machine has processors for. The longest go first, so that no lane stands idle at the end.

import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { add, none, type Totals } from './results.ts'
import { cacheDirectory } from './vm/cache.ts'

/** How long a part of a job took: a test file, as a rule. */
export type Took = { name: string; seconds: number }
export type Came = { totals: Totals; took: readonly Took[] }
export type Job = {
  name: string
  /** Seconds that it takes on two processors, roughly: where it has not been run yet, its place in the order comes of this. */
  usually?: number
  /** It waits for the disk most of the time, so that it would leave a processor idle: it goes beside the lanes, where there is more than one. */
  waits?: boolean
  run: () => Promise<Came>
}
/** How long each job took last time; it outlives a checkout. */
export const DURATIONS = join(cacheDirectory(), 'durations.json')
/** The name there of a whole make test. */
export const TEST_RUN = 'make test'
/** Seconds by the name of a job. */
export type Durations = Readonly<Record<string, number>>

/**
 * Runs every job, and settles when all have ended. A job that throws has failed, and ends no other. `known` is how long each took last time, before
 * what it usually takes; where there is neither, a job goes first, in the order given.
 */
export async function runJobs(jobs: readonly Job[], lanes: number, known: Durations): Promise<Came & { durations: Durations }> {
  const expected = ({ name, usually }: Job): number => known[name] ?? usually ?? Infinity
  const ordered = jobs.toSorted((a, b) => expected(b) - expected(a) || 0)
  const beside = lanes > 1 ? ordered.filter(({ waits }) => waits) : []
  const totals = none()
  const took: Took[] = []
  const durations: Record<string, number> = {}
  const lane = async (waiting: Job[]): Promise<void> => {
    for (let job = waiting.shift(); job !== undefined; job = waiting.shift()) {
      const started = performance.now()
      const came = await job.run().catch((error: unknown): Came => {
        console.log(`FAILED  ${job?.name}: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`)
        return { totals: { passed: 0, failed: 1, skipped: 0 }, took: [] }
      })
      add(totals, came.totals)
      took.push(...came.took)
      durations[job.name] = Math.round((performance.now() - started) / 100) / 10
    }
  }
  const waiting = ordered.filter((job) => !beside.includes(job))
  await Promise.all([lane(beside), ...Array.from({ length: lanes }, () => lane(waiting))])
  return { totals, took, durations }
}

/** The longest parts, one a line, the longest first. */
export function longest(took: readonly Took[], count: number): string {
  const shown = took.toSorted((a, b) => b.seconds - a.seconds).slice(0, count)
  return shown.map(({ name, seconds }) => `${seconds.toFixed(1).padStart(8)} s  ${name}\n`).join('')
}

/** What is remembered of earlier runs: nothing where there was none, or where it cannot be read. */
export function readDurations(file: string): Durations {
  try {
    const entries = Object.entries(JSON.parse(readFileSync(file, 'utf8')) as Record<string, unknown>)
    return Object.fromEntries(entries.filter((entry): entry is [string, number] => typeof entry[1] === 'number'))
  } catch {
    return {}
  }
}

/** Remembers for the next run. It is worth nothing but a better order: not being able to write it down is no failure. */
export function writeDurations(file: string, durations: Durations): void {
  try {
    mkdirSync(dirname(file), { recursive: true })
    writeFileSync(file, `${JSON.stringify({ ...readDurations(file), ...durations }, undefined, 1)}\n`)
  } catch (error) {
    console.log(`Not remembered how long things took: ${(error as Error).message}`)
  }
}
