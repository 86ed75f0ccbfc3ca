// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { GLOB_LIMITS, parseGlob, setBytes, type ByteRanges, type GlobNode, type GlobProblem } from './glob.ts'

const UTF8 = new TextEncoder()
const literal = (text: string): GlobNode => ({ kind: 'literal', bytes: UTF8.encode(text) })

function parsed(pattern: string): readonly GlobNode[] {
  const result = parseGlob(pattern)
  assert.ok(result.ok, pattern)
  return result.nodes
}

test('the tree of a pattern with every piece', () => {
  assert.deepEqual(parsed('/a*b?[!x-z]/{c,}é**'), [
    literal('/a'),
    { kind: 'component' },
    literal('b'),
    { kind: 'set', negated: true, ranges: [] },
    { kind: 'set', negated: true, ranges: [[0x78, 0x7a]] },
    literal('/'),
    { kind: 'either', branches: [[literal('c')], []] },
    literal('é'),
    { kind: 'across' },
  ])
})

test('a comma outside braces and a bracket outside sets are plain characters; so is anything after a backslash', () => {
  assert.deepEqual(parsed('/a,b]'), [literal('/a,b]')])
  assert.deepEqual(parsed('/\\[\\{\\}\\*\\?\\\\'), [literal('/[{}*?\\')])
  assert.deepEqual(parsed(''), [])
})

test('each problem is found, with its place', () => {
  const cases: readonly (readonly [string, GlobProblem, number, number])[] = [
    ['/a[b', 'open set', 2, 1],
    ['/[]', 'open set', 1, 1],
    ['/[!]', 'open set', 1, 1],
    ['/a{b,c', 'open alternatives', 2, 1],
    ['/{a,{b}', 'open alternatives', 1, 1],
    ['/a}b', 'stray closing brace', 2, 1],
    ['/{a}}', 'stray closing brace', 4, 1],
    ['/a\\', 'trailing backslash', 2, 1],
    ['/[a\\', 'trailing backslash', 3, 1],
    ['/x[z-a]', 'reversed range', 3, 3],
    ['/a\0b', 'not text', 2, 1],
    ['/a\ud800b', 'not text', 2, 1],
    [`/${'a'.repeat(GLOB_LIMITS.bytes)}`, 'too long', 0, GLOB_LIMITS.bytes + 1],
    [`/${'é'.repeat(GLOB_LIMITS.bytes / 2)}`, 'too long', 0, GLOB_LIMITS.bytes / 2 + 1],
    ['{'.repeat(GLOB_LIMITS.depth + 1), 'too deep', GLOB_LIMITS.depth, 1],
    [`{${','.repeat(GLOB_LIMITS.alternatives)}}`, 'too many alternatives', GLOB_LIMITS.alternatives + 1, 1],
  ]
  for (const [pattern, problem, at, length] of cases) assert.deepEqual(parseGlob(pattern), { ok: false, problem, at, length }, pattern.slice(0, 20))
})

/** What a set matches of all sequences of up to `bytes` bytes, by its definition. */
function accepts(set: Extract<GlobNode, { kind: 'set' }>, sequence: Uint8Array): boolean {
  const text = (() => {
    try {
      return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(sequence)
    } catch {
      return undefined
    }
  })()
  const code = text === undefined || Array.from(text).length !== 1 ? undefined : text.codePointAt(0)
  if (code === undefined) return set.negated && sequence.length === 1 && (sequence[0] ?? 0) >= 0x80
  return code !== 0x2f && code !== 0 && set.ranges.some(([first, last]) => first <= code && code <= last) !== set.negated
}

function sequencesAccept(sequences: readonly ByteRanges[], sequence: Uint8Array): boolean {
  return sequences.some((ranges) => ranges.length === sequence.length && ranges.every(([low, high], index) => low <= (sequence[index] ?? 0) && (sequence[index] ?? 0) <= high))
}

test('setBytes is the set, byte for byte: every byte, alone and before others, and the edges of the longer ones', () => {
  const sets = ['[a-z]', '[!a-z]', '?', '[!é]', '[à-ü]', '[--9]', '[\u0001-\u{10ffff}]', '[\u07ff-\u0801]', '[\ud7ff-\ue001]', '[\u{ffff}-\u{10001}]', '[😀-😎x]', '[!😀-😎]']
  for (const pattern of sets) {
    const [set] = parsed(pattern)
    assert.ok(set?.kind === 'set')
    const sequences = setBytes(set)
    const check = (sequence: Uint8Array): void => {
      if (accepts(set, sequence) !== sequencesAccept(sequences, sequence)) assert.fail(`${pattern} on ${sequence.join(' ')}`)
    }
    for (let first = 1; first < 256; first += 1) {
      check(Uint8Array.of(first))
      for (const second of [1, 0x2f, 0x61, 0x7f, 0x80, 0xa0, 0xa9, 0xbc, 0xbd, 0xbf, 0xc0, 0xff]) check(Uint8Array.of(first, second))
    }
    for (const code of [0x7ff, 0x800, 0x801, 0xfff, 0x1000, 0xd7ff, 0xe000, 0xe001, 0xfffe, 0xffff, 0x10000, 0x10001, 0x1f5ff, 0x1f600, 0x1f60e, 0x1f60f, 0x10ffff]) {
      check(UTF8.encode(String.fromCodePoint(code)))
    }
    check(Uint8Array.of(0xed, 0xa0, 0x80))
    check(Uint8Array.of(0xf4, 0x90, 0x80, 0x80))
  }
})
