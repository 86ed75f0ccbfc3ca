// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { planAlone } from './alone.ts'
import { classCoverage } from './coverage.ts'
import { policy, rule } from './testing.ts'
import type { Plan, Rule } from './types.ts'

const UTF8 = new TextEncoder()
const planOf = (...rules: readonly Rule[]): Plan => planAlone([policy('p', rules)], { filePosture: 'audit' })
const path = (text: string): Rule => rule({ match: { kind: 'path', path: text } })
const dir = (text: string, recursive = true): Rule => rule({ match: { kind: 'dir', dir: text, recursive } })

/** How many classes there are, and an example of each that was not asked about. */
function covered(plan: Plan, ...asked: readonly string[]): readonly [number, readonly string[]] {
  const found = classCoverage(plan, asked.map((text) => ({ path: UTF8.encode(text) })))
  assert.ok(found !== undefined)
  return [found.classes, found.missed.map((each) => new TextDecoder().decode(each)).sort()]
}

test('what no rule names is a class, and the only one without rules', () => {
  assert.deepEqual(covered(planOf()), [1, ['/']])
  assert.deepEqual(covered(planOf(), '/x'), [1, []])
})

test('paths that the same rules decide are one class, whoever names them', () => {
  const plan = planOf(path('/a'), dir('/d/'))
  assert.deepEqual(covered(plan, '/a', '/d/x/y', '/none'), [3, []])
  assert.deepEqual(covered(plan, '/d', '/none'), [3, ['/a']])
})

test('rules that overlap make classes of their own, which no list of rules shows', () => {
  // Below both directories the longer one decides, and an exact path before either.
  const plan = planOf(dir('/d/'), dir('/d/e/', false), path('/d/e/f'))
  assert.deepEqual(covered(plan, '/d/x', '/none'), [4, ['/d/e', '/d/e/f']])
})

test('sources and flags tell classes apart', () => {
  const plan = planOf({ ...path('/a'), sources: ['/s'] }, { ...path('/b'), readOnly: true })
  assert.deepEqual(covered(plan, '/none'), [3, ['/a', '/b']])
})

test('a plan that has no table has no classes to speak of', () => {
  assert.equal(classCoverage(planOf(rule({ match: { kind: 'pattern', pattern: `/**a${'?'.repeat(40)}` } })), []), undefined)
})
