// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { fit, harmless, paint, quote } from './terminal.ts'

test('quote() leaves one harmless word alone', () => {
  for (const text of ['/usr/bin/ls', 'demo/web-0/web', 'größe', 'a=b,c', '漢字']) assert.equal(quote(text), text)
})

test('quote() puts anything else in quotes, escaped', () => {
  const cases: readonly (readonly [string, string])[] = [
    ['', '""'],
    ['a b', '"a b"'],
    ['say "x"', '"say \\"x\\""'],
    ['back\\slash', '"back\\\\slash"'],
    ['\u001b[2J', '"\\e[2J"'],
    ['x\nBLOCK fake', '"x\\nBLOCK fake"'],
    ['\u009b31m', '"\\x9b31m"'],
    ['abc\u202etxt.exe', '"abc\\u{202e}txt.exe"'],
    ['zero\u200bwidth', '"zero\\u{200b}width"'],
    ['half\ud800', '"half\\u{d800}"'],
  ]
  for (const [text, quoted] of cases) assert.equal(quote(text), quoted)
})

test('quote() and harmless() let nothing through that a terminal acts on', () => {
  const unsafe = /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      assert.doesNotMatch(quote(text), unsafe)
      assert.doesNotMatch(harmless(text), unsafe)
    }),
  )
})

test('quote() keeps different texts different', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), fc.string({ unit: 'binary' }), (a, b) => {
      assert.equal(quote(a) === quote(b), a === b)
    }),
  )
})

test('harmless() keeps sentences readable', () => {
  assert.equal(harmless('Lost 3 events: too slow'), 'Lost 3 events: too slow')
  assert.equal(harmless('a\tb\u0007'), 'a\\tb\\x07')
})

test('fit() cuts in the middle and keeps both ends', () => {
  assert.equal(fit('/usr/bin/ls', 20), '/usr/bin/ls')
  assert.equal(fit('abcdefghij', 5), 'ab…ij')
  assert.equal(fit('abcdefghij', 4), 'ab…j')
  assert.equal(fit('🦀🦀🦀🦀🦀', 3), '🦀…🦀')
  assert.equal(fit('abc', 1), '…')
})

test('paint() colours only when it is on', () => {
  assert.equal(paint('BLOCK', 'red', true), '\u001b[31mBLOCK\u001b[0m')
  assert.equal(paint('BLOCK', 'red', false), 'BLOCK')
})
