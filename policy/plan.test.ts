// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { evaluate } from './evaluate.ts'
import { makePlan } from './plan.ts'
import type { Policy, Question, Rule, Workload } from './types.ts'

const NOWHERE = { file: '', line: 0, column: 0 }
const WORKLOAD: Workload = { host: false, namespace: 'shop', pod: 'web-1', container: 'web', labels: { app: 'web' } }

export function rule(parts: Partial<Rule> & Pick<Rule, 'match'>): Rule {
  return {
    section: 'file', action: 'Block', readOnly: false, ownerOnly: false, sources: [], severity: 1, tags: [], message: '', position: NOWHERE, ...parts,
  }
}
export function policy(name: string, rules: readonly Rule[]): Policy {
  return { kind: 'KubeArmorPolicy', name, namespace: 'shop', selector: { matchLabels: {}, matchExpressions: [], containers: [] }, rules, position: NOWHERE }
}
function ask(operation: Question['operation'], path: string, parts: { owner?: boolean; sources?: readonly string[] } = {}): Question {
  const bytes = new TextEncoder()
  return { operation, owner: parts.owner ?? true, path: bytes.encode(path), sources: (parts.sources ?? []).map((source) => bytes.encode(source)) }
}

test('a block on /bin/ls holds on a merged-usr image, for its sources too', () => {
  const plan = makePlan([policy('p', [rule({ section: 'process', match: { kind: 'path', path: '/bin/ls' }, sources: ['/bin/dash'] })])], WORKLOAD, { filePosture: 'audit' })
  assert.deepEqual(evaluate(plan, ask('exec', '/usr/bin/ls', { sources: ['/usr/sbin/x', '/usr/bin/dash'] })), { verdict: 'Block', clause: 1 })
  assert.deepEqual(evaluate(plan, ask('exec', '/usr/bin/ls', { sources: ['/usr/bin/bash'] })), { verdict: 'Allow', clause: 0 })
})

test('reserved numbers follow the clauses: process default, file default, undecidable exec, undecidable file', () => {
  const rules = [rule({ section: 'process', action: 'Allow', match: { kind: 'name', name: 'ls' } }), rule({ action: 'Allow', readOnly: true, match: { kind: 'pattern', pattern: '/etc/**/*.conf' } })]
  const plan = makePlan([policy('p', rules)], WORKLOAD, { filePosture: 'block' })
  assert.deepEqual(evaluate(plan, ask('exec', '/x/cat')), { verdict: 'Block', clause: 3 })
  assert.deepEqual(evaluate(plan, ask('read', '/etc/a.conf')), { verdict: 'Allow', clause: 2 })
  assert.deepEqual(evaluate(plan, ask('write', '/etc/a.conf')), { verdict: 'Block', clause: 4 })
  assert.deepEqual(evaluate(plan, ask('exec', '/'.repeat(4096))), { verdict: 'Block', clause: 5 })
  assert.deepEqual(evaluate(plan, ask('read', '/'.repeat(4096))), { verdict: 'Block', clause: 6 })
})
