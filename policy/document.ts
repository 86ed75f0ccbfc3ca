// SPDX-License-Identifier: Apache-2.0
// Text to trees with positions. The values are those that kubectl would send: it reads YAML 1.1, where `yes` is true and 010 is 8,
// but leaves timestamps and base-60 numbers alone.
import { isAlias, isCollection, isMap, isScalar, isSeq, Lexer, parseAllDocuments, parseDocument, type Alias, type Document, type Node as YamlNode, type Tags } from 'yaml'
import { readBlocks } from './block.ts'
import { finding, type FindingCode } from './findings.ts'
import { makeSource, type Source, type Span } from './source.ts'
import type { Scalar } from './token.ts'
import type { Finding } from './types.ts'

export type { Source, Span }

export interface MapNode {
  readonly kind: 'map'
  readonly entries: ReadonlyMap<string, Entry>
  readonly span: Span
}
export interface Entry {
  readonly key: Span
  readonly value: Node
}
export interface ListNode {
  readonly kind: 'list'
  readonly items: readonly Node[]
  readonly span: Span
}
export interface ScalarNode {
  readonly kind: 'scalar'
  readonly value: string | number | bigint | boolean | null
  readonly span: Span
}
export type Node = MapNode | ListNode | ScalarNode

export interface Documents {
  readonly source: Source
  /** Roots of the documents that could be read; empty documents are left out. */
  readonly roots: readonly Node[]
  readonly findings: readonly Finding[]
  /** Read by the quick reader (block.ts), which makes no other difference. */
  readonly quick: boolean
}

/** etcd takes objects of 1.5 MiB; this is far beyond and keeps parsing in bounds. */
const LONGEST_TEXT = 8 * 1024 * 1024
/** Nodes that aliases may add to one document: the "billion laughs" attack asks for more. */
const MOST_ALIASED = 100_000
/** After the first errors of a document the parser has lost its place. */
const MOST_ERRORS = 3

/** Types that YAML 1.1 has and kubectl does not. */
const LEFT_ALONE: ReadonlySet<string> = new Set([
  'tag:yaml.org,2002:timestamp',
  'tag:yaml.org,2002:binary',
  'tag:yaml.org,2002:set',
  'tag:yaml.org,2002:omap',
  'tag:yaml.org,2002:pairs',
])

/** How the complete reader takes a text. */
const OPTIONS = {
  version: '1.1',
  merge: true,
  // Converter looks for them: the API server takes the last one, and so do we, aloud.
  uniqueKeys: false,
  customTags: (tags: Tags) => tags.filter((tag) => typeof tag === 'string' || (!LEFT_ALONE.has(tag.tag) && tag.format !== 'TIME')),
  prettyErrors: false,
  logLevel: 'silent',
} as const

/** Reads every document of a text, YAML or JSON. Never throws. */
export function parseDocuments(text: string, file: string): Documents {
  const source = makeSource(text, file)
  if (text.length > LONGEST_TEXT) return failed(source, 'MERLON_POLICY_TOO_LARGE', `more than ${LONGEST_TEXT / 1024 / 1024} MiB`)
  const roots = readBlocks(text, resolveScalar)
  return roots === undefined ? composeDocuments(text, source) : { source, roots, findings: [], quick: true }
}

/** By the complete reader: everything that YAML has, at twenty times the cost. */
export function composeDocuments(text: string, source: Source): Documents {
  try {
    const documents = parseAllDocuments(text, OPTIONS)
    return 'empty' in documents ? { source, roots: [], findings: [], quick: false } : convertAll(documents, source, text)
  } catch (problem) {
    // The parser is recursive: input nested thousands deep exhausts the stack. Nothing else is known to make it throw.
    return failed(source, 'MERLON_POLICY_YAML_SYNTAX', problem instanceof RangeError ? 'nested too deeply' : String(problem))
  }
}

function failed(source: Source, code: FindingCode, problem: string): Documents {
  return { source, roots: [], findings: [finding(code, source.place({ start: 0, end: 1 }), { problem })], quick: false }
}

/** What a scalar stands for where it stands alone; undefined where that is no scalar or not right. */
function resolveScalar(text: string): Scalar | undefined {
  const document = parseDocument(text, OPTIONS)
  const node = document.contents
  return document.errors.length === 0 && document.warnings.length === 0 && isScalar(node) && node.range?.[1] === text.length ? scalarOf(node) : undefined
}

function scalarOf(node: YamlNode): Scalar {
  const value: unknown = isScalar(node) ? node.value : null
  const known = typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean' || typeof value === 'bigint'
  return known ? value : null
}

/**
 * Offsets of tabs that separate tokens. YAML 1.2 allows them in places; readers disagree about which, and a policy must not mean
 * one thing to one tool and nothing to another. JSON has no such trouble.
 */
