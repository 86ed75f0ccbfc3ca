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
