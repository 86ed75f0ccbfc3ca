// SPDX-License-Identifier: Apache-2.0
// Patterns of matchPatterns, parsed. The evaluator walks this tree; the compiler turns it into an automaton. A parsed pattern
// holds at most GLOB_LIMITS.bytes nodes, and nothing is expanded here, so `{a,b}` fifty times over stays fifty nodes.

/**
 * One piece of a pattern. A pattern is a sequence of pieces that match one after the other and together the whole path.
 * Everything is bytes: `literal` holds UTF-8, `component` and `across` take any byte, valid UTF-8 or not.
 */
export type GlobNode =
  /** Exactly these bytes, at least one. */
  | { readonly kind: 'literal'; readonly bytes: Uint8Array }
  /** `*`: any run of bytes other than `/`, perhaps empty. */
  | { readonly kind: 'component' }
  /** `**`: any run of bytes, perhaps empty. */
  | { readonly kind: 'across' }
  /**
   * `?` (negated, no ranges) and `[...]`: one character, never `/`. `ranges` are inclusive pairs of Unicode code points in no particular order,
   * perhaps overlapping. A character is one well-formed UTF-8 sequence; besides, any one byte from 0x80 to 0xff is a character that is in
   * no range, hence matched by `?` and by every negated set: names in another encoding are not missed.
   */
  | { readonly kind: 'set'; readonly negated: boolean; readonly ranges: readonly CodeRange[] }
  /** `{a,b}`: one of the branches; an empty branch matches nothing. `/**\/` is the branches `/` and `/**` + `/`. */
  | { readonly kind: 'either'; readonly branches: readonly (readonly GlobNode[])[] }

export type CodeRange = readonly [first: number, last: number]

export type GlobProblem =
  | 'open set'
  | 'open alternatives'
  | 'stray closing brace'
  | 'trailing backslash'
  | 'reversed range'
  | 'too long'
  | 'too deep'
  | 'too many alternatives'
  | 'not text'

/** `at` and `length` are UTF-16 offsets into the pattern, for a caret. */
export type GlobResult =
  | { readonly ok: true; readonly nodes: readonly GlobNode[] }
  | { readonly ok: false; readonly problem: GlobProblem; readonly at: number; readonly length: number }

/** Paths have 4,095 bytes at most, hence longer patterns are mistakes. The other two keep recursion and automata in bounds. */
export const GLOB_LIMITS = { bytes: 4096, depth: 16, alternatives: 1024 } as const

const UTF8 = new TextEncoder()
const SLASH = '/'

class GlobError extends Error {
  readonly problem: GlobProblem
  readonly at: number
  readonly length: number
  constructor(problem: GlobProblem, at: number, length: number) {
    super(problem)
    this.problem = problem
    this.at = at
    this.length = length
  }
}

/** Parses a pattern as written. Never throws; see docs/semantics.md for what the pieces mean. */
export function parseGlob(pattern: string): GlobResult {
  try {
    const parser = new Parser(pattern)
    return { ok: true, nodes: parser.whole() }
  } catch (error) {
    if (error instanceof GlobError) return { ok: false, problem: error.problem, at: error.at, length: error.length }
    throw error
  }
}

class Parser {
  private readonly text: string
  private at = 0
  private alternatives = 0

  constructor(text: string) {
    this.text = text
    if (text.length > GLOB_LIMITS.bytes || UTF8.encode(text).length > GLOB_LIMITS.bytes) throw new GlobError('too long', 0, text.length)
    // No path has a NUL, and half a surrogate pair has no bytes.
    const bad = text.search(/\0|\p{Surrogate}/u)
    if (bad >= 0) throw new GlobError('not text', bad, 1)
  }

  whole(): readonly GlobNode[] {
    const nodes = this.sequence(0)
    // Only a closing brace ends a sequence at depth 0 before the end of the text.
    if (this.at < this.text.length) throw new GlobError('stray closing brace', this.at, 1)
    return nodes
  }

  /** Reads up to the end, or to a `}` (or within braces a `,`) that belongs to the caller. */
  private sequence(depth: number): readonly GlobNode[] {
    const nodes: GlobNode[] = []
    let literal = ''
    const flush = (): void => {
      if (literal !== '') nodes.push({ kind: 'literal', bytes: UTF8.encode(literal) })
      literal = ''
    }
    while (this.at < this.text.length) {
      const character = this.text.charAt(this.at)
      if (character === '}' || (character === ',' && depth > 0)) break
      const node = this.special(character, depth)
      if (node === undefined) literal += this.character()
      else {
        flush()
        nodes.push(node)
      }
    }
    flush()
    return nodes
  }

  /** The piece that begins here, unless it is a plain character. */
  private special(character: string, depth: number): GlobNode | undefined {
    switch (character) {
      case '*':
        return this.stars()
      case '?':
        this.at += 1
        return { kind: 'set', negated: true, ranges: [] }
      case '[':
        return this.set()
      case '{':
        return this.either(depth + 1)
      case SLASH:
        return this.anyDirectories()
      default:
        return undefined
    }
  }

