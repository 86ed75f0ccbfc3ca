// SPDX-License-Identifier: Apache-2.0
// Results of policy tests as TAP 14 (testanything.org) and as JUnit's XML, which CI systems show.
import { harmless } from './terminal.ts'
import type { Finding } from '../policy/types.ts'
import type { Count, Coverage, Run } from './test-coverage.ts'

/** What is wrong with a file of tests, or with the manifests that it is about. A report without it would show that all is well. */
export interface Wrong {
  readonly file: string
  readonly finding: Finding
}

export interface Results {
  readonly runs: readonly Run[]
  readonly wrong: readonly Wrong[]
  readonly coverage: Coverage
}

export function tap({ runs, wrong, coverage }: Results): string {
  const lines = ['TAP version 14', `1..${runs.length + wrong.length}`]
  for (const [index, { file, test, outcome }] of runs.entries()) {
    lines.push(`${outcome.ok ? 'ok' : 'not ok'} ${index + 1} - ${description(test.name)}`)
    if (!outcome.ok) lines.push(...details({ message: outcome.problem, at: `${file}:${test.position.line}`, reason: outcome.explanation.reason, rule: placeOf(outcome) }))
  }
  for (const [index, { finding }] of wrong.entries()) {
    const { message, position, code, hint } = finding
    lines.push(`not ok ${runs.length + index + 1} - ${description(`${position.file} is right`)}`, ...details({ message, at: `${position.file}:${position.line}`, code, hint }))
  }
  for (const { title, name, complaint, count } of countsOf(coverage)) {
    lines.push(`# ${title}: ${count.done} of ${count.of}`, ...shown(count.missed).map((each) => `# ${complaint}: ${harmless(each)}`))
    if (count.missed.length > SHOWN) lines.push(`# ${complaint}: ${count.missed.length - SHOWN} more ${name}`)
    lines.push(...count.uncounted.map((each) => `# not counted: ${harmless(each)}`))
  }
  return `${lines.join('\n')}\n`
}

/** A `#` would begin a directive, and a backslash an escape. */
function description(name: string): string {
  return harmless(name).replaceAll(/[\\#]/g, '\\$&')
}

function details(said: Readonly<Record<string, string>>): readonly string[] {
  return ['  ---', ...Object.entries(said).map(([key, value]) => `  ${key}: ${JSON.stringify(value)}`), '  ...']
}

/** Of each kind: whoever has more to do than that begins with these. */
const SHOWN = 30

function shown(missed: readonly string[]): readonly string[] {
  return missed.slice(0, SHOWN)
}

interface Counted {
  readonly title: string
  readonly name: string
  readonly complaint: string
  readonly count: Count
}

function countsOf(coverage: Coverage): readonly Counted[] {
  const mutants = coverage.mutants()
  return [
    { title: 'rules that decided a test', name: 'rules', complaint: 'not tested', count: coverage.rules() },
    { title: 'classes of objects that a test was about', name: 'classes', complaint: 'not tested', count: coverage.classes() },
    ...(mutants === undefined ? [] : [{ title: 'changes of a rule that a test noticed', name: 'mutants', complaint: 'not noticed', count: mutants }]),
  ]
}

function placeOf({ explanation: { origin } }: Run['outcome']): string {
  if (origin === undefined) return 'none'
  return origin.position.line === 0 ? origin.text : `${origin.position.file}:${origin.position.line} ${origin.text}`
}

/** Coverage as properties: `rules`, `classes` and `mutants`, each as `DONE of ALL`. */
export function junit({ runs, wrong, coverage }: Results): string {
  const counts = (some: readonly Run[], errors: number): string => `tests="${some.length + errors}" failures="${some.filter(({ outcome }) => !outcome.ok).length}" errors="${errors}"`
  const properties = countsOf(coverage).map(({ name, count }) => `    <property name="${name}" value="${count.done} of ${count.of}"/>`)
  const lines = ['<?xml version="1.0" encoding="UTF-8"?>', `<testsuites ${counts(runs, wrong.length)}>`, '  <properties>', ...properties, '  </properties>']
  for (const file of new Set([...runs, ...wrong].map((each) => each.file))) {
    const [own, errors] = [runs.filter((run) => run.file === file), wrong.filter((each) => each.file === file)]
    lines.push(`  <testsuite name="${xml(file)}" ${counts(own, errors.length)}>`, ...own.flatMap(testcase), ...errors.flatMap(errorcase), '  </testsuite>')
  }
  return `${[...lines, '</testsuites>'].join('\n')}\n`
}

function errorcase({ file, finding: { code, message, hint, position } }: Wrong): readonly string[] {
  const head = `<testcase name="${xml(`${position.file} is right`)}" classname="${xml(file)}" file="${xml(position.file)}" line="${position.line}"`
  return [`    ${head}>`, `      <error type="${code}" message="${xml(message)}">${xml(hint)}</error>`, '    </testcase>']
}

function testcase({ file, test, outcome }: Run): readonly string[] {
  const head = `    <testcase name="${xml(test.name)}" classname="${xml(file)}" file="${xml(file)}" line="${test.position.line}"`
  if (outcome.ok) return [`${head}/>`]
  return [`${head}>`, `      <failure message="${xml(outcome.problem)}">${xml(outcome.explanation.reason)}</failure>`, '    </testcase>']
}

/** XML 1.0 has no way to write most control characters, nor the two that are none. */
function xml(text: string): string {
  const entities: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', '\ufffe': '\\u{fffe}', '\uffff': '\\u{ffff}' }
  return harmless(text).replaceAll(/[&<>"\ufffe\uffff]/g, (character) => entities[character] ?? character)
}
