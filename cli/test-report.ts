// SPDX-License-Identifier: Apache-2.0
// Results of policy tests as TAP 14 (testanything.org) and as JUnit's XML, which CI systems show.
import { harmless } from './terminal.ts'
import type { Run } from './test.ts'

/** `rules`: every rule by place, and whether a test was decided by it. */
export function tap(runs: readonly Run[], rules: ReadonlyMap<string, boolean>): string {
  const lines = ['TAP version 14', `1..${runs.length}`]
  for (const [index, { file, test, outcome }] of runs.entries()) {
    // A `#` would begin a directive, and a backslash an escape.
    const name = harmless(test.name).replaceAll(/[\\#]/g, '\\$&')
    lines.push(`${outcome.ok ? 'ok' : 'not ok'} ${index + 1} - ${name}`)
    if (outcome.ok) continue
    const details = { message: outcome.problem, at: `${file}:${test.position.line}`, reason: outcome.explanation.reason, rule: placeOf(outcome) }
    lines.push('  ---', ...Object.entries(details).map(([key, value]) => `  ${key}: ${JSON.stringify(value)}`), '  ...')
  }
  const missed = [...rules].filter(([, decided]) => !decided).map(([place]) => place)
  lines.push(`# rules that decided a test: ${rules.size - missed.length} of ${rules.size}`, ...missed.map((place) => `# not tested: ${harmless(place)}`))
  return `${lines.join('\n')}\n`
}

function placeOf({ explanation: { origin } }: Run['outcome']): string {
  if (origin === undefined) return 'none'
  return origin.position.line === 0 ? origin.text : `${origin.position.file}:${origin.position.line} ${origin.text}`
}

export function junit(runs: readonly Run[]): string {
  const failed = (some: readonly Run[]): number => some.filter(({ outcome }) => !outcome.ok).length
  const suites = Map.groupBy(runs, ({ file }) => file)
  const lines = ['<?xml version="1.0" encoding="UTF-8"?>', `<testsuites tests="${runs.length}" failures="${failed(runs)}">`]
  for (const [file, own] of suites) {
    lines.push(`  <testsuite name="${xml(file)}" tests="${own.length}" failures="${failed(own)}">`, ...own.flatMap(testcase), '  </testsuite>')
  }
  return `${[...lines, '</testsuites>'].join('\n')}\n`
}

function testcase({ file, test, outcome }: Run): readonly string[] {
  const head = `    <testcase name="${xml(test.name)}" classname="${xml(file)}" file="${xml(file)}" line="${test.position.line}"`
  if (outcome.ok) return [`${head}/>`]
  return [`${head}>`, `      <failure message="${xml(outcome.problem)}">${xml(outcome.explanation.reason)}</failure>`, '    </testcase>']
}

/** XML 1.0 has no way to write most control characters. */
function xml(text: string): string {
  const entities: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' }
  return harmless(text).replaceAll(/[&<>"]/g, (character) => entities[character] ?? character)
}
