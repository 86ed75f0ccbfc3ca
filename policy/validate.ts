// SPDX-License-Identifier: Apache-2.0
// Applies a schema as the API server does with strict field validation: it accepts and rejects the same documents, and says more.
import type { Entry, MapNode, Node, Source, Span } from './document.ts'
import { finding, type FindingCode } from './findings.ts'
import type { Schema } from './schema.ts'
import type { Finding } from './types.ts'

type ObjectSchema = Extract<Schema, { type: 'object' }>
type ScalarSchema = Extract<Schema, { type: 'string' | 'boolean' | 'integer' }>

/** Findings of one object; empty: the API server would store it, as far as the schema goes. */
export function validate(root: Node, schema: Schema, source: Source): readonly Finding[] {
  const validator = new Validator(source)
  validator.check(root, schema, '')
  return validator.findings
}

class Validator {
  readonly findings: Finding[] = []
  private readonly source: Source
  /** Where we are, outermost first: a field that is unknown here may belong to one of them. */
  private readonly around: { readonly path: string; readonly schema: ObjectSchema }[] = []

  constructor(source: Source) {
    this.source = source
  }

  check(node: Node, schema: Schema, path: string): void {
    switch (schema.type) {
      case 'any':
        return
      case 'object':
        return node.kind === 'map' ? this.object(node, schema, path) : this.wrongType(node, 'a mapping', path)
      case 'map':
        return node.kind === 'map' ? this.map(node, schema.values, path) : this.wrongType(node, 'a mapping', path)
      case 'list':
        return node.kind === 'list' ? this.list(node.items, schema, path, node.span) : this.wrongType(node, 'a list', path)
      case 'string':
      case 'boolean':
      case 'integer':
        return this.scalar(node, schema, path)
    }
  }

  private scalar(node: Node, schema: ScalarSchema, path: string): void {
    switch (schema.type) {
      case 'string':
        return isValue(node, 'string') ? this.string(node.value, schema, path, node.span) : this.wrongType(node, 'a string', path)
      case 'boolean':
        return isValue(node, 'boolean') ? undefined : this.wrongType(node, 'true or false', path)
      case 'integer':
        return isValue(node, 'number') && Number.isInteger(node.value)
          ? this.integer(node.value, schema, path, node.span)
          : this.wrongType(node, 'an integer', path)
    }
  }

  private object(node: MapNode, schema: ObjectSchema, path: string): void {
    this.around.push({ path, schema })
    for (const [name, { key, value }] of node.entries) {
      const field = Object.hasOwn(schema.fields, name) ? schema.fields[name] : undefined
      if (field === undefined) this.say('MERLON_POLICY_UNKNOWN_FIELD', key, { path: join(path, name), suggestion: this.suggest(name) })
      // The API server drops nulls before it looks further.
      else if (!isNull(value)) this.check(value, field, join(path, name))
    }
    for (const name of schema.required) {
      const entry = node.entries.get(name)
      if (entry === undefined || isNull(entry.value)) this.say('MERLON_POLICY_REQUIRED', entry?.key ?? node.span, { path: join(path, name) })
    }
    this.around.pop()
  }

  private map(node: MapNode, values: Schema, path: string): void {
    for (const [name, { value }] of node.entries) if (!isNull(value)) this.check(value, values, join(path, name))
  }

  private list(items: readonly Node[], schema: Extract<Schema, { type: 'list' }>, path: string, span: Span): void {
    if (schema.most !== undefined && items.length > schema.most) this.say('MERLON_POLICY_TOO_LONG', span, { path, limit: `${schema.most} elements` })
    for (const [index, item] of items.entries()) this.check(item, schema.items, `${path}[${index}]`)
  }

  private string(value: string, schema: Extract<Schema, { type: 'string' }>, path: string, span: Span): void {
    const { format, longest, oneOf } = schema
    if (oneOf !== undefined && !oneOf.includes(value)) this.say('MERLON_POLICY_NOT_ALLOWED', span, { path, expected: oneOf.join(', ') })
    if (format !== undefined && !format.pattern.test(value)) {
      this.say('MERLON_POLICY_BAD_FORMAT', span, { path, expected: format.words, suggestion: format.suggestion })
    }
    if (longest !== undefined && codePoints(value) > longest) this.say('MERLON_POLICY_TOO_LONG', span, { path, limit: `${longest} characters` })
  }

