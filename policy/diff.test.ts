// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { arbitraryCase } from '../test/support/generate.ts'
import { compile } from './compile.ts'
import { differences } from './diff.ts'
import { evaluate } from './evaluate.ts'
import { openTable, type Table } from './lookup.ts'
import { makePlan } from './plan.ts'
import { policy, rule, WORKLOAD } from './testing.ts'
import type { Plan, Rule } from './types.ts'

const planOf = (rules: readonly Rule[]): Plan => makePlan([policy('p', rules)], WORKLOAD, { filePosture: 'block' })
const sourcesOf = (...plans: readonly Plan[]): readonly Uint8Array[] => [...new Set(plans.flatMap(({ clauses }) => clauses.flatMap(({ sources }) => sources)))].map((source) => new TextEncoder().encode(source))

function open(plan: Plan): Table {
  const compiled = compile(plan)
  assert.ok(compiled.ok)
  return openTable(compiled.table)
}

function changes(before: readonly Rule[], after: readonly Rule[]): readonly string[] {
  const [old, now] = [planOf(before), planOf(after)]
  const found = differences(open(old), open(now), sourcesOf(old, now))
  assert.ok(found.complete)
  return found.differences.map(({ question: { operation, path, owner, sources }, ...verdicts }) => {
    const from = sources.map((source) => ` from ${new TextDecoder().decode(source)}`).join('')
    return `${operation} ${new TextDecoder().decode(path)}${owner ? '' : ' not owner'}${from}: ${verdicts.before.verdict} ${verdicts.after.verdict}`
  })
}

test('the shortest operation for each change', () => {
  const block = rule({ match: { kind: 'dir', dir: '/etc/', recursive: true } })
  assert.deepEqual(changes([block], [block]), [])
  assert.deepEqual(changes([], [block]), ['read /etc: Allow Block', 'write /etc: Allow Block'])
  assert.deepEqual(changes([block], [block, rule({ action: 'Allow', match: { kind: 'path', path: '/etc/x' } })]), [
    'read /: Allow Block', 'write /: Allow Block', 'read /etc/x: Block Allow', 'write /etc/x: Block Allow',
  ])
})

test('flags and sources show in the example', () => {
  const path = { kind: 'path', path: '/a' } as const
  assert.deepEqual(changes([rule({ match: path })], [rule({ match: path, ownerOnly: true })]), ['read /a: Block Allow', 'write /a: Block Allow'])
  assert.deepEqual(changes([], [rule({ match: path, ownerOnly: true })]), ['read /a not owner: Allow Block', 'write /a not owner: Allow Block'])
  assert.deepEqual(changes([], [rule({ section: 'process', match: path, sources: ['/opt/s'] })]), ['exec /a from /opt/s: Allow Block'])
})

test('rules that are written otherwise and mean the same are no change', () => {
  const star = rule({ match: { kind: 'pattern', pattern: '/a/**' } })
  assert.deepEqual(changes([star], [rule({ match: { kind: 'pattern', pattern: '/a/{**,*}' } })]), [])
})

test('no question has another answer where no difference is found, and every difference is one', () => {
  fc.assert(
    fc.property(arbitraryCase(6, 20), arbitraryCase(6, 20), (one, two) => {
      const found = differences(open(one.plan), open(two.plan), sourcesOf(one.plan, two.plan))
      for (const { question, before, after } of found.differences) {
        assert.deepEqual([evaluate(one.plan, question), evaluate(two.plan, question)], [before, after])
        assert.notEqual(before.verdict, after.verdict)
      }
      const unlike = [...one.questions, ...two.questions].filter(({ path, sources }) => sources.length < 2 && path.length < 4096 && /^\/([^/]+\/)*[^/]+$/s.test(Buffer.from(path).toString('latin1')))
        .filter((question) => evaluate(one.plan, question).verdict !== evaluate(two.plan, question).verdict)
      if (found.complete && unlike.length > 0) assert.ok(found.differences.length > 0)
    }),
    { numRuns: 60, seed: 5 },
  )
})
