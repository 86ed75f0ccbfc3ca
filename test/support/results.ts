// SPDX-License-Identifier: Apache-2.0
// What a run of tests came to: counted from node:test's events, here or sent as JSON lines from a guest.

import { inspect } from 'node:util'
import type { run } from 'node:test'

export type Outcome = {
  kind: 'passed' | 'failed' | 'skipped'
  /** Path in the tree. */
  file: string
  name: string
  milliseconds: number
  /** Why it was skipped, or how it failed. */
  detail: string
}

export type Totals = { passed: number; failed: number; skipped: number }

export function none(): Totals {
  return { passed: 0, failed: 0, skipped: 0 }
}

export function add(totals: Totals, ...others: readonly Totals[]): Totals {
  for (const each of others) {
    totals.passed += each.passed
    totals.failed += each.failed
    totals.skipped += each.skipped
  }
  return totals
}

/** The last line of a run. */
export function summary({ passed, failed, skipped }: Totals): string {
  return `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`
}

/** No tests at all is a failure too: a suite that finds nothing has proved nothing. */
export function exitStatus({ passed, failed }: Totals): number {
  return failed > 0 || passed === 0 ? 1 : 0
}

/** One line for a test that did not simply pass; nothing for one that did. */
export function describe(outcome: Outcome): string {
  if (outcome.kind === 'passed') return ''
  const mark = outcome.kind === 'failed' ? 'FAILED ' : 'SKIPPED'
  const detail = outcome.kind === 'failed' ? `\n${indented(outcome.detail)}` : `: ${outcome.detail}`
  return `${mark} ${outcome.file}: ${outcome.name}${detail}\n`
}

function indented(text: string): string {
  return text.split('\n').map((line) => `    ${line}`).join('\n')
}

type TestEvents = ReturnType<typeof run>
type Ended = {
  name: string; file?: string; skip?: string | boolean; todo?: string | boolean
  details: { duration_ms: number; type?: string; error?: Error & { failureType?: string } }
}

/** Calls `report` for every test of a run of `files`; settles when the run is over. */
export async function collect(events: TestEvents, files: readonly string[], report: (outcome: Outcome) => void): Promise<void> {
  const said = new Map<string, string>()
  const nameOf = namer(files)
  for await (const event of events as AsyncIterable<{ type: string; data: unknown }>) {
    if (event.type === 'test:stdout' || event.type === 'test:stderr') {
      const { file, message } = event.data as { file: string; message: string }
      said.set(nameOf(file), `${said.get(nameOf(file)) ?? ''}${message}`.slice(-4000))
    }
    const kind = event.type === 'test:pass' ? 'passed' : event.type === 'test:fail' ? 'failed' : undefined
    if (kind === undefined) continue
    const outcome = outcomeOf(kind, event.data as Ended, nameOf, said)
    if (outcome !== undefined) report(outcome)
  }
}

/** Names files as `files` does. Code that was compiled elsewhere (vm/compiled.ts) says where it was then. */
function namer(files: readonly string[]): (path: string) => string {
  const longestFirst = files.toSorted((a, b) => b.length - a.length)
  return (path) => longestFirst.find((each) => path === each || path.endsWith(`/${each}`)) ?? path
}

function outcomeOf(kind: 'passed' | 'failed', data: Ended, nameOf: (path: string) => string, said: Map<string, string>): Outcome | undefined {
  const reason = data.skip ?? data.todo ?? false
  if (isOnlyAbove(kind, data, reason)) return undefined
  const file = nameOf(data.file ?? data.name)
  const isFile = nameOf(data.name) === file
  const name = isFile ? '(the file)' : data.name
  const outcome: Outcome = { kind, file, name, milliseconds: data.details.duration_ms, detail: '' }
  if (reason !== false) return { ...outcome, kind: 'skipped', detail: typeof reason === 'string' ? reason : 'no reason given' }
  if (kind === 'failed') return { ...outcome, detail: failure(data, said.get(file)) }
  // node:test reports a file in which it found no test as a test that passed.
  return isFile ? { ...outcome, kind: 'failed', detail: 'The file has no tests' } : outcome
}

/** A suite, and a test that failed because a test below it did, are not counted: what is below them is. */
function isOnlyAbove(kind: 'passed' | 'failed', { details }: Ended, reason: string | boolean): boolean {
  return details.error?.failureType === 'subtestsFailed' || (details.type === 'suite' && kind === 'passed' && reason === false)
}

function failure({ details: { error } }: Ended, said = ''): string {
  const cause = error?.cause ?? error
  const stack = cause instanceof Error ? (cause.stack ?? cause.message) : inspect(cause)
  const text = stack.replace(/\n +at .*node:internal.*/g, '')
  const output = said.trim()
  return output === '' ? text : `${text}\nThe file said last:\n${output}`
}
