// SPDX-License-Identifier: Apache-2.0
// What readers of YAML disagree about. A policy must not mean one thing to one tool, another to the next, and nothing to a third: kubectl reads by a
// parser of YAML 1.1, ours knows 1.2. What the two would take differently is refused.
import { isNode, isScalar, Lexer, type Node, type Scalar } from 'yaml'

export interface Doubt {
  readonly at: number
  readonly words: string
}

/** A text with so many is no text, and none of it is read. */
export const MOST_DOUBTS = 1000

/** Characters that make trouble, each of them, in order, as long as there are not too many. */
export function doubtsOf(text: string): readonly Doubt[] {
  const characters: Doubt[] = []
  for (const { index, 0: character } of text.matchAll(DOUBTFUL)) {
    if (characters.push({ at: index, words: wordsOf(character) }) >= MOST_DOUBTS) break
  }
  // JSON has no such trouble: tabs separate tokens, and a string holds any character but controls, at which JSON.parse fails.
  if (characters.length > 0 && looksLikeJson(text) && isJson(text)) return []
  const tabs = looksLikeJson(text) ? [] : separatingTabs(text).map((at) => ({ at, words: 'a tab separates tokens; not every YAML reader takes that, use spaces' }))
  return [...characters, ...tabs].sort((a, b) => a.at - b.at)
}

function looksLikeJson(text: string): boolean {
  return /^\s*[{[]/.test(text)
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

/** Beside controls, what ends a line in YAML 1.1 only: a lone carriage return, next line, line and paragraph separator. */
// oxlint-disable-next-line no-control-regex -- they are what is looked for
const DOUBTFUL = /[\0-\x08\v\f\x0e-\x1f\x7f-\x9f\u2028\u2029\ufffe\uffff]|\r(?!\n)/g
const BREAKS = '\r\u0085\u2028\u2029'

function wordsOf(character: string): string {
  const name = `U+${character.charCodeAt(0).toString(16).toUpperCase().padStart(4, '0')}`
  return BREAKS.includes(character) ? `the character ${name} ends a line for some YAML readers only; end lines with a line feed, or write it as an escape in double quotes` : `no text has the character ${name}; write it as an escape in double quotes, if it is meant`
}

/** Offsets of tabs that separate tokens. YAML 1.2 allows them in places; readers disagree about which. */
function separatingTabs(text: string): readonly number[] {
  if (!text.includes('\t')) return []
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

/* ---- Values ---- */

/** Tags that kubectl's reader decodes, or refuses, and ours would leave alone. */
const UNREAD: ReadonlySet<string> = new Set(['timestamp', 'binary', 'set', 'omap', 'pairs'].map((name) => `tag:yaml.org,2002:${name}`))
const NUMBERS: ReadonlySet<string> = new Set(['int', 'float'].map((name) => `tag:yaml.org,2002:${name}`))

/** What is doubtful about a node by itself, within braces or brackets (`inFlow`) or not; undefined: nothing. */
export function doubtOf(node: Node, inFlow: boolean): string | undefined {
  if (isNode(node) && 'tag' in node && node.tag !== undefined && UNREAD.has(node.tag)) return `values of the type ${node.tag.replace('tag:yaml.org,2002:', '!!')} are not read; write the plain value`
  if (!isScalar(node)) return undefined
  // A pattern, most of the time.
  if (inFlow && node.type === 'PLAIN' && node.source?.includes('?') === true) return 'kubectl does not read a question mark within braces or brackets; put the word into quotes'
  return doubtOfScalar(node)
}

function doubtOfScalar({ value, tag, source = '' }: Scalar): string | undefined {
  if (typeof value === 'number' && !Number.isFinite(value) && /inf|nan/i.test(source)) return 'there is no such number in JSON'
  if (tag !== undefined && NUMBERS.has(tag) && typeof value !== 'number' && typeof value !== 'bigint') return `this is no ${tag.replace('tag:yaml.org,2002:', '!!')}`
  return typeof value === 'string' && !value.isWellFormed() ? 'half of a surrogate pair is no character' : undefined
}

/** The value as kubectl's reader has it: a number beyond all numbers stays text, and the last line of a text without a line feed at its end has none. */
export function agreedValue(node: Scalar, text: string): unknown {
  const { value, source, type, range } = node
  if (typeof value === 'number' && !Number.isFinite(value)) return source
  const isBlock = type === 'BLOCK_LITERAL' || type === 'BLOCK_FOLDED'
  if (isBlock && typeof value === 'string' && value.endsWith('\n') && range?.[1] === text.length && !text.endsWith('\n')) return value.slice(0, -1)
  return value
}
