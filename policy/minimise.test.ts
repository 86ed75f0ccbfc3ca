// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import test from 'node:test'
import fc from 'fast-check'
import { automatonOf, randomAutomaton } from '../test/support/automata.ts'
import { step, type Automaton } from './automaton.ts'
import { minimise } from './minimise.ts'

/** Moore's algorithm in its plainest form: rounds until nothing splits. */
function plainly(automaton: Automaton): readonly string[] {
  let look = Array.from(automaton.accept, String)
  for (let count = new Set(look).size; ; ) {
    const ids = new Map([...new Set(look)].map((key, i) => [key, i]))
    look = look.map((own, state) => `${ids.get(own)}:${Array.from({ length: automaton.classes }, (_, c) => ids.get(look[step(automaton, state, c)]!)).join()}`)
    const next = new Set(look).size
    if (next === count) return look
    count = next
  }
}

function sameAs(automaton: Automaton): void {
  const { automaton: minimal, map } = minimise(automaton)
  const look = plainly(automaton)
  assert.equal(minimal.states, new Set(look).size)
  assert.equal(minimal.start, map[automaton.start])
  for (let state = 0; state < automaton.states; state++) {
    assert.equal(minimal.accept[map[state]!], automaton.accept[state])
    for (let c = 0; c < automaton.classes; c++) assert.equal(step(minimal, map[state]!, c), map[step(automaton, state, c)])
  }
}

test('minimise() finds the same classes as the plain algorithm', () => {
  fc.assert(fc.property(randomAutomaton({ states: 12, classes: 3, accepts: 2 }), sameAs), { numRuns: 2000 })
  fc.assert(fc.property(randomAutomaton({ states: 60, classes: 8, accepts: 2, sparse: true }), sameAs), { numRuns: 500 })
})

test('minimise() merges states whose edges differ only in which equivalent state they lead to', () => {
  // 1 and 2 both accept for ever; 3 and 4 lead to one or the other.
  const automaton = automatonOf([[0, 0], [1, 1], [2, 2], [1, 2], [2, 0 + 1], [3, 4]], [0, 1, 1, 0, 0, 0])
  const { automaton: minimal, map } = minimise(automaton)
  assert.equal(map[1], map[2])
  assert.equal(map[3], map[4])
  assert.equal(minimal.states, 4)
})

test('minimise() leaves a long chain as it is', () => {
  const length = 20_000
  const rows = Array.from({ length }, (_, i) => [Math.min(i + 1, length - 1), 0])
  const started = process.cpuUsage()
  const { automaton } = minimise(automatonOf(rows, rows.map((_, i) => (i === length - 1 ? 1 : 0))))
  assert.equal(automaton.states, length)
  // Rounds over all states would take minutes.
  assert.ok(process.cpuUsage(started).user < 10e6)
})
