// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { evaluate } from './evaluate.ts'
import { makePlan } from './plan.ts'
import { ask, policy, rule, WORKLOAD } from './testing.ts'

test('reserved numbers follow the clauses: the default of each section, then the undecidable verdict of each', () => {
  const rules = [
    rule({ section: 'process', action: 'Allow', match: { kind: 'name', name: 'ls' } }),
    rule({ action: 'Allow', readOnly: true, match: { kind: 'pattern', pattern: '/etc/**/*.conf' } }),
  ]
  const plan = makePlan([policy('p', rules)], WORKLOAD, { filePosture: 'block' })
  assert.deepEqual(evaluate(plan, ask('exec', '/x/cat')), { verdict: 'Block', clause: 3 })
  assert.deepEqual(evaluate(plan, ask('read', '/etc/a.conf')), { verdict: 'Allow', clause: 2 })
  assert.deepEqual(evaluate(plan, ask('write', '/etc/a.conf')), { verdict: 'Block', clause: 4 })
  assert.deepEqual(evaluate(plan, ask('exec', '/'.repeat(4096))), { verdict: 'Block', clause: 13 })
  assert.deepEqual(evaluate(plan, ask('read', '/'.repeat(4096))), { verdict: 'Block', clause: 14 })
})

test('planes are operation * 4 + terminal * 2 + owner, and a flagged rule becomes a clause for what satisfies it and one for the rest', () => {
  const clauses = (parts: Partial<Parameters<typeof rule>[0]>): unknown =>
    makePlan([policy('p', [rule({ match: { kind: 'path', path: '/x' }, ...parts })])], WORKLOAD, { filePosture: 'audit' }).clauses.map(({ verdict, planes }) => [verdict, planes])
  const [read, write] = [0x0f0, 0xf00]
  const owner = 0xaaa
  const terminal = 0xccc
  assert.deepEqual(clauses({}), [['Block', read | write]])
  assert.deepEqual(clauses({ section: 'process' }), [['Block', 0xf]])
  assert.deepEqual(clauses({ section: 'process', readOnly: true }), [['Block', 0xf]])
  assert.deepEqual(clauses({ section: 'process', ownerOnly: true }), [['Block', 0x5], ['Allow', 0xa]])
  assert.deepEqual(clauses({ readOnly: true }), [['Block', write], ['Allow', read]])
  assert.deepEqual(clauses({ readOnly: true, ownerOnly: true }), [['Block', write | (read & ~owner)], ['Allow', read & owner]])
  assert.deepEqual(clauses({ readOnly: true, ownerOnly: true, action: 'Allow' }), [['Allow', read & owner]])
  assert.deepEqual(clauses({ section: 'process', pts: false }), [['Block', 0xf & terminal], ['Allow', 0xf & ~terminal]])
  assert.deepEqual(clauses({ section: 'process', pts: true }), [['Block', 0xf & ~terminal], ['Allow', 0xf & terminal]])
  assert.deepEqual(clauses({ section: 'network', match: { kind: 'protocol', protocol: 'tcp' }, pts: true, action: 'Audit' }), [['Audit', 1 << 12], ['Allow', 1 << 13]])
})

test('aliases of a path stay in one clause, those of a directory become clauses of their own with one origin', () => {
  const rules = [rule({ match: { kind: 'path', path: '/bin/ls' } }), rule({ match: { kind: 'dir', dir: '/bin/', recursive: true } })]
  const { clauses } = makePlan([policy('p', rules)], WORKLOAD, { filePosture: 'audit' })
  assert.deepEqual(clauses.map(({ matches }) => matches.map((match) => Object.values(match)[1])), [['/bin/ls', '/usr/bin/ls'], ['/usr/bin/'], ['/bin/']])
  assert.equal(clauses[1]?.origin, clauses[2]?.origin)
})

test('the origin says who decided: inherited attributes, and the rule in one line', () => {
  const rules = [rule({ match: { kind: 'dir', dir: '/etc/', recursive: true }, readOnly: true, ownerOnly: true, sources: ['/bin/cat'], severity: 7, tags: ['a'], message: 'hands off' })]
  const [clause] = makePlan([policy('p', rules)], WORKLOAD, { filePosture: 'audit' }).clauses
  assert.deepEqual(clause?.origin, {
    policy: 'p', kind: 'KubeArmorPolicy', namespace: 'shop', action: 'Block', severity: 7, tags: ['a'], message: 'hands off',
    text: 'file directory /etc/ recursive readOnly ownerOnly from /bin/cat',
    position: { file: '', line: 0, column: 0 },
  })
})

test('policies that do not select the workload leave no trace', () => {
  const other = policy('other', [rule({ action: 'Allow', match: { kind: 'path', path: '/x' } })], { namespace: 'elsewhere' })
  const plan = makePlan([other], WORKLOAD, { filePosture: 'block' })
  assert.deepEqual([plan.clauses, plan.defaults], [[], {}])
})
