// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { editDistance, suggest } from './suggest.ts'

const WORDS = ['up', 'events', 'status', 'rescue', 'version']

test('suggest() finds the word that was meant', () => {
  for (const [wrong, meant] of [['evnts', 'events'], ['evetns', 'events'], ['stats', 'status'], ['resuce', 'rescue'], ['ver', 'version'], ['pu', 'up']]) {
    assert.equal(suggest(wrong as string, WORDS), meant, wrong)
  }
})

test('suggest() stays silent where nothing is near', () => {
  for (const wrong of ['install', 'xyz', '', 'policies']) assert.equal(suggest(wrong, WORDS), undefined, wrong)
})

test('editDistance() counts insertions, deletions, replacements and swaps of neighbours', () => {
  for (const [from, to, distance] of [['', '', 0], ['', 'abc', 3], ['abc', '', 3], ['abc', 'abd', 1], ['abc', 'acb', 1], ['kitten', 'sitting', 3]] as const) {
    assert.equal(editDistance(from, to), distance, `${from} ${to}`)
    assert.equal(editDistance(to, from), distance, `${to} ${from}`)
  }
})
