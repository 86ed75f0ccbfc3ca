// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import test from 'node:test'
import { byteString, collectSets, dumpShapes, keyOf, pathShapes, showExpression, type Expression } from './expression.ts'
import type { ByteSet } from './alphabet.ts'

function shown(pattern: string): string {
  return dumpShapes(pathShapes({ kind: 'pattern', pattern }))
}

function expressionOf(pattern: string): Expression {
  const [shape] = pathShapes({ kind: 'pattern', pattern })
  assert.ok(shape?.kind === 'expression', `${pattern} is ${shape?.kind}`)
  return shape.expression
}

test('pathShapes() turns paths and directories into literals and prefixes', () => {
  assert.deepEqual(pathShapes({ kind: 'path', path: '/bin/é' }), [{ kind: 'literal', bytes: '/bin/\xc3\xa9' }])
  assert.deepEqual(pathShapes({ kind: 'dir', dir: '/etc/', recursive: true }), [
    { kind: 'literal', bytes: '/etc' },
    { kind: 'prefix', bytes: '/etc/', recursive: true },
  ])
  assert.deepEqual(pathShapes({ kind: 'dir', dir: '/', recursive: false }), [
    { kind: 'literal', bytes: '' },
    { kind: 'prefix', bytes: '/', recursive: false },
  ])
})

test('pathShapes() takes patterns that are no more than a literal or a directory as such', () => {
  assert.equal(shown('/etc/passwd'), 'literal /etc/passwd\n')
  assert.equal(shown('/etc/\\*'), 'literal /etc/*\n')
  assert.equal(shown('/etc/**'), 'prefix /etc/.*\n')
  assert.equal(shown('/etc/*'), 'prefix /etc/[^/]*\n')
  assert.equal(shown('/etc/[p]*'), 'prefix /etc/p[^/]*\n')
})

test('pathShapes() makes an execname an expression', () => {
  assert.equal(dumpShapes(pathShapes({ kind: 'name', name: 'sh' })), 'expression .*/sh\n')
})

test('pathShapes() throws where a pattern does not parse', () => {
  assert.throws(() => pathShapes({ kind: 'pattern', pattern: '/a[' }), /planned though it does not parse: open set/)
})

test('expressions that mean the same have the same key', () => {
  const same: readonly (readonly [string, string])[] = [
    ['/***x', '/**x'],
    ['/*{*,**}x', '/*{**,*}x'],
    ['/{b,a}*x', '/{a,b}*x'],
    ['/{a,a}*x', '/a*x'],
    ['/[ba]*x', '/{a,b}*x'],
    ['/[a-b]*x', '/[b-ba]*x'],
  ]
  for (const [a, b] of same) assert.equal(keyOf(expressionOf(a)), keyOf(expressionOf(b)), `${a} and ${b}`)
})

test('expressions that differ have different keys', () => {
  const keys = ['/*x', '/**x', '/?x', '/[ab]x', '/{a,bb}x', '/{a,}x', '/[a][a]*x', '/**/x'].map(text => keyOf(expressionOf(text)))
  assert.equal(new Set(keys).size, keys.length)
})

test('normalise() absorbs a star in a wider neighbour', () => {
  assert.equal(showExpression(expressionOf('/{**,}x')).includes('(|'), true)
  assert.equal(showExpression(expressionOf('/*{**}x')), '/.*x')
  assert.equal(showExpression(expressionOf('/{**}*x')), '/.*x')
})

test('collectSets() reaches into branches', () => {
  const sets = new Map<string, ByteSet>()
  collectSets(expressionOf('/{a,b*}'), sets)
  assert.deepEqual([...sets.values()].map(set => showExpression([{ kind: 'byte', set, single: -1, key: '' }])).sort(), ['/', '[^/]', 'a', 'b'].sort())
})

test('byteString() encodes as UTF-8, one character a byte', () => {
  assert.equal(byteString('/bin'), '/bin')
  assert.equal(byteString('日'), '\xe6\x97\xa5')
})
