// SPDX-License-Identifier: Apache-2.0
// The specification: docs/semantics.md as code. Written to be read and believed, not to be fast. It finds the winner by comparing the
// clauses that match, by the written rules, and so takes nothing on trust from the order that plan.ts puts them in.
import { parseGlob, type GlobNode } from './glob.ts'
import { OPERATIONS, type Answer, type Clause, type PathMatch, type Operation, type Plan, type Question, type PathSection } from './types.ts'

/** Linux's PATH_MAX counts the final NUL. */
const LONGEST_PATH = 4095
const SLASH = 0x2f

/** What a plan says to one operation. `question.sources` may be empty: then only clauses without sources match. */
export function evaluate(plan: Plan, question: Question): Answer {
  const section = sectionOf(question.operation)
  const reserved = plan.clauses.length + (section === 'process' ? 1 : 2)
  if (question.path.length > LONGEST_PATH) return { verdict: plan.undecidable[section].verdict, clause: reserved + 2 }

  const matching = plan.clauses.filter((clause) => clauseMatches(clause, question))
  const winner = matching.reduce<Clause | undefined>((best, clause) => (best === undefined || precedes(clause, best) ? clause : best), undefined)
  if (winner !== undefined) return { verdict: winner.verdict, clause: plan.clauses.indexOf(winner) + 1 }

  const fallback = plan.defaults[section]
  return fallback === undefined ? { verdict: 'Allow', clause: 0 } : { verdict: fallback.verdict, clause: reserved }
}

export function sectionOf(operation: Operation): PathSection {
  return operation === 'exec' ? 'process' : 'file'
}

export function clauseMatches(clause: Clause, question: Question): boolean {
  return clause.section === sectionOf(question.operation) && planeMatches(clause, question) && sourceMatches(clause, question) && objectMatches(clause, question)
}

export function planeMatches(clause: Clause, question: Question): boolean {
  const plane = OPERATIONS.indexOf(question.operation) * 2 + (question.owner ? 1 : 0)
  return ((clause.planes >> plane) & 1) === 1
}

export function sourceMatches(clause: Clause, question: Question): boolean {
  return clause.sources.length === 0 || clause.sources.some((source) => question.sources.some((given) => equal(bytesOf(source), given)))
}

export function objectMatches(clause: Clause, question: Question): boolean {
  return clause.matches.some((match) => matches(match, question.path))
}

/* ---- Which rule decides ---- */

const SHAPES = ['path', 'name', 'pattern', 'dir']
const STRICTNESS = ['Block', 'Audit', 'Allow']
const KINDS = ['KubeArmorPolicy', 'KubeArmorClusterPolicy', 'KubeArmorHostPolicy', '']

/** What settles which of two clauses decides, in the order of "Which rule decides"; `equal`: nothing does. */
export const PRECEDENCE = ['source', 'shape', 'directory', 'verdict', 'credit', 'credit', 'credit', 'credit', 'credit', 'credit'] as const
export type Precedence = (typeof PRECEDENCE)[number] | 'equal'

/** True when `a` decides rather than `b`. */
function precedes(a: Clause, b: Clause): boolean {
  return compare(a, b).first
}

/** Whether `a` decides rather than `b`, and by which rule. */
export function compare(a: Clause, b: Clause): { readonly first: boolean; readonly by: Precedence } {
  const left = rank(a)
  const right = rank(b)
  for (const [index, value] of left.entries()) {
    const other = right[index] ?? value
    if (value !== other) return { first: value < other, by: PRECEDENCE[index] ?? 'equal' }
  }
  return { first: false, by: 'equal' }
}

/** The rules of "Which rule decides" from the first to the last; the smaller one wins. */
function rank(clause: Clause): readonly (string | number)[] {
  const { origin } = clause
  const [match] = clause.matches
  return [
    clause.sources.length > 0 ? 0 : 1,
    SHAPES.indexOf(clause.match.kind),
    match?.kind === 'dir' ? -bytesOf(match.dir).length : 0,
    STRICTNESS.indexOf(clause.verdict),
    KINDS.indexOf(origin.kind),
    origin.namespace,
    origin.policy,
    origin.position.file,
    origin.position.line,
    origin.position.column,
  ]
}

