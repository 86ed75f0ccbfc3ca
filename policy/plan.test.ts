// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { evaluate } from './evaluate.ts'
import { makePlan } from './plan.ts'
import { readResource } from './resource.ts'
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
  const clauses = (parts: Partial<Parameters<typeof rule>[0]>): readonly unknown[] =>
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
  // Sockets have no owner: the flag makes no difference to them.
  assert.deepEqual(clauses({ section: 'network', match: { kind: 'protocol', protocol: 'tcp' }, ownerOnly: true }), [['Block', 3 << 12]])
  assert.deepEqual(clauses({ section: 'network', match: { kind: 'protocol', protocol: 'tcp' }, ownerOnly: true, action: 'Allow' })[0], ['Allow', 3 << 12])
})

test('mode Audit: what would block audits, what flags permit stays permitted, and its allow-list blocks nothing', () => {
  const rules = [rule({ match: { kind: 'path', path: '/x' } }), rule({ match: { kind: 'path', path: '/y' }, ownerOnly: true })]
  const [x, y] = (['Audit', 'Enforce'] as const).map((mode) => {
    const plan = makePlan([policy('p', rules, { mode })], WORKLOAD, { filePosture: 'block' })
    return [ask('read', '/x'), ask('write', '/y'), ask('write', '/y', { owner: false })].map((each) => evaluate(plan, each).verdict)
  })
  assert.deepEqual([x, y], [['Audit', 'Allow', 'Audit'], ['Block', 'Allow', 'Block']])

  const allow = (name: string, mode: 'Audit' | 'Enforce' | 'Off'): ReturnType<typeof policy> => policy(name, [rule({ action: 'Allow', match: { kind: 'path', path: `/${name}` } })], { mode })
  const other = (...policies: readonly ReturnType<typeof policy>[]): string => evaluate(makePlan(policies, WORKLOAD, { filePosture: 'block' }), ask('read', '/other')).verdict
  assert.deepEqual([other(allow('a', 'Audit')), other(allow('a', 'Enforce')), other(allow('a', 'Audit'), allow('b', 'Enforce')), other(allow('a', 'Off'))], ['Audit', 'Block', 'Block', 'Allow'])
})

test('a workload whose policies are audited is never refused anything, by rule, posture or what cannot be decided', () => {
  const rules = [rule({ match: { kind: 'path', path: '/x' } }), rule({ action: 'Allow', match: { kind: 'path', path: '/y' } })]
  const verdicts = (workload: typeof WORKLOAD): readonly string[] => {
    const plan = makePlan([policy('p', rules)], workload, { filePosture: 'block' })
    return ['/x', '/y', '/z', '/'.repeat(4096)].map((path) => evaluate(plan, ask('read', path)).verdict)
  }
  assert.deepEqual(verdicts(WORKLOAD), ['Block', 'Allow', 'Block', 'Block'])
  assert.deepEqual(verdicts({ ...WORKLOAD, policy: 'audited' }), ['Audit', 'Allow', 'Audit', 'Audit'])
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

test('sockets that never leave the machine are permitted in an allow-list of either posture, unless a rule is about them', () => {
  const tcp = rule({ section: 'network', action: 'Allow', match: { kind: 'protocol', protocol: 'tcp' } })
  const verdicts = (networkPosture: 'audit' | 'block', ...more: readonly ReturnType<typeof rule>[]): readonly string[] =>
    ['tcp', 'udp', 'unix', 'netlink'].map((socket) => {
      const asked = readResource('network', socket)
      assert.ok(asked.ok)
      return evaluate(makePlan([policy('p', [tcp, ...more])], WORKLOAD, { filePosture: 'audit', networkPosture }), { operation: 'network', owner: true, path: asked.path, sources: [] }).verdict
    })
  assert.deepEqual(verdicts('audit'), ['Allow', 'Audit', 'Allow', 'Allow'])
  assert.deepEqual(verdicts('block'), ['Allow', 'Block', 'Allow', 'Allow'])
  const datagrams = rule({ section: 'network', match: { kind: 'protocol', protocol: 'all' }, action: 'Audit' })
  assert.deepEqual(verdicts('block', datagrams), ['Allow', 'Audit', 'Audit', 'Audit'])
})
