// SPDX-License-Identifier: Apache-2.0
// Paths as people write them to paths as the kernel reports them: absolute, one slash between components, no `.` and no `..`.
import { parseGlob, type GlobNode, type GlobProblem } from './glob.ts'

/** A component that is empty, `.` or `..`; most paths have none. */
const DENORMAL = /\/(?:\/|\.{1,2}(?:\/|$))/

/** `path` begins with a slash. A slash at its end stays: directories keep theirs. */
export function normalisePath(path: string): string {
  if (!DENORMAL.test(path)) return path
  const components: string[] = []
  for (const component of path.split('/')) {
    if (component === '..') components.pop()
    else if (component !== '' && component !== '.') components.push(component)
  }
  const slash = components.length > 0 && path.endsWith('/') ? '/' : ''
  return `/${components.join('/')}${slash}`
}

/** Why no object can have this path; undefined when one can. */
export function pathProblem(path: string): string | undefined {
  if (path.includes('\0')) return 'it holds a NUL'
  if (/\p{Surrogate}/u.test(path)) return 'it holds half a surrogate pair'
  return undefined
}

/** Takes out empty and `.` components. `..` stays: what it would go up from may be a wildcard. */
export function normalisePattern(pattern: string): string {
  return pattern.replaceAll(/\/(?:\.?\/)+/g, '/')
}

const SLASH = 0x2f

export interface Mistake {
  readonly problem: string
  readonly suggestion: string
}

/** Why no path matches a pattern that parses; undefined when one may. Finds the usual mistakes, not all. */
export function neverMatches(pattern: string, nodes: readonly GlobNode[]): Mistake | undefined {
  if (!mayBeginWithSlash(nodes)) return { problem: 'it does not begin with `/`', suggestion: 'begin it with `/`, or with `/**/` for any directory' }
  if (pattern !== '/' && pattern.endsWith('/')) return { problem: 'it ends with `/`', suggestion: `for what lies in there write ${below(pattern.slice(0, -1))}` }
  return /\/\.\.(?:\/|$)/.test(pattern) ? { problem: 'it holds `..`', suggestion: 'write the path without it' } : undefined
}

/** Two stars at the end reach there already. */
function below(pattern: string): string {
  return pattern.endsWith('**') ? pattern : `${pattern}/**`
}

function mayBeginWithSlash(nodes: readonly GlobNode[]): boolean {
  const [first, ...rest] = nodes
  switch (first?.kind) {
    case undefined:
    case 'set':
      return false
    case 'across':
      return true
    case 'literal':
      return first.bytes[0] === SLASH
    case 'component':
      return mayBeginWithSlash(rest)
    case 'either':
      return first.branches.some((branch) => mayBeginWithSlash(branch.length === 0 ? rest : branch))
  }
}

const PROBLEMS: Readonly<Record<GlobProblem, string>> = {
  'open set': 'this `[` is not closed',
  'open alternatives': 'this `{` is not closed',
  'stray closing brace': 'this `}` closes nothing',
  'trailing backslash': 'a backslash at the end takes nothing literally',
  'reversed range': 'this range ends before it begins',
  'too long': 'it is longer than any path',
  'too deep': 'alternatives are nested too deeply',
  'too many alternatives': 'it has too many alternatives',
  'not text': 'it holds a NUL or half a surrogate pair',
}

export type PatternResult =
  | { readonly ok: true; readonly pattern: string; readonly never: Mistake | undefined }
  | { readonly ok: false; readonly problem: string; readonly at: number; readonly length: number }

/** A pattern in normal form, or where and why it cannot be read; `at` and `length` refer to the pattern as written. */
export function readPattern(written: string): PatternResult {
  const asWritten = parseGlob(written)
  if (!asWritten.ok) return { ok: false, problem: PROBLEMS[asWritten.problem], at: asWritten.at, length: asWritten.length }
  const normal = normalisePattern(written)
  const parsed = parseGlob(normal)
  // Only a slash run inside a set can make the normal form unreadable; then it stays as it is.
  const [pattern, nodes] = parsed.ok ? [normal, parsed.nodes] : [written, asWritten.nodes]
  return { ok: true, pattern, never: neverMatches(pattern, nodes) }
}
