// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { parseDocuments, type MapNode, type Node } from './document.ts'

/** `line:column` of a key and its value in the first document. */
function placesOf(text: string, ...path: readonly string[]): readonly string[] {
  const { roots, source, findings } = parseDocuments(text, 'x.yaml')
  assert.deepEqual(findings, [])
  const last = path.at(-1) ?? ''
  const map = path.slice(0, -1).reduce<Node>((node, key) => asMap(node).entries.get(key)!.value, roots[0]!)
  const { key, value } = asMap(map).entries.get(last)!
  return [key, value.span].map((span) => source.position(span)).map(({ line, column }) => `${line}:${column}`)
}

function asMap(node: Node): MapNode {
  assert.ok(node.kind === 'map')
  return node
}

test('keys and values that a merge key or an alias brings in have the place where they are written', () => {
  const text = 'base: &b\n  x: 1\n  w: 2\nuse:\n  <<: *b\n  z: 3\nagain: *b\n'
  assert.deepEqual(placesOf(text, 'use', 'w'), ['3:3', '3:6'])
  assert.deepEqual(placesOf(text, 'use', 'z'), ['6:3', '6:6'])
  assert.deepEqual(placesOf(text, 'again', 'x'), ['2:3', '2:6'])
})

test('places count lines whatever they end with, and columns in UTF-16 units', () => {
  assert.deepEqual(placesOf('a: 1\r\nb: 2\r\n', 'b'), ['2:1', '2:4'])
  assert.deepEqual(placesOf('{"é\u{1f600}": 1, "b": 2}', 'b'), ['1:12', '1:17'])
  assert.deepEqual(placesOf('# é\n\n\na:\n  b: c\n', 'a', 'b'), ['5:3', '5:6'])
})

/** What kubectl's reader refuses or takes for something else (test/cluster/yaml.test.ts asks it): the place and a word of why. */
const DOUBTFUL: readonly (readonly [text: string, place: string, words: RegExp])[] = [
  ['a: b\rc\n', '1:5', /U\+000D ends a line for some/],
  ['a: b\r\nc: d\r', '2:5', /U\+000D/],
  ['a: b\u0085c\n', '1:5', /U\+0085 ends a line/],
  ['# b\u2028a: c\n', '1:4', /U\+2028 ends a line/],
  ['a: "b\u2029c"\n', '1:6', /U\+2029 ends a line/],
  ['a: "b\0c"\n', '1:6', /no text has the character U\+0000/],
  ['a: \x1b[2J\n', '1:4', /U\+001B/],
  ['a: b\x7f\n', '1:5', /U\+007F/],
  ['{"a": "b\x01"}', '1:9', /U\+0001/],
  ['a: !!binary aGk=\n', '1:13', /type !!binary/],
  ['a: !!set {b}\n', '1:10', /type !!set/],
  ['a: !!int \nb: c\n', '1:10', /no !!int/],
  ['a: [.inf]\n', '1:5', /no such number/],
  ['a: .NaN\n', '1:4', /no such number/],
  ['a: "\\ud800"\n', '1:4', /half of a surrogate pair/],
  ['a: {pattern: /etc/*hado?}\n', '1:14', /question mark within braces/],
  ['a:\n- [b, c?d]\n', '2:7', /question mark/],
  [': a\n', '1:1', /a key is missing/],
  ['~: a\nb: c\n', '1:1', /a key is missing/],
  ['{a: b, null: c}', '1:1', /a key is missing/],
]

for (const [text, place, words] of DOUBTFUL) {
  test(`refused, as YAML readers disagree about it: ${JSON.stringify(text)}`, () => {
    const { roots, findings } = parseDocuments(text, 'x.yaml')
    assert.deepEqual([roots, findings.map(({ code, position }) => [code, `${position.line}:${position.column}`])], [[], [['MERLON_POLICY_YAML_SYNTAX', place]]])
    assert.match(findings[0]?.message ?? '', words)
  })
}

test('a text of nothing but doubtful characters is refused once, at the first', () => {
  const { roots, findings } = parseDocuments(`a: b\r${'x\r'.repeat(1 << 20)}\n---\nc: d\n`, 'x.yaml')
  assert.deepEqual([roots, findings.map(({ position: { line, column } }) => `${line}:${column}`)], [[], ['1:5']])
})

test('values as kubectl’s reader has them', () => {
  const valueAt = (text: string): unknown => {
    const { roots: [root], findings } = parseDocuments(text, 'x.yaml')
    assert.deepEqual(findings, [], JSON.stringify(text))
    const value = asMap(root!).entries.get('a')?.value
    return value?.kind === 'scalar' ? value.value : undefined
  }
  assert.equal(valueAt(`a: ${'9'.repeat(400)}\n`), '9'.repeat(400))
  assert.equal(valueAt('a: 1e999\n'), '1e999')
  assert.deepEqual(['a: |\n  b', 'a: |\n  b\n', 'a: >\n  b\n  c', 'a: |\n  b\n\nc: d', 'a: |-\n  b\n'].map(valueAt), ['b', 'b\n', 'b c', 'b\n', 'b'])
  assert.deepEqual(['a: b?c\n', 'a: {b: "c?"}\n', 'b: &x c?\na: *x\n', 'b: &x [d, {e: f}]\na: /*?\n'].map(valueAt), ['b?c', undefined, 'c?', '/*?'])
  // In JSON and in double quotes any character may be meant.
  assert.deepEqual(['{"a": "b\u2028\u0085\x7f"}', '{\t"a": "b\u2028"}', 'a: "b\\u2028\\r\\0"\n'].map(valueAt), ['b\u2028\u0085\x7f', 'b\u2028', 'b\u2028\r\0'])
})
