// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { editDistance, nearest } from './spelling.ts'

test('editDistance() counts insertions, deletions, replacements and swaps of neighbours', () => {
  for (const [from, to, distance] of [['', '', 0], ['', 'abc', 3], ['abc', '', 3], ['abc', 'abd', 1], ['abc', 'acb', 1], ['kitten', 'sitting', 3]] as const) {
    assert.equal(editDistance(from, to), distance, `${from} ${to}`)
    assert.equal(editDistance(to, from), distance, `${to} ${from}`)
  }
})

test('nearest() finds the field that was meant, and none where several letters differ', () => {
  const FIELDS = ['path', 'recursive', 'fromSource', 'readOnly', 'ownerOnly', 'matchPaths', 'matchPatterns']
  for (const [wrong, meant] of [['pth', 'path'], ['recusrive', 'recursive'], ['fromsource', 'fromSource'], ['matchPath', 'matchPaths'], ['owneronyl', 'ownerOnly']] as const) {
    assert.equal(nearest(wrong, FIELDS), meant, wrong)
  }
  for (const wrong of ['dir', 'execname', 'x'.repeat(1000)]) assert.equal(nearest(wrong, FIELDS), undefined, wrong)
})

test('a word of thousands of letters costs nothing', () => assert.equal(editDistance('a'.repeat(5000), 'b'.repeat(5000)), Infinity))
