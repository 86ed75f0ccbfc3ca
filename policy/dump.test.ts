// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import test from 'node:test'
import { dump, DUMPS } from './dump.ts'
import { makePlan } from './plan.ts'
import { policy, rule, WORKLOAD } from './testing.ts'
import type { Plan } from './types.ts'

const pattern = (text: string): { kind: 'pattern'; pattern: string } => ({ kind: 'pattern', pattern: text })

function planOf(...patterns: readonly string[]): Plan {
  const rules = [...patterns.map((text) => rule({ match: pattern(text) })), rule({ match: { kind: 'path', path: '/d' }, sources: ['/s'] })]
  return makePlan([policy('p', rules)], WORKLOAD, { filePosture: 'audit' })
}

const PLAN = planOf('/a/**', '/b*c')

for (const [step, line] of [
  ['plan', /^1: Block file path \/d from \/s \(planes [0-9a-f]+, matches 1\) by p$/m],
  ['pattern', /^\/b\*c: "\/b" component "c"$/m],
  ['expression', /^prefix \/a\/\.\*$/m],
  ['expression', /^expression \/b\[\^\/\]\*c$/m],
  ['alphabet', /./],
  ['trie', /^\/s:  ?subject 1$/m],
  ['subset', /^paths:\nstart 0\n/],
  ['dfa', /^0: else->0$/m],
  ['comb', /^0: state accept 0/m],
  ['objects', /^object 0: Allow\/0 Allow\/0$/m],
  ['objects', /\{1:Block\/1,else:Allow\/0\}/],
  ['table', /^pages \d+$[^]*^verified\n$/m],
] as const) {
  test(`dump() shows ${step}: ${line.source}`, () => assert.match(dump(PLAN, step), line))
}

test('every step ends its last line, for a plan without rules too', () => {
  for (const plan of [PLAN, makePlan([], WORKLOAD, { filePosture: 'audit' })]) for (const step of DUMPS) assert.ok(dump(plan, step).endsWith('\n'), step)
})

test('sets and choices are spelt out', () => {
  assert.match(dump(planOf('/[!a-c]{x,é*}?'), 'pattern'), /: "\/" not \[U\+0061-U\+0063\] either \("x" \| "é" component\) not \[\]$/m)
})

test('of patterns that multiply the early steps are shown, and the refusal in place of the late ones', () => {
  const bomb = planOf(...Array.from({ length: 5 }, (_, i) => `/**${i}${'?'.repeat(22)}${i}`))
  assert.match(dump(bomb, 'subset'), /^paths: they multiply/)
  assert.match(dump(bomb, 'dfa'), /patterns multiply beyond/)
  assert.match(dump(bomb, 'table'), /patterns multiply beyond/)
  assert.match(dump(bomb, 'plan'), /^1: Block/)
})
