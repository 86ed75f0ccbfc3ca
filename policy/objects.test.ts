// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Objects } from './objects.ts'
import { makePlan } from './plan.ts'
import { makeSubjects } from './subjects.ts'
import { policy, rule, WORKLOAD } from './testing.ts'
import type { Plan } from './types.ts'

function planOf(...sources: readonly (readonly string[])[]): Plan {
  const rules = sources.map((each, index) => rule({ match: { kind: 'path', path: `/${index}` }, sources: each }))
  return makePlan([policy('p', rules)], WORKLOAD, { filePosture: 'audit' })
}

test('makeSubjects() gives one class to executables that the same clauses name', () => {
  const { count, classOf, ofClause } = makeSubjects(planOf(['/a', '/b'], ['/a', '/b'], ['/b', '/c'], []))
  assert.equal(count, 4)
  assert.equal(new Set([classOf.get('/a'), classOf.get('/b'), classOf.get('/c')]).size, 3)
  assert.ok(ofClause.every((classes) => classes.every((each) => each > 0 && each < count)))
  const alike = makeSubjects(planOf(['/a', '/b'], ['/c']))
  assert.equal(alike.classOf.get('/a'), alike.classOf.get('/b'))
  assert.notEqual(alike.classOf.get('/a'), alike.classOf.get('/c'))
})

test('makeSubjects() does not take two executables for one whose path is that of both, one after the other', () => {
  const plan = planOf(['/a', '/b'], ['/a/b'])
  const { classOf, ofClause } = makeSubjects(plan)
  for (const [index, { sources }] of plan.clauses.entries()) {
    const expected = new Set(sources.map((source) => classOf.get(source)))
    assert.deepEqual(new Set(ofClause[index]), expected)
  }
  assert.notEqual(classOf.get('/a/b'), classOf.get('/a'))
})

test('objectOf() gives one number to sets of clauses that decide alike, and others to all others', () => {
  const plan = planOf([], ['/a'], [])
  const objects = new Objects(plan, makeSubjects(plan))
  assert.equal(objects.objectOf([]), 0)
  const [first, second] = [0, 1].map((index) => objects.objectOf([index]))
  assert.notEqual(first, second)
  const decisive = plan.clauses.findIndex(({ sources }) => sources.length === 0)
  // What comes after a clause for every source and operation decides nothing.
  assert.equal(objects.objectOf([decisive]), objects.objectOf([decisive, ...plan.clauses.keys()].filter((index) => index >= decisive)))
})
