// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readPolicyTests } from './policytest.ts'
import { NOWHERE } from './postures.ts'
import { mutationScore, ruleMutants, type MutationScore } from './rule-mutants.ts'
import { policy, rule } from './testing.ts'
import type { Policy } from './types.ts'

const POLICY: Policy = policy('p', [
  rule({ match: { kind: 'path', path: '/etc/passwd' }, action: 'Audit', position: { file: 'p.yaml', line: 1, column: 1 } }),
  rule({ match: { kind: 'dir', dir: '/srv/', recursive: true }, sources: ['/bin/sh'], position: { file: 'p.yaml', line: 2, column: 1 } }),
])

function score(...tests: readonly string[]): MutationScore {
  const read = readPolicyTests(`workload: {namespace: shop, labels: {app: web}}\ntests:\n${tests.map((each) => `- ${each}\n`).join('')}`, 't.yaml')
  assert.deepEqual(read.findings, [])
  return mutationScore({ policies: [POLICY], surroundings: NOWHERE, tests: read.tests })
}

test('every rule is dropped, gets each other action, and is widened in the ways of its kind, one at a time', () => {
  const mutants = [...ruleMutants([POLICY])]
  assert.deepEqual(mutants.map(({ what }) => what.slice(0, what.indexOf(':'))), [
    'dropped', 'Audit made Block', 'Audit made Allow', 'widened to what begins like it', 'widened to its directory',
    'dropped', 'Block made Audit', 'Block made Allow', 'made not recursive', 'made to hold for every source',
  ])
  for (const { policies } of mutants) assert.notDeepEqual(policies, [POLICY])
  const [, , , widened] = mutants
  assert.deepEqual(widened?.policies[0]?.rules[0]?.match, { kind: 'pattern', pattern: '/etc/passwd*' })
  assert.deepEqual([...ruleMutants([policy('q', [rule({ match: { kind: 'path', path: '/a*{b}' } })])])][3]?.policies[0]?.rules[0]?.match, { kind: 'pattern', pattern: '/a\\*\\{b\\}*' })
})

test('tests that look at a rule notice that it is gone or weaker, and not that it reaches farther', () => {
  const { mutants, noticed, missed } = score('{open: /etc/passwd, expect: Audit}', '{open: /srv/a/b, source: /bin/sh, expect: Block}')
  assert.equal(mutants, 10)
  assert.equal(noticed, 7)
  assert.deepEqual(missed.map(({ what, position }) => [position.line, what.slice(0, what.indexOf(':'))]), [
    [1, 'widened to what begins like it'], [1, 'widened to its directory'], [2, 'made to hold for every source'],
  ])
})

test('tests of what is beside a rule notice the rest', () => {
  const tests = ['{open: /etc/passwd, expect: Audit}', '{open: /etc/passwd-, expect: Allow}', '{open: /srv/a/b, source: /bin/sh, expect: Block}', '{open: /srv/a/b, expect: Allow}']
  const { mutants, noticed, missed } = score(...tests)
  assert.deepEqual([mutants, noticed, missed], [10, 10, []])
})

test('tests that fail anyway notice nothing, and without tests there is nothing to score', () => {
  assert.deepEqual(score('{open: /etc/passwd, expect: Block}').noticed, 0)
  assert.deepEqual(mutationScore({ policies: [POLICY], surroundings: NOWHERE, tests: [] }), { mutants: 0, noticed: 0, missed: [] })
})

test('a change that changes no verdict is not held against the tests', () => {
  const twice: Policy = policy('p', [1, 2].map((line) => rule({ match: { kind: 'path', path: '/a' }, position: { file: 'p.yaml', line, column: 1 } })))
  const read = readPolicyTests('workload: {namespace: shop, labels: {app: web}}\ntests: [{open: /a, expect: Block}, {open: /ab, expect: Allow}]', 't.yaml')
  const { mutants, missed } = mutationScore({ policies: [twice], surroundings: NOWHERE, tests: read.tests })
  assert.deepEqual(missed, [])
  // The other rule stands in for what is dropped or audited; left are what widens, and what begins an allow-list.
  assert.equal(mutants, 4)
})
