// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { suggest } from './suggest.ts'

const WORDS = ['up', 'events', 'status', 'rescue', 'version']

test('suggest() finds the word that was meant', () => {
  for (const [wrong, meant] of [['evnts', 'events'], ['evetns', 'events'], ['stats', 'status'], ['resuce', 'rescue'], ['ver', 'version'], ['pu', 'up']]) {
    assert.equal(suggest(wrong as string, WORDS), meant, wrong)
  }
})

test('suggest() stays silent where nothing is near', () => {
  for (const wrong of ['install', 'xyz', '', 'policies']) assert.equal(suggest(wrong, WORDS), undefined, wrong)
})
