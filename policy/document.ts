// SPDX-License-Identifier: Apache-2.0
// Text to trees with positions. The values are those that kubectl would send: it reads YAML 1.1, where `yes` is true and 010 is 8,
// but leaves timestamps and base-60 numbers alone.
import { isAlias, isCollection, isMap, isScalar, isSeq, parseAllDocuments, parseDocument, type Alias, type Document, type Node as YamlNode, type Tags } from 'yaml'
import { readBlocks } from './block.ts'
import { agreedValue, doubtOf, doubtsOf, MOST_DOUBTS, type Doubt } from './doubts.ts'
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
    return convertAll('empty' in documents ? [] : documents, source, text)
  } catch (problem) {
    // The parser is recursive: input nested thousands deep exhausts the stack. Nothing else is known to make it throw.
    return failed(source, 'MERLON_POLICY_YAML_SYNTAX', problem instanceof RangeError ? 'nested too deeply' : String(problem))
  }
}

function failed(source: Source, code: FindingCode, problem: string, at = 0): Documents {
  return { source, roots: [], findings: [finding(code, source.place({ start: at, end: at + 1 }), { problem })], quick: false }
}

/** What a scalar stands for where it stands alone; undefined where that is no scalar or not right. */
function resolveScalar(text: string): Scalar | undefined {
  const document = parseDocument(text, OPTIONS)
  const node = document.contents
  return document.errors.length === 0 && document.warnings.length === 0 && isScalar(node) && node.range?.[1] === text.length && doubtOf(node, false) === undefined ? scalarOf(node, text) : undefined
}

function scalarOf(node: YamlNode, text: string): Scalar {
  const value = isScalar(node) ? agreedValue(node, text) : null
  const known = typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean' || typeof value === 'bigint'
  return known ? value : null
}

function convertAll(documents: readonly Document.Parsed[], source: Source, text: string): Documents {
  const doubts = doubtsOf(text)
  if (doubts.length >= MOST_DOUBTS) return failed(source, 'MERLON_POLICY_YAML_SYNTAX', doubts[0]!.words, doubts[0]!.at)
  const roots: Node[] = []
  // Outside of all documents there are comments, which for other readers end with these characters.
  const outside = doubts.filter(({ at }) => !documents.some(({ range: [start, , end] }) => at >= start && at < end))
  const findings: Finding[] = outside.slice(0, MOST_ERRORS).map(({ at, words }) => finding('MERLON_POLICY_YAML_SYNTAX', source.place({ start: at, end: at + 1 }), { problem: words }))
  for (const document of documents) {
    const problems = problemsOf(document, doubts)
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

function problemsOf(document: Document.Parsed, doubts: readonly Doubt[]): readonly Problem[] {
  const errors = document.errors.map(
    (error): Problem => ({
      code: 'MERLON_POLICY_YAML_SYNTAX',
      span: { start: error.pos[0], end: error.pos[1] },
      // The parser passes on what the engine says of its own depth.
      words: /call stack/i.test(error.message) ? 'nested too deeply' : error.message.split('\n', 1)[0] ?? '',
    }),
  )
  const [start, , end] = document.range
  const inside = doubts.filter(({ at }) => at >= start && at < end)
  return [...errors, ...inside.map(({ at, words }): Problem => ({ code: 'MERLON_POLICY_YAML_SYNTAX', span: { start: at, end: at + 1 }, words }))]
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
  /** Within braces or brackets. */
  private inFlow = false

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
    const doubt = doubtOf(node, this.inFlow)
    if (doubt !== undefined) return this.fail('MERLON_POLICY_YAML_SYNTAX', span, doubt)
    if (this.open.has(node)) return this.fail('MERLON_POLICY_YAML_SYNTAX', span, 'an alias refers to what contains it')
    this.open.add(node)
    const result = this.plain(node, span)
    this.open.delete(node)
    return result
  }

  private plain(node: YamlNode, span: Span): Node {
    const around = this.inFlow
    if (isCollection(node)) this.inFlow = node.flow === true
    const result = this.content(node, span)
    this.inFlow = around
    return result
  }

  private content(node: YamlNode, span: Span): Node {
    if (isSeq<YamlNode | null>(node)) return { kind: 'list', items: node.items.map((item) => this.convert(item)), span }
    if (isMap<YamlNode, YamlNode | null>(node)) return { kind: 'map', entries: this.entries(node.items, span), span }
    return { kind: 'scalar', value: scalarOf(node, this.text), span }
  }

  private entries(pairs: readonly { readonly key: YamlNode; readonly value: YamlNode | null }[], span: Span): ReadonlyMap<string, Entry> {
    const entries = new Map<string, Entry>()
    const merged = new Map<string, Entry>()
    for (const pair of pairs) {
      const key = this.convert(pair.key)
      const value = pair.value === null ? { ...EMPTY, span: key.span } : this.convert(pair.value)
      if (isScalar(pair.key) && pair.key.type === 'PLAIN' && pair.key.source === '<<') {
        this.merge(value, merged)
        continue
      }
      const name = this.nameOf(key, span)
      if (name !== undefined) {
        const before = entries.get(name)
        if (before !== undefined && this.insideAlias === 0 && this.problem === undefined) this.duplicates.push({ key: name, first: before.key, again: key.span })
        entries.set(name, { key: key.span, value })
      }
    }
    // What a mapping says itself goes before what it merges.
    for (const [key, entry] of merged) if (!entries.has(key)) entries.set(key, entry)
    return entries
  }

  private nameOf(key: Node, span: Span): string | undefined {
    if (key.kind === 'scalar' && key.value !== null) return String(key.value)
    this.fail('MERLON_POLICY_YAML_SYNTAX', span, `a key is ${key.kind === 'scalar' ? 'missing' : 'not a plain value'}`)
    return undefined
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
    const around = this.inFlow
    this.inFlow = false
    this.insideAlias += 1
    const result = this.convert(target)
    this.insideAlias -= 1
    this.inFlow = around
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