  private stars(): GlobNode {
    const start = this.at
    while (this.text[this.at] === '*') this.at += 1
    return this.at - start > 1 ? { kind: 'across' } : { kind: 'component' }
  }

  /** A slash, then `**` and a slash, perhaps repeated: matches a single slash too. */
  private anyDirectories(): GlobNode | undefined {
    const run = /\/(?:\*{2,}\/)+/y
    run.lastIndex = this.at
    const found = run.exec(this.text)
    if (found === null) return undefined
    this.at += found[0].length
    const slash: GlobNode = { kind: 'literal', bytes: UTF8.encode(SLASH) }
    return { kind: 'either', branches: [[slash], [slash, { kind: 'across' }, slash]] }
  }

  private either(depth: number): GlobNode {
    const open = this.at
    if (depth > GLOB_LIMITS.depth) throw new GlobError('too deep', open, 1)
    const branches: (readonly GlobNode[])[] = []
    do {
      this.at += 1
      this.alternatives += 1
      if (this.alternatives > GLOB_LIMITS.alternatives) throw new GlobError('too many alternatives', this.at, 1)
      branches.push(this.sequence(depth))
    } while (this.text[this.at] === ',')
    if (this.text[this.at] !== '}') throw new GlobError('open alternatives', open, 1)
    this.at += 1
    return { kind: 'either', branches }
  }

  private set(): GlobNode {
    const open = this.at
    this.at += 1
    const negated = this.text[this.at] === '!' || this.text[this.at] === '^'
    if (negated) this.at += 1
    const ranges: CodeRange[] = []
    // As in POSIX, a bracket that comes first is a member.
    while (ranges.length === 0 || this.text[this.at] !== ']') {
      if (this.at >= this.text.length) throw new GlobError('open set', open, 1)
      ranges.push(this.range())
    }
    this.at += 1
    return { kind: 'set', negated, ranges }
  }

  private range(): CodeRange {
    const start = this.at
    const first = this.codePoint()
    const next = this.text[this.at + 1]
    if (this.text[this.at] !== '-' || next === undefined || next === ']') return [first, first]
    this.at += 1
    const last = this.codePoint()
    if (last < first) throw new GlobError('reversed range', start, this.at - start)
    return [first, last]
  }

  private codePoint(): number {
    return this.character().codePointAt(0) ?? 0
  }

  /** One character, with a backslash before it or not. */
  private character(): string {
    if (this.text[this.at] === '\\') {
      this.at += 1
      if (this.at >= this.text.length) throw new GlobError('trailing backslash', this.at - 1, 1)
    }
    const character = String.fromCodePoint(this.text.codePointAt(this.at) ?? 0)
    this.at += character.length
    return character
  }
}

/** Inclusive byte ranges, one for each byte of a character. */
export type ByteRanges = readonly CodeRange[]

/**
 * A set as byte sequences: the set matches what one of them matches, byte by byte. They may overlap; all code points of a negated
 * set are there, surrogates and `/` and NUL excepted.
 */
export function setBytes(set: Extract<GlobNode, { kind: 'set' }>): readonly ByteRanges[] {
  const sequences = included(set).flatMap(([first, last]) => utf8Ranges(first, last))
  if (set.negated) sequences.push([[0x80, 0xff]])
  return sequences
}

/** The set's code points as ascending, disjoint ranges. */
function included(set: Extract<GlobNode, { kind: 'set' }>): readonly CodeRange[] {
  const never: readonly CodeRange[] = [[0, 0], [0x2f, 0x2f], [0xd800, 0xdfff]]
  return set.negated ? complement([...set.ranges, ...never]) : complement([...complement(set.ranges), ...never])
}

function complement(ranges: readonly CodeRange[]): readonly CodeRange[] {
  const result: CodeRange[] = []
  let next = 0
  for (const [first, last] of [...ranges].sort((a, b) => a[0] - b[0])) {
    if (first > next) result.push([next, first - 1])
    next = Math.max(next, last + 1)
  }
  if (next <= 0x10ffff) result.push([next, 0x10ffff])
  return result
}

/** Splits at the ends of each encoded length, then wherever the trailing bytes are not a full range of 0x80 to 0xbf. */
function utf8Ranges(first: number, last: number): ByteRanges[] {
  for (const end of [0x7f, 0x7ff, 0xffff]) {
    if (first <= end && last > end) return [...utf8Ranges(first, end), ...utf8Ranges(end + 1, last)]
  }
  for (let bits = 6; bits <= 18 && last > 0x7f; bits += 6) {
    const mask = (1 << bits) - 1
    if (first >> bits === last >> bits) break
    if ((first & mask) !== 0) return [...utf8Ranges(first, first | mask), ...utf8Ranges((first | mask) + 1, last)]
    if ((last & mask) !== mask) return [...utf8Ranges(first, (last & ~mask) - 1), ...utf8Ranges(last & ~mask, last)]
  }
  const low = UTF8.encode(String.fromCodePoint(first))
  const high = UTF8.encode(String.fromCodePoint(last))
  return [[...low].map((byte, index): CodeRange => [byte, high[index] ?? byte])]
}
