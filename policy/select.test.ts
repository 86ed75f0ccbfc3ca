// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { containerNames, hostRegex, selects } from './select.ts'
import { policy, WORKLOAD } from './testing.ts'
import type { LabelExpression, Policy, Selector, Workload } from './types.ts'

const EMPTY: Selector = { matchLabels: {}, matchExpressions: [], containers: [] }
const pods = (selector: Partial<Selector>, parts: Partial<Policy> = {}): Policy => policy('p', [], { selector: { ...EMPTY, ...selector }, ...parts })
const cluster = (...matchExpressions: readonly LabelExpression[]): Policy => pods({ matchExpressions }, { kind: 'KubeArmorClusterPolicy', namespace: '' })
const hosts = (matchLabels: Selector['matchLabels']): Policy => pods({ matchLabels }, { kind: 'KubeArmorHostPolicy', namespace: '' })
const labelled = (labels: Workload['labels'], parts: Partial<Workload> = {}): Workload => ({ ...WORKLOAD, labels, ...parts })
const label = (operator: 'In' | 'NotIn', ...values: string[]): LabelExpression => ({ key: 'label', operator, values })
const namespace = (operator: 'In' | 'NotIn', ...values: string[]): LabelExpression => ({ key: 'namespace', operator, values })

describe('Which policies apply', () => {
  test('a KubeArmorPolicy applies to the containers of its namespace, and an empty selector selects every one', () => {
    assert.ok(selects(pods({}), WORKLOAD))
    assert.ok(!selects(pods({}), { ...WORKLOAD, namespace: 'other' }))
    assert.ok(!selects(pods({}), { ...WORKLOAD, host: true }))
  })

  test('every label of matchLabels must be there with that value', () => {
    const both = pods({ matchLabels: { app: 'web', tier: 'front' } })
    assert.ok(selects(both, labelled({ app: 'web', tier: 'front', more: 'x' })))
    assert.ok(!selects(both, labelled({ app: 'web' })) && !selects(both, labelled({ app: 'web', tier: 'back' })))
  })

  test('labels that controllers put on pods are not looked at', () => {
    for (const key of ['pod-template-hash', 'pod-template-generation', 'controller-revision-hash']) {
      assert.ok(!selects(pods({ matchLabels: { [key]: '1' } }), labelled({ [key]: '1' })))
    }
  })

  test('every expression must hold: In, one of its pairs is there; NotIn, none of them is', () => {
    const one = labelled({ container: 'ubuntu-1' })
    assert.ok(selects(pods({ matchExpressions: [label('In', 'container=ubuntu-1', 'x=y')] }), one))
    assert.ok(!selects(pods({ matchExpressions: [label('In', 'container=ubuntu-2')] }), one))
    assert.ok(!selects(pods({ matchExpressions: [label('NotIn', 'x=y', 'container=ubuntu-1')] }), one))
    assert.ok(selects(pods({ matchExpressions: [label('NotIn', 'container=ubuntu-2')] }), one))
    assert.ok(!selects(pods({ matchLabels: { a: 'b' }, matchExpressions: [label('NotIn', 'x=y')] }), one))
  })

  test('the order of expressions does not matter', () => {
    const [within, outside] = [label('In', 'a=1', 'a=2'), label('NotIn', 'a=2')]
    for (const matchExpressions of [[within, outside], [outside, within]]) {
      assert.deepEqual(['1', '2', '3'].map((a) => selects(pods({ matchExpressions }), labelled({ a }))), [true, false, false])
    }
  })

  test('a KubeArmorClusterPolicy applies to the containers of the namespaces that it selects', () => {
    assert.ok(selects(cluster(), WORKLOAD))
    assert.ok(selects(cluster(namespace('In', 'shop', 'x')), WORKLOAD) && !selects(cluster(namespace('In', 'x')), WORKLOAD))
    assert.ok(!selects(cluster(namespace('NotIn', 'shop')), WORKLOAD) && selects(cluster(namespace('NotIn', 'x')), WORKLOAD))
    assert.ok(!selects(cluster(namespace('In', 'shop'), namespace('NotIn', 'shop')), WORKLOAD))
    assert.ok(!selects(cluster(namespace('In', 'shop'), label('NotIn', 'app=web')), WORKLOAD))
  })

  test('container policies never apply in untracked namespaces', () => {
    for (const name of ['kube-system', 'kubearmor']) assert.ok(!selects(cluster(), { ...WORKLOAD, namespace: name }))
    assert.ok(selects(cluster(), { ...WORKLOAD, namespace: 'kube-system' }, { untrackedNamespaces: [] }))
    assert.ok(!selects(cluster(), WORKLOAD, { untrackedNamespaces: ['shop'] }))
  })

  test('the reserved label restricts a policy to containers of these names', () => {
    assert.ok(selects(pods({ containers: ['web', 'x'] }), WORKLOAD))
    assert.ok(!selects(pods({ containers: ['sidecar'] }), WORKLOAD))
  })
})

test('the reserved label has KubeArmor’s oddities: empty means all, empty elements are harmless, a bare name is that container', () => {
  const cases: readonly (readonly [string, readonly string[]])[] = [
    ['[a, b]', ['a', 'b']], ['', []], ['[]', []], ['[ ]', []], ['[container-1,,]', ['container-1']], ['container-1', ['container-1']], ['a, b', ['a', 'b']], ['[a', ['a']],
  ]
  for (const [value, names] of cases) assert.deepEqual(containerNames(value), names, JSON.stringify(value))
})

describe('hosts', () => {
  const host = labelled({ 'kubernetes.io/hostname': 'node-1', disk: 'ssd' }, { host: true, namespace: '' })

  test('an empty nodeSelector selects no host; labels select by value; containers are never selected', () => {
    assert.ok(!selects(hosts({}), host))
    assert.ok(selects(hosts({ disk: 'ssd' }), host) && !selects(hosts({ disk: 'hdd' }), host))
    assert.ok(!selects(hosts({ app: 'web' }), WORKLOAD))
  })

  test('host names: exact, a comma list, or a star, under either key', () => {
    for (const key of ['kubernetes.io/hostname', 'kubearmor.io/hostname']) {
      for (const value of ['node-1', 'node-2, node-1', '*']) assert.ok(selects(hosts({ [key]: value }), host), `${key}: ${value}`)
      for (const value of ['node-2', 'node', '']) assert.ok(!selects(hosts({ [key]: value }), host), `${key}: ${value}`)
    }
  })

  test('hostnamereg is a regular expression in which a star stands for any run', () => {
    for (const value of ['node-*', '^node-[0-9]$', '*', 'n.*1']) assert.ok(selects(hosts({ 'kubearmor.io/hostnamereg': value }), host), value)
    for (const value of ['^ode', 'master-*', '(']) assert.ok(!selects(hosts({ 'kubernetes.io/hostnamereg': value }), host), value)
    assert.equal(hostRegex('('), undefined)
  })
})
