// SPDX-License-Identifier: Apache-2.0
// Tokens of the YAML that block.ts reads: scalars and flow collections, each within one line.
import type { Entry, Node, ScalarNode } from './document.ts'

export type Scalar = ScalarNode['value']

/** Thrown and caught by this reader only: the text is more than this reader knows. */
export class Beyond extends Error {}

export const NEWLINE = 0x0a
export const SPACE = 0x20
const DOUBLE = 0x22
export const HASH = 0x23
const SINGLE = 0x27
const COMMA = 0x2c
export const DASH = 0x2d
export const COLON = 0x3a
const OPEN_LIST = 0x5b
const BACKSLASH = 0x5c
const CLOSE_LIST = 0x5d
const OPEN_MAP = 0x7b
const CLOSE_MAP = 0x7d

/** What no plain scalar begins with here. A dash may, where no space follows. */
const NEVER_FIRST = asciiSet('\n #,[]{}&*!|>\'"%@`?:<=')
/** What may end a plain scalar. */
const ENDS = asciiSet('\n:#')
/** A plain scalar that neither begins like a number nor is one of YAML 1.1's words is a string. */
const MAYBE_NUMBER = asciiSet('0123456789+-.~')
const MAYBE_WORD = asciiSet('nNyYtTfFoO')
const WORD = /^(?:y|yes|n|no|true|false|on|off|null)$/i
/** What these words stand for, once it was asked for: there are not many ways to write them. */
const WORDS = new Map<string, Scalar>()
/** The parser's own limit is 1,024; nearly as long keys are left to it. */
export const LONGEST_KEY = 1000
/** Deeper than any policy, and far from the end of the stack. */
export const DEEPEST = 64
/** Finding out what a scalar stands for is slow: a text with more of them than this has no use for a quick reader. */
const MOST_RESOLVED = 1000
const FLOW_PLAIN = /[^,[\]{}:#?\n]*/y
/** Decimal numbers, which are most of them, are known without asking. */
const DECIMAL = /^(?:0|[1-9][0-9]{0,14})$/

function asciiSet(characters: string): Uint8Array {
  const set = new Uint8Array(128)
  for (let i = 0; i < characters.length; i++) set[characters.charCodeAt(i)] = 1
  return set
}

export class Tokens {
  readonly text: string
  /** Where reading goes on. */
  at = -1
  depth = 0
  private readonly resolve: (source: string) => Scalar | undefined
  private readonly resolved = new Map<string, Scalar>()

  constructor(text: string, resolve: (source: string) => Scalar | undefined) {
    this.text = text
    this.resolve = resolve
  }

  lineEnd(at: number): number {
    const end = this.text.indexOf('\n', at)
    return end < 0 ? this.text.length : end
  }

  blankAt(at: number): boolean {
    const next = this.text.charCodeAt(at)
    return next === SPACE || next === NEWLINE || at >= this.text.length
  }

  skipSpaces(): number {
    while (this.text.charCodeAt(this.at) === SPACE) this.at++
    return this.at < this.text.length ? this.text.charCodeAt(this.at) : NEWLINE
  }

  /** To the end of the line, where nothing but a comment may come. */
  endLine(): void {
    const from = this.at
    const next = this.skipSpaces()
    if (next === HASH && this.at > from) this.at = this.lineEnd(this.at)
    else if (next !== NEWLINE) throw new Beyond()
  }

  keyName(key: Node): string {
    const { start, end } = key.span
    if (key.kind !== 'scalar' || key.value === null || this.text.charCodeAt(this.at) !== COLON || !this.blankAt(this.at + 1) || end - start > LONGEST_KEY) throw new Beyond()
    return typeof key.value === 'string' ? key.value : String(key.value)
  }

  /** What begins at `at`, whatever it is; leaves `at` behind it and the spaces after it, before a colon, a comment or the end of the line. */
  token(): Node {
    const { text, at } = this
    const first = text.charCodeAt(at)
    switch (first) {
      case OPEN_LIST:
      case OPEN_MAP:
        return this.flow()
      case SINGLE:
      case DOUBLE: {
        const quoted = this.quoted(first)
        // A comment needs a space before it, which `endLine` must see.
        if (text.charCodeAt(this.at) === SPACE && this.skipSpaces() !== COLON) this.at--
        return quoted
      }
      default:
        return this.plain(first)
    }
  }

  private plain(first: number): ScalarNode {
    const { text } = this
    const start = this.at
    if (NEVER_FIRST[first] === 1 || (first === DASH && this.blankAt(start + 1))) throw new Beyond()
    let at = start
    let end = start
    for (; at < text.length; at++) {
      const character = text.charCodeAt(at)
      // Where a comment begins, `endLine` has to see the space before it.
      if (ENDS[character] === 1 && (character === NEWLINE || (character === COLON ? this.blankAt(at + 1) : end < at))) break
      if (character !== SPACE) end = at + 1
    }
    this.at = text.charCodeAt(at) === COLON ? at : end
    return { kind: 'scalar', value: this.plainValue(start, end), span: { start, end } }
  }

  private plainValue(start: number, end: number): Scalar {
    const source = this.text.slice(start, end)
    const first = source.charCodeAt(0)
    if (MAYBE_WORD[first] === 1) return WORD.test(source) ? this.resolvedBy(source, WORDS) : source
    if (MAYBE_NUMBER[first] !== 1) return source
    // At the beginning of a line they would be something else.
    if (source.startsWith('---') || source.startsWith('...')) throw new Beyond()
    return this.resolvedValue(source)
  }

  private resolvedValue(source: string): Scalar {
    return DECIMAL.test(source) ? Number(source) : this.resolvedBy(source, this.resolved)
  }

  private resolvedBy(source: string, known: Map<string, Scalar>): Scalar {
    const before = known.get(source)
    if (before !== undefined) return before
    const value = known.size < MOST_RESOLVED ? this.resolve(source) : undefined
    if (value === undefined) throw new Beyond()
    known.set(source, value)
    return value
  }

  private quoted(quote: number): ScalarNode {
    const { text } = this
    const start = this.at
    let special = false
    for (let at = start + 1; at < text.length; at++) {
      const character = text.charCodeAt(at)
      if (character === NEWLINE) break
      const escaped = quote === DOUBLE ? character === BACKSLASH : character === SINGLE && text.charCodeAt(at + 1) === SINGLE
      if (escaped) {
        special = true
        at++
      } else if (character === quote) {
        this.at = at + 1
        return { kind: 'scalar', value: special ? this.resolvedValue(text.slice(start, at + 1)) : text.slice(start + 1, at), span: { start, end: at + 1 } }
      }
    }
    throw new Beyond()
  }

  /** A flow collection that ends on its line. */
  private flow(): Node {
    if (++this.depth > DEEPEST) throw new Beyond()
    const start = this.at
    const list = this.text.charCodeAt(start) === OPEN_LIST
    const items: Node[] = []
    const entries = new Map<string, Entry>()
    this.at++
    const close = list ? CLOSE_LIST : CLOSE_MAP
    while (this.skipSpaces() !== close || items.length + entries.size > 0) {
      if (list) items.push(this.flowToken())
      else this.flowEntry(entries)
      const next = this.skipSpaces()
      if (next === close) break
      if (next !== COMMA) throw new Beyond()
      this.at++
    }
    const span = { start, end: ++this.at }
    this.depth--
    return list ? { kind: 'list', items, span } : { kind: 'map', entries, span }
  }

  private flowEntry(entries: Map<string, Entry>): void {
    const key = this.flowToken()
    this.skipSpaces()
    const name = this.keyName(key)
    if (entries.has(name)) throw new Beyond()
    this.at++
    this.skipSpaces()
    entries.set(name, { key: key.span, value: this.flowToken() })
  }

  private flowToken(): Node {
    const first = this.text.charCodeAt(this.at)
    if (first === OPEN_LIST || first === OPEN_MAP) return this.flow()
    return first === SINGLE || first === DOUBLE ? this.quoted(first) : this.flowPlain(first)
  }

  private flowPlain(first: number): ScalarNode {
    const start = this.at
    FLOW_PLAIN.lastIndex = start
    const source = FLOW_PLAIN.exec(this.text)?.[0].trimEnd() ?? ''
    if (source === '' || NEVER_FIRST[first] === 1 || first === DASH) throw new Beyond()
    this.at = start + source.length
    // Colons and hashes within words have rules of their own here. A colon may end a key.
    const next = this.text.charCodeAt(this.at)
    if (next === HASH || (next === COLON && !this.blankAt(this.at + 1))) throw new Beyond()
    return { kind: 'scalar', value: this.plainValue(start, this.at), span: { start, end: this.at } }
  }
}