/* ---- What a rule matches ---- */

/** True when a match, aliases aside, covers a path. */
export function matches(match: PathMatch, path: Uint8Array): boolean {
  switch (match.kind) {
    case 'path':
      return equal(path, bytesOf(match.path))
    case 'name':
      return endsWith(path, bytesOf(`/${match.name}`))
    case 'dir':
      return dirMatches(bytesOf(match.dir), match.recursive, path)
    case 'pattern':
      return patternMatches(match.pattern, path)
  }
}

function dirMatches(dir: Uint8Array, recursive: boolean, path: Uint8Array): boolean {
  if (equal(path, dir.subarray(0, -1))) return true
  return startsWith(path, dir) && (recursive || !path.subarray(dir.length).includes(SLASH))
}

function patternMatches(pattern: string, path: Uint8Array): boolean {
  const parsed = parseGlob(pattern)
  // The reader refuses such patterns; a plan that holds one is a defect.
  if (!parsed.ok) throw new Error(`pattern ${pattern}: ${parsed.problem}`)
  return ends(parsed.nodes, path, new Set([0])).has(path.length)
}

/** Where a match of these pieces can end in `path`, when it may begin at any of `starts`: work is pieces times length, never exponential. */
function ends(nodes: readonly GlobNode[], path: Uint8Array, starts: ReadonlySet<number>): ReadonlySet<number> {
  let reached = starts
  for (const node of nodes) {
    const from = reached
    reached = node.kind === 'either' ? new Set(node.branches.flatMap((branch) => [...ends(branch, path, from)])) : pieceEnds(node, path, reached)
  }
  return reached
}

function pieceEnds(node: Exclude<GlobNode, { kind: 'either' }>, path: Uint8Array, starts: ReadonlySet<number>): ReadonlySet<number> {
  const reached = new Set<number>()
  for (const start of starts) for (const end of nodeEnds(node, path, start, reached)) reached.add(end)
  return reached
}

/** `known` are ends already found: a run that reaches one of them goes on as that one did. */
function* nodeEnds(node: Exclude<GlobNode, { kind: 'either' }>, path: Uint8Array, start: number, known: ReadonlySet<number>): Generator<number> {
  if (node.kind === 'literal') {
    if (startsWith(path.subarray(start), node.bytes)) yield start + node.bytes.length
  } else if (node.kind === 'set') {
    yield* setEnds(node, path, start)
  } else {
    for (let end = start; end <= path.length && !known.has(end); end += 1) {
      yield end
      if (node.kind === 'component' && path[end] === SLASH) return
    }
  }
}

function* setEnds(set: Extract<GlobNode, { kind: 'set' }>, path: Uint8Array, start: number): Generator<number> {
  const byte = path[start]
  if (byte === undefined) return
  const character = characterAt(path, start)
  if (character !== undefined && character.code !== SLASH) {
    const listed = set.ranges.some(([first, last]) => first <= character.code && character.code <= last)
    if (listed !== set.negated) yield start + character.length
  }
  if (byte >= 0x80 && set.negated) yield start + 1
}

const UTF8 = new TextEncoder()
const STRICT_UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** The well-formed UTF-8 sequence at `start`, if there is one. */
function characterAt(path: Uint8Array, start: number): { readonly code: number; readonly length: number } | undefined {
  const lead = path[start] ?? 0
  const length = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4
  try {
    const text = STRICT_UTF8.decode(path.subarray(start, start + length))
    const code = text.codePointAt(0)
    return code === undefined ? undefined : { code, length }
  } catch {
    return undefined
  }
}

function bytesOf(text: string): Uint8Array {
  return UTF8.encode(text)
}

function equal(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && startsWith(a, b)
}

function startsWith(bytes: Uint8Array, prefix: Uint8Array): boolean {
  return prefix.every((byte, index) => bytes[index] === byte)
}

function endsWith(bytes: Uint8Array, suffix: Uint8Array): boolean {
  return bytes.length >= suffix.length && equal(bytes.subarray(bytes.length - suffix.length), suffix)
}