function separatingTabs(text: string): readonly number[] {
  if (!text.includes('\t') || /^\s*[{[]/.test(text)) return []
  const tabs: number[] = []
  let offset = 0
  let scalar = false
  for (const token of new Lexer().lex(text)) {
    const control: boolean = !scalar && (token === '\u0002' || token === '\u0018' || token === '\u001f')
    if (!scalar && /^[ \t]*\t[ \t]*$/.test(token)) tabs.push(offset + token.indexOf('\t'))
    scalar = control && token === '\u001f'
    if (!control) offset += token.length
  }
  return tabs
}

function convertAll(documents: readonly Document.Parsed[], source: Source, text: string): Documents {
  const tabs = separatingTabs(text)
  const roots: Node[] = []
  const findings: Finding[] = []
  for (const document of documents) {
    const problems = problemsOf(document, tabs)
    for (const { code, span, words } of problems.slice(0, MOST_ERRORS)) findings.push(finding(code, source.place(span), { problem: words }))
    if (problems.length > 0 || document.contents === null) continue
    const converter = new Converter(document, text)
    const root = converter.convert(document.contents)
    for (const { key, first, again } of converter.duplicates) {
      findings.push(finding('MERLON_POLICY_DUPLICATE_KEY', source.place(first), { key, line: String(source.position(again).line) }))
    }
    if (converter.problem === undefined) {
      if (root.kind !== 'scalar' || root.value !== null) roots.push(root)
    } else findings.push(finding(converter.problem.code, source.place(converter.problem.span), { problem: converter.problem.words }))
  }
  return { source, roots, findings, quick: false }
}

interface Problem {
  readonly code: FindingCode
  readonly span: Span
  readonly words: string
}

function problemsOf(document: Document.Parsed, tabs: readonly number[]): readonly Problem[] {
  const errors = document.errors.map(
    (error): Problem => ({
      code: 'MERLON_POLICY_YAML_SYNTAX',
      span: { start: error.pos[0], end: error.pos[1] },
      words: error.message.split('\n', 1)[0] ?? '',
    }),
  )
  const [start, , end] = document.range
  const inside = tabs.filter((offset) => offset >= start && offset < end)
  const words = 'a tab separates tokens; not every YAML reader takes that, use spaces'
  return [...errors, ...inside.map((offset): Problem => ({ code: 'MERLON_POLICY_YAML_SYNTAX', span: { start: offset, end: offset + 1 }, words }))]
}

const EMPTY: ScalarNode = { kind: 'scalar', value: null, span: { start: 0, end: 0 } }

/** Resolves aliases and merge keys, counting what they add. */
class Converter {
  problem: Problem | undefined
  readonly duplicates: { readonly key: string; readonly first: Span; readonly again: Span }[] = []
  private readonly document: Document.Parsed
  private readonly text: string
  private readonly open = new Set<YamlNode>()
  private readonly targets = new Map<Alias, YamlNode>()
  private aliased = 0
  private insideAlias = 0

  constructor(document: Document.Parsed, text: string) {
    this.document = document
    this.text = text
  }

  convert(node: YamlNode | null): Node {
    if (node === null || this.problem !== undefined) return EMPTY
    const span = this.spanOf(node)
    if (this.insideAlias > 0) this.aliased += 1
    if (this.aliased > MOST_ALIASED) return this.fail('MERLON_POLICY_TOO_LARGE', span, 'aliases multiply its content')
    if (isAlias(node)) return this.alias(node, span)
    if (this.open.has(node)) return this.fail('MERLON_POLICY_YAML_SYNTAX', span, 'an alias refers to what contains it')
    this.open.add(node)
    const result = this.plain(node, span)
    this.open.delete(node)
    return result
  }

  private plain(node: YamlNode, span: Span): Node {
    if (isSeq<YamlNode | null>(node)) return { kind: 'list', items: node.items.map((item) => this.convert(item)), span }
    if (isMap<YamlNode, YamlNode | null>(node)) return { kind: 'map', entries: this.entries(node.items, span), span }
    return { kind: 'scalar', value: scalarOf(node), span }
  }

  private entries(pairs: readonly { readonly key: YamlNode; readonly value: YamlNode | null }[], span: Span): ReadonlyMap<string, Entry> {
    const entries = new Map<string, Entry>()
    const merged = new Map<string, Entry>()
    for (const pair of pairs) {
      const key = this.convert(pair.key)
      const value = pair.value === null ? { ...EMPTY, span: key.span } : this.convert(pair.value)
      if (key.kind !== 'scalar') this.fail('MERLON_POLICY_YAML_SYNTAX', span, 'a key is not a plain value')
      else if (isScalar(pair.key) && pair.key.type === 'PLAIN' && pair.key.source === '<<') this.merge(value, merged)
      else {
        const name = String(key.value)
        const before = entries.get(name)
        if (before !== undefined && this.insideAlias === 0 && this.problem === undefined) this.duplicates.push({ key: name, first: before.key, again: key.span })
        entries.set(name, { key: key.span, value })
      }
    }
    // What a mapping says itself goes before what it merges.
    for (const [key, entry] of merged) if (!entries.has(key)) entries.set(key, entry)
    return entries
  }

  private merge(value: Node, merged: Map<string, Entry>): void {
    if (value.kind === 'list') for (const item of value.items) this.mergeOne(item, merged)
    else this.mergeOne(value, merged)
  }

  private mergeOne(map: Node, merged: Map<string, Entry>): void {
    if (map.kind !== 'map') this.fail('MERLON_POLICY_YAML_SYNTAX', map.span, 'only mappings can be merged')
    else for (const [key, entry] of map.entries) if (!merged.has(key)) merged.set(key, entry)
  }

  private alias(node: Alias, span: Span): Node {
    // Resolving walks the document, and an alias within an alias is met again and again.
    const target = this.targets.get(node) ?? node.resolve(this.document)
    if (target !== undefined) this.targets.set(node, target)
    if (target === undefined) return this.fail('MERLON_POLICY_YAML_SYNTAX', span, 'the alias has no anchor')
    this.insideAlias += 1
    const result = this.convert(target)
    this.insideAlias -= 1
    return result
  }

  /** Of a collection in block style its first line: nobody wants more than that shown. */
  private spanOf(node: YamlNode): Span {
    const [start, end] = node.range ?? [0, 0]
    if (!isCollection(node) || node.flow === true) return { start, end }
    const line = this.text.indexOf('\n', start)
    return { start, end: line < 0 ? this.text.length : line }
  }

  private fail(code: FindingCode, span: Span, words: string): Node {
    this.problem ??= { code, span, words }
    return EMPTY
  }
}
