// SPDX-License-Identifier: Apache-2.0
// The part of YAML that policies are written in, read in one pass: mappings and sequences in block style, scalars and flow collections
// within one line, comments, several documents. What goes beyond, what is wrong and what is merely doubtful is left to the complete
// reader (document.ts). What is read here is equal to what that one gives, spans included; block.test.ts holds them together.
import type { Entry, ListNode, MapNode, Node, Span } from './document.ts'
import { Beyond, COLON, DASH, DEEPEST, HASH, NEWLINE, SPACE, Tokens, type Scalar } from './token.ts'

/** Roots of the documents of a text, or undefined where it has to be read by the complete reader. `resolve`: what a plain or quoted scalar stands for, undefined if that is doubtful. */
export function readBlocks(text: string, resolve: (source: string) => Scalar | undefined): readonly Node[] | undefined {
  // Tabs, carriage returns, other ends of lines and marks of byte order each have rules of their own; controls belong in no policy.
  if (OUTSIDE.test(text) || !text.isWellFormed()) return undefined
  try {
    return new BlockReader(text, resolve).documents()
  } catch (problem) {
    if (problem instanceof Beyond) return undefined
    throw problem
  }
}

// oxlint-disable-next-line no-control-regex -- they are what is looked for
const OUTSIDE = /[\0-\t\v-\x1f\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]/

/** Column of the end of a document. */
const END = -1

class BlockReader extends Tokens {
  private line = 0
  private column = END

  documents(): readonly Node[] {
    const roots: Node[] = []
    this.nextLine()
    for (;;) {
      if (this.column !== END) {
        const root = this.node(END)
        if (root.kind === 'scalar') throw new Beyond()
        roots.push(root)
      }
      if (this.at >= this.text.length) return roots
      this.at += 3
      this.endLine()
      this.nextLine()
    }
  }

  /* ---- Lines ---- */

  /** From the end of a line to the next one with content, or to the end of the document. */
  private nextLine(): void {
    const { text } = this
    for (let { at } = this; ; ) {
      const line = ++at
      while (text.charCodeAt(at) === SPACE) at++
      const first = text.charCodeAt(at)
      if (first === HASH) at = this.lineEnd(at)
      else if (first !== NEWLINE) return this.begin(Math.min(at, text.length), line)
      if (at >= text.length) return this.begin(text.length, line)
    }
  }

  private begin(at: number, line: number): void {
    this.at = at
    this.line = line
    this.column = at === this.text.length || (at === line && this.atMarker()) ? END : at - line
  }

  /** `---` begins a document. After `...` directives may come. */
  private atMarker(): boolean {
    const { text, at } = this
    const marker = text.startsWith('---', at)
    if (!marker && !text.startsWith('...', at)) return false
    if (!marker || !this.blankAt(at + 3)) throw new Beyond()
    return true
  }

  /* ---- Nodes in block style ---- */

  /** What begins at `at`, in column `column`. All that follows it begins at column `parent` or before: otherwise it would be more of it. */
  private node(parent: number): Node {
    if (++this.depth > DEEPEST) throw new Beyond()
    const node = this.atDash() ? this.sequence(this.column) : this.mappingOrScalar()
    if (this.column > parent) throw new Beyond()
    this.depth--
    return node
  }

  private atDash(): boolean {
    return this.text.charCodeAt(this.at) === DASH && this.blankAt(this.at + 1)
  }

  private mappingOrScalar(): Node {
    const { column } = this
    const token = this.token()
    if (this.text.charCodeAt(this.at) === COLON) return this.mapping(column, token)
    return this.finished(token)
  }

  /** A value that has been read: only a comment may follow on its line. */
  private finished(node: Node): Node {
    this.endLine()
    this.nextLine()
    return node
  }

  private sequence(column: number): ListNode {
    const start = this.at
    const items: Node[] = []
    do {
      this.at++
      items.push(this.item(column))
    } while (this.column === column && this.atDash())
    return { kind: 'list', items, span: this.blockSpan(start) }
  }

  private mapping(column: number, first: Node): MapNode {
    const { start } = first.span
    const entries = new Map<string, Entry>()
    for (let key = first; ; key = this.token()) {
      const name = this.keyName(key)
      if (entries.has(name)) throw new Beyond()
      this.at++
      entries.set(name, { key: key.span, value: this.value(column) })
      if (this.column !== column) break
    }
    return { kind: 'map', entries, span: this.blockSpan(start) }
  }

  /** After `key:` of a mapping in `column`. */
  private value(column: number): Node {
    const next = this.skipSpaces()
    if (next !== NEWLINE && next !== HASH) {
      const token = this.token()
      const node = this.finished(token)
      if (this.column > column) throw new Beyond()
      return node
    }
    const empty = this.at
    this.nextContent()
    if (this.column > column) return this.node(column)
    // Sequences need not be further in than the key that they belong to.
    return this.column === column && this.atDash() ? this.sequence(column) : this.nothing(empty)
  }

  /** After the `-` of a sequence in `column`. */
  private item(column: number): Node {
    const next = this.skipSpaces()
    if (next !== NEWLINE && next !== HASH) {
      this.column = this.at - this.line
      return this.node(column)
    }
    const empty = this.at
    this.nextContent()
    return this.column > column ? this.node(column) : this.nothing(empty)
  }

  private nextContent(): void {
    this.at = this.lineEnd(this.at)
    this.nextLine()
  }

  private nothing(at: number): Node {
    return { kind: 'scalar', value: null, span: { start: at, end: at } }
  }

  /** To the end of the first line: nobody wants more than that shown. */
  private blockSpan(start: number): Span {
    return { start, end: this.lineEnd(start) }
  }
}
