// SPDX-License-Identifier: Apache-2.0
// Applies a schema as the API server does with strict field validation: it accepts and rejects the same documents, and says more. Without
// strictness the server drops the fields that MERLON_POLICY_UNKNOWN_FIELD is about, and its verdict is that of the other findings.
import type { ListNode, MapNode, Node, Source, Span } from './document.ts'
import { finding, type FindingCode } from './findings.ts'
import { valueOf, type Check } from './cel.ts'
import type { Schema } from './schema.ts'
import { nearest } from './spelling.ts'
import { field, isNull } from './tree.ts'
import type { Finding } from './types.ts'

type ObjectSchema = Extract<Schema, { type: 'object' }>
type ListSchema = Extract<Schema, { type: 'list' }>
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
        return this.any(node, schema, path)
      case 'dropped':
        return this.dropped(node, schema.content, path)
      case 'open':
      case 'object':
      case 'map':
        return node.kind === 'map' ? this.fields(node, schema, path) : this.wrongType(node, 'a mapping', path)
      case 'list':
        return node.kind === 'list' ? this.list(node, schema, path) : this.wrongType(node, 'a list', path)
      case 'string':
      case 'boolean':
      case 'integer':
        return this.scalar(node, schema, path)
    }
  }

  /** The server looks for unknown fields before it looks at types, so that below a value of the wrong type every field is unknown. */
  private dropped(node: Node, schema: Schema | undefined, path: string): void {
    if (node.kind === 'list') for (const [index, item] of node.items.entries()) this.dropped(item, schema?.type === 'list' ? schema.items : undefined, `${path}[${index}]`)
    if (node.kind !== 'map' || schema?.type === 'open' || schema?.type === 'any') return
    for (const [name, { key, value }] of node.entries) {
      const known = fieldOf(schema, name)
      if (known === undefined) this.say('MERLON_POLICY_UNKNOWN_FIELD', key, { path: join(path, name), suggestion: 'nobody writes a status by hand: take it out' })
      else this.dropped(value, known, join(path, name))
    }
  }

  private fields(node: MapNode, schema: Extract<Schema, { type: 'open' | 'object' | 'map' }>, path: string): void {
    if (schema.type === 'object') this.object(node, schema, path)
    else if (schema.type === 'map') this.map(node, schema, path)
  }

  private scalar(node: Node, schema: ScalarSchema, path: string): void {
    switch (schema.type) {
      case 'string':
        return isValue(node, 'string') ? this.string(node.value, schema, path, node.span) : this.wrongType(node, 'a string', path)
      case 'boolean':
        return isValue(node, 'boolean') ? undefined : this.wrongType(node, 'true or false', path)
      case 'integer':
        return isInteger(node) ? this.integer(node.value, schema, path, node.span) : this.wrongType(node, 'an integer', path)
    }
  }

  private any(node: Node, { oneOf }: Extract<Schema, { type: 'any' }>, path: string): void {
    const allowed: readonly unknown[] | undefined = oneOf
    if (allowed === undefined || (node.kind === 'scalar' && allowed.includes(node.value))) return
    this.say('MERLON_POLICY_NOT_ALLOWED', node.span, { path, suggestion: choiceOf('', allowed.filter((each) => typeof each === 'string')) })
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
    if (schema.checks !== undefined) this.rules(node, schema.checks, path)
  }

  private map(node: MapNode, schema: Extract<Schema, { type: 'map' }>, path: string): void {
    const count = [...node.entries.values()].filter(({ value }) => !isNull(value)).length
    if (schema.most !== undefined && count > schema.most) this.say('MERLON_POLICY_TOO_LONG', node.span, { path, limit: `${schema.most} entries` })
    for (const [name, { value }] of node.entries) if (!isNull(value)) this.check(value, schema.values, join(path, name))
    if (schema.checks !== undefined) this.rules(node, schema.checks, path)
  }

  private list(node: ListNode, schema: ListSchema, path: string): void {
    const { items, span } = node
    if (schema.most !== undefined && items.length > schema.most) this.say('MERLON_POLICY_TOO_LONG', span, { path, limit: `${schema.most} elements` })
    for (const [index, item] of items.entries()) if (!isNull(item) || schema.items.nullable !== true) this.check(item, schema.items, `${path}[${index}]`)
    if (schema.keys !== undefined) this.unique(node, schema.keys, path)
    if (schema.checks !== undefined) this.rules(node, schema.checks, path)
  }

  private unique({ items }: ListNode, keys: readonly string[], path: string): void {
    const seen = new Set<string>()
    for (const [index, item] of items.entries()) {
      const key = JSON.stringify(keys.map((name) => { const node = field(item, name); return node === undefined ? null : valueOf(node) }))
      if (seen.has(key)) this.say('MERLON_POLICY_DUPLICATE_ELEMENT', item.span, { path: `${path}[${index}]`, keys: keys.join(', ') })
      seen.add(key)
    }
  }

  /** Rules that hold between fields. Like the API server's, they see what is there even where another finding is about it. */
  private rules(node: Node, checks: readonly Check[], path: string): void {
    for (const { holds, message } of checks) if (!holds(valueOf(node))) this.say('MERLON_POLICY_RULE', node.span, { path, rule: message })
  }

  private string(value: string, schema: Extract<Schema, { type: 'string' }>, path: string, span: Span): void {
    const { format, longest, oneOf, shortest = 0 } = schema
    if (value.length < shortest) this.say('MERLON_POLICY_BAD_FORMAT', span, { path, expected: `at least ${shortest} characters`, suggestion: 'write something' })
    if (oneOf !== undefined && !oneOf.includes(value)) this.say('MERLON_POLICY_NOT_ALLOWED', span, { path, suggestion: choiceOf(value, oneOf) })
    if (format !== undefined && !format.pattern.test(value)) {
      this.say('MERLON_POLICY_BAD_FORMAT', span, { path, expected: format.words, suggestion: format.suggestion })
    }
    if (schema.time === true && !isTime(value)) this.say('MERLON_POLICY_BAD_FORMAT', span, { path, expected: 'a time', suggestion: 'write it like 2026-01-31T12:00:00Z' })
    if (longest !== undefined && value.length > longest && codePoints(value) > longest) this.say('MERLON_POLICY_TOO_LONG', span, { path, limit: `${longest} characters` })
  }

  private integer(value: number | bigint, schema: Extract<Schema, { type: 'integer' }>, path: string, span: Span): void {
    const range = 2n ** BigInt((schema.bits ?? 64) - 1)
    const { least = -range, most = range - 1n } = schema
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

function fieldOf(schema: Schema | undefined, name: string): Schema | undefined {
  if (schema?.type === 'map') return schema.values
  return schema?.type === 'object' && Object.hasOwn(schema.fields, name) ? schema.fields[name] : undefined
}

/** RFC 3339, with an upper-case T and Z. */
function isTime(text: string): boolean {
  const parts = /^(\d{4})-(\d\d)-(\d\d)T([01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:[.,]\d+)?(?:Z|[+-](?:[01]\d|2[0-3]):[0-5]\d)$/.exec(text)
  if (parts === null) return false
  const [year, month, day] = [Number(parts[1]), Number(parts[2]), Number(parts[3])]
  const leap = year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0)
  return day >= 1 && day <= (month === 2 ? (leap ? 29 : 28) : (MONTHS[month] ?? 0))
}

const MONTHS: readonly number[] = [0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]

/** JSON knows one kind of number: 2.0 is an integer to the API server too. */
function isInteger(node: Node): node is Node & { readonly kind: 'scalar'; readonly value: number | bigint } {
  return node.kind === 'scalar' && (typeof node.value === 'bigint' || (typeof node.value === 'number' && Number.isInteger(node.value)))
}

function describe(node: Node): string {
  if (node.kind !== 'scalar') return node.kind === 'map' ? 'a mapping' : 'a list'
  if (node.value === null) return 'null'
  return typeof node.value === 'string' ? 'a string' : `the ${typeof node.value} ${String(node.value)}`
}

function join(path: string, name: string): string {
  return path === '' ? name : `${path}.${name}`
}

/** The API server counts code points, not UTF-16 units. */
function codePoints(text: string): number {
  return Array.from(text).length
}

/** Beyond that a list helps nobody: there are 335 system calls. */
const MOST_SHOWN = 20

function choiceOf(value: string, words: readonly string[]): string {
  if (words.length <= MOST_SHOWN) return `use one of ${words.join(', ')}`
  const near = nearest(value, words)
  return near === undefined ? `use one of the ${words.length} that the schema has, such as ${words.slice(0, 3).join(', ')}` : `did you mean ${near}?`
}