  private integer(value: number, schema: Extract<Schema, { type: 'integer' }>, path: string, span: Span): void {
    const { least = -Infinity, most = Infinity } = schema
    if (value < least || value > most) this.say('MERLON_POLICY_OUT_OF_RANGE', span, { path, expected: `from ${least} to ${most}` })
  }

  private wrongType(node: Node, expected: string, path: string): void {
    const quote = expected === 'a string' && node.kind === 'scalar' && node.value !== null
    const suggestion = quote ? 'put it in quotes' : `write ${expected}`
    this.say('MERLON_POLICY_WRONG_TYPE', node.span, { path: path === '' ? 'the object' : path, expected, actual: describe(node), suggestion })
  }

  /** The nearest name here, or else the enclosing object that has this very field: an indentation that slipped. */
  private suggest(name: string): string {
    const names = Object.keys(this.around.at(-1)?.schema.fields ?? {})
    const home = this.around.slice(0, -1).findLast(({ schema }) => Object.hasOwn(schema.fields, name))
    if (home !== undefined) return `it belongs to ${home.path === '' ? 'the object' : home.path}: check the indentation`
    const near = nearest(name, names)
    return near === undefined ? `known fields here: ${names.join(', ')}` : `did you mean ${near}?`
  }

  private say(code: FindingCode, span: Span, words: Readonly<Record<string, string>>): void {
    this.findings.push(finding(code, this.source.place(span), words))
  }
}

/* ---- Values ---- */

interface Values {
  readonly string: string
  readonly number: number
  readonly boolean: boolean
}

function isValue<T extends keyof Values>(node: Node, type: T): node is Node & { readonly kind: 'scalar'; readonly value: Values[T] } {
  return node.kind === 'scalar' && typeof node.value === type
}

export function isNull(node: Node): boolean {
  return node.kind === 'scalar' && node.value === null
}

/** The entry's value, unless it is absent or null, which the API server takes for the same. */
export function field(node: Node | undefined, name: string): Node | undefined {
  const entry: Entry | undefined = node?.kind === 'map' ? node.entries.get(name) : undefined
  return entry === undefined || isNull(entry.value) ? undefined : entry.value
}

function describe(node: Node): string {
  if (node.kind !== 'scalar') return node.kind === 'map' ? 'a mapping' : 'a list'
  if (node.value === null) return 'null'
  return typeof node.value === 'string' ? 'a string' : `the ${typeof node.value} ${String(node.value)}`
}

function join(path: string, name: string): string {
  return path === '' ? name : `${path}.${name}`
}

/* ---- Nearest names ---- */

/** The name within two edits (one for short names), if any. */
export function nearest(name: string, names: readonly string[]): string | undefined {
  const limit = name.length <= 4 ? 1 : 2
  const ranked = names
    .map((candidate) => ({ candidate, distance: editDistance(name.toLowerCase(), candidate.toLowerCase()) }))
    .filter(({ distance }) => distance <= limit)
    .sort((a, b) => a.distance - b.distance)
  return ranked[0]?.candidate
}

/** Insertions, deletions and replacements from one to the other. Long names are not worth the time. */
export function editDistance(from: string, to: string): number {
  if (Math.abs(from.length - to.length) > 8 || from.length > 64) return Infinity
  let row = Array.from({ length: to.length + 1 }, (_, index) => index)
  for (let i = 1; i <= from.length; i += 1) {
    const next = [i]
    for (let j = 1; j <= to.length; j += 1) {
      const replaced = (row[j - 1] ?? 0) + (from[i - 1] === to[j - 1] ? 0 : 1)
      next.push(Math.min(replaced, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1))
    }
    row = next
  }
  return row[to.length] ?? 0
}

/** The API server counts code points, not UTF-16 units. */
function codePoints(text: string): number {
  return Array.from(text).length
}
