// SPDX-License-Identifier: Apache-2.0
// Findings for people and for machines.
import type { LintReport } from './lint.ts'
import type { Finding } from './types.ts'

/** Wider lines are cut to a window around the caret. */
const WIDTH = 120
const LEAD = 40

/**
 * One finding as text: place, severity, message and code; the line with a caret under the offending part; the hint.
 * `content` is the text of the file that the finding is about, when it is at hand.
 */
export function renderFinding(finding: Finding, content?: string): string {
  const { position, severity, message, code, hint } = finding
  const place = position.line === 0 ? position.file : `${position.file}:${position.line}:${position.column}`
  const head = printable(`${place}: ${severity}: ${message} [${code}]`)
  const line = position.line === 0 ? undefined : content?.split(/\r?\n/)[position.line - 1]
  return line === undefined ? `${head}\n  hint: ${printable(hint)}` : `${head}\n${excerpt(line, finding)}`
}

function excerpt(line: string, { position, text, hint }: Finding): string {
  const start = position.column - 1
  const from = line.length <= WIDTH ? 0 : Math.max(0, start - LEAD)
  const shown = printable(line.slice(from, from + WIDTH))
  const marked = Math.max(1, Math.min(text.length, line.trimEnd().length - start, from + WIDTH - start))
  const number = String(position.line).padStart(5)
  return `${number} | ${shown}\n${' '.repeat(number.length)} | ${' '.repeat(start - from)}${'^'.repeat(marked)} ${printable(hint)}`
}

/** Terminals must not be told what to do by a policy file, nor to show it in another order; one column for each UTF-16 unit keeps the caret in place. */
function printable(line: string): string {
  return line.replaceAll('\t', ' ').replaceAll(/[\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069]/gu, '�').trimEnd()
}

/** A report as text: the findings, then a line of counts. `contents` are the texts of the files by name. */
export function renderText(report: LintReport, contents: ReadonlyMap<string, string>): string {
  const errors = report.findings.filter(({ severity }) => severity === 'error').length
  const warnings = report.findings.length - errors
  const counts = `${count(report.files, 'file')}, ${count(report.policies, 'policy', 'policies')}, ${count(report.rules, 'rule')}: ${count(errors, 'error')}, ${count(warnings, 'warning')}`
  return `${[...report.findings.map((each) => renderFinding(each, contents.get(each.position.file))), counts].join('\n')}\n`
}

function count(number: number, one: string, many = `${one}s`): string {
  return `${number} ${number === 1 ? one : many}`
}

/** A report as JSON: `{"files","policies","rules","findings":[{"file","line","column","severity","code","message","hint"}]}`. */
export function renderJson(report: LintReport): string {
  const { files, policies, rules } = report
  const findings = report.findings.map(({ position: { file, line, column }, severity, code, message, hint }) => ({ file, line, column, severity, code, message, hint }))
  return `${JSON.stringify({ files, policies, rules, findings })}\n`
}
