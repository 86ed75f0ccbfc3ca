// SPDX-License-Identifier: Apache-2.0
// The normal form of everything that a clause can match: a sequence of items over sets of bytes. Equal languages that people write in
// different ways (`***`, `*?*`, `{a,b}`) get equal items, so that the automaton can share what they have in common.
import { ANY, byteSet, byteSetKey, bytesOf, showByteSet, union, WITHIN_COMPONENT, type ByteSet } from './alphabet.ts'
import { parseGlob, setBytes, type GlobNode } from './glob.ts'
import type { PathMatch } from './types.ts'

export type Item =
  /** `single`: the byte where the set has one, or else -1. */
  | { readonly kind: 'byte'; readonly set: ByteSet; readonly single: number; readonly key: string }
  /** Any run of bytes of the set, perhaps empty. */
  | { readonly kind: 'star'; readonly set: ByteSet; readonly key: string }
  /** One of the branches, of which none equals another. */
  | { readonly kind: 'either'; readonly branches: readonly Expression[]; readonly key: string }

export type Expression = readonly Item[]

/**
 * How the automaton takes a match in. Literals and what follows a literal prefix become a trie, in linear time; only the rest needs the
 * subset construction. `bytes` is a string of characters 0x01-0xff, one for each byte.
 */
export type Shape =
  | { readonly kind: 'literal'; readonly bytes: string }
  /** Everything that begins with `bytes`: up to the next slash, or all of it when `recursive`. */
  | { readonly kind: 'prefix'; readonly bytes: string; readonly recursive: boolean }
  | { readonly kind: 'expression'; readonly expression: Expression }

const UTF8 = new TextEncoder()
const BEYOND_ASCII = /[^\0-\x7f]/

/** The bytes of a text as UTF-8, one character each; the text itself where it is ASCII, which is cheap. */
export function byteString(text: string): string {
  return BEYOND_ASCII.test(text) ? Array.from(UTF8.encode(text), byte => String.fromCharCode(byte)).join('') : text
}

/** The shapes whose union is what a match of paths covers. Throws where a pattern does not parse: the reader has refused such. */
export function pathShapes(match: PathMatch): readonly Shape[] {
  switch (match.kind) {
    case 'path':
      return [{ kind: 'literal', bytes: byteString(match.path) }]
    case 'name':
      return [{ kind: 'expression', expression: [STAR_ANY, ...literal(byteString(`/${match.name}`))] }]
    case 'dir': {
      const bytes = byteString(match.dir)
      return [
        { kind: 'literal', bytes: bytes.slice(0, -1) },
        { kind: 'prefix', bytes, recursive: match.recursive },
      ]
    }
    case 'pattern': {
      const parsed = parseGlob(match.pattern)
      if (!parsed.ok) throw new Error(`Pattern ${JSON.stringify(match.pattern)} was planned though it does not parse: ${parsed.problem}`)
      return [shapeOf(normalise(parsed.nodes.flatMap(itemsOf)))]
    }
  }
}

const SINGLES: readonly Item[] = Array.from({ length: 256 }, (_, value) => byte(byteSet(value)))

export function literal(bytes: string): Item[] {
  return Array.from(bytes, character => SINGLES[character.charCodeAt(0)]!)
}

export function byte(set: ByteSet): Item {
  const bytes = bytesOf(set)
  return { kind: 'byte', set, single: bytes.length === 1 ? bytes[0]! : -1, key: byteSetKey(set) }
}

export function star(set: ByteSet): Item {
  return { kind: 'star', set, key: `${byteSetKey(set)}*` }
}

const STAR_ANY = star(ANY)
const STAR_WITHIN = star(WITHIN_COMPONENT)

function itemsOf(node: GlobNode): Item[] {
  switch (node.kind) {
    case 'literal':
      return Array.from(node.bytes, value => SINGLES[value]!)
    case 'component':
      return [STAR_WITHIN]
    case 'across':
      return [STAR_ANY]
    case 'set':
      return [either(setBytes(node).map(ranges => ranges.map(([first, last]) => byte(rangeSet(first, last)))))]
    case 'either':
      return [either(node.branches.map(branch => branch.flatMap(itemsOf)))]
  }
}

function rangeSet(first: number, last: number): ByteSet {
  return byteSet(...Array.from({ length: last - first + 1 }, (_, i) => first + i))
}

export function either(branches: readonly Expression[]): Item {
  const distinct = new Map<string, Expression>()
  for (const branch of branches.map(normalise)) distinct.set(keyOf(branch), branch)
  const singles = [...distinct.values()].filter(branch => branch.length === 1 && branch[0]!.kind === 'byte')
  if (singles.length > 1) {
    for (const branch of singles) distinct.delete(keyOf(branch))
    const merged = byte(singles.map(branch => (branch[0] as { set: ByteSet }).set).reduce(union))
    distinct.set(merged.key, [merged])
  }
  const keys = [...distinct.keys()].sort()
  return { kind: 'either', branches: keys.map(key => distinct.get(key)!), key: `(${keys.join('|')})` }
}

export function keyOf(expression: Expression): string {
  return expression.map(item => item.key).join(',')
}

/** Flattens choices of one, and writes runs of stars and of the sets that they absorb in one way. */
export function normalise(items: Expression): Expression {
  const result = items.flatMap(item => (item.kind === 'either' && item.branches.length === 1 ? item.branches[0]! : [item]))
  for (let i = 1; i < result.length; ) {
    const pair = normalisePair(result[i - 1]!, result[i]!)
    if (pair === undefined) {
      i++
      continue
    }
    result.splice(i - 1, 2, ...pair)
    // What now stands here may go together with what stands before it.
    i = Math.max(1, i - 1)
  }
  return result
}

/** What two neighbours become; undefined: they stay as they are. */
function normalisePair(left: Item, right: Item): readonly Item[] | undefined {
  if (left.kind !== 'star') return undefined
  if (right.kind === 'star') return includes(left.set, right.set) ? [left] : includes(right.set, left.set) ? [right] : undefined
  // x* x is x x*: the fixed part first.
  return right.kind === 'byte' && left.set !== right.set && left.key === `${right.key}*` ? [right, left] : undefined
}

function includes(big: ByteSet, small: ByteSet): boolean {
  return small.every((word, i) => (word & ~big[i]!) === 0)
}

/** Of an expression in normal form. */
export function shapeOf(expression: Expression): Shape {
  let bytes = ''
  for (const [i, item] of expression.entries()) {
    if (item.kind === 'byte' && item.single >= 0) {
      bytes += String.fromCharCode(item.single)
      continue
    }
    const last = i === expression.length - 1 && item.kind === 'star'
    if (last && (item.set === ANY || item.set === WITHIN_COMPONENT)) return { kind: 'prefix', bytes, recursive: item.set === ANY }
    return { kind: 'expression', expression }
  }
  return { kind: 'literal', bytes }
}

/** Adds every set of an expression, for the alphabet. The keys say no more than that two sets differ. */
export function collectSets(expression: Expression, into: Map<string, ByteSet>): void {
  for (const item of expression) {
    if (item.kind === 'either') for (const branch of item.branches) collectSets(branch, into)
    else into.set(item.key, item.set)
  }
}

function showItem(item: Item): string {
  if (item.kind === 'either') return `(${item.branches.map(showExpression).join('|')})`
  const set = item.set === ANY ? '.' : showByteSet(item.set)
  return item.kind === 'star' ? `${set}*` : set
}

export function showExpression(expression: Expression): string {
  return expression.map(showItem).join('')
}

/** `merlon compile --dump=expression`: one line for each shape of a match. */
export function dumpShapes(shapes: readonly Shape[]): string {
  return shapes
    .map(shape => {
      if (shape.kind === 'expression') return `expression ${showExpression(shape.expression)}\n`
      if (shape.kind === 'literal') return `literal ${shape.bytes}\n`
      return `prefix ${shape.bytes}${shape.recursive ? '.*' : '[^/]*'}\n`
    })
    .join('')
}
