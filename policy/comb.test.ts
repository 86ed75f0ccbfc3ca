// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import test from 'node:test'
import fc from 'fast-check'
import { randomAutomaton } from '../test/support/automata.ts'
import { step } from './automaton.ts'
import { acceptAt, nextState } from './cells.ts'
import { dumpComb, makeComb } from './comb.ts'
import { CELL } from './table.ts'

test('a step in the cells is a step of the automaton', () => {
  fc.assert(
    fc.property(randomAutomaton({ states: 40, classes: 12, accepts: 5, dead: true }), automaton => {
      const { words: signed, place, cells } = makeComb(automaton)
      const words = new Uint32Array(signed.buffer)
      assert.equal(place[0], 0)
      assert.equal(new Set(place).size, automaton.states)
      for (let state = 0; state < automaton.states; state++) {
        const at = place[state]!
        assert.ok(at + automaton.classes + 1 < cells)
        assert.equal(acceptAt(words, 0, at), automaton.accept[state])
        for (let c = 0; c < automaton.classes; c++) assert.equal(nextState(words, 0, at, c + 1), place[step(automaton, state, c)])
      }
    }),
    { numRuns: 500 },
  )
})

test('ABSORBING is set where nothing leads out of a state, and nowhere else', () => {
  fc.assert(
    fc.property(randomAutomaton({ states: 6, classes: 3, accepts: 2, dead: true }), automaton => {
      const { words, place } = makeComb(automaton)
      for (let state = 0; state < automaton.states; state++) {
        const stays = [0, 1, 2].every(c => step(automaton, state, c) === state)
        assert.equal(words[place[state]!]! >= CELL.absorbing && words[place[state]!]! <= CELL.absorbing + CELL.fallback, stays)
      }
    }),
  )
})

test('few cells belong to nobody', () => {
  fc.assert(
    fc.property(randomAutomaton({ states: 200, classes: 30, accepts: 2, dead: true, sparse: true }), automaton => {
      const { words, cells } = makeComb(automaton)
      // Accepts above 0 are not zero; that of an absorbing state may be, and there is one such state at most for each accept.
      const empty = words.filter(word => word === 0).length
      assert.ok(empty <= 0.1 * cells + 2 * automaton.classes, `${empty} of ${cells} cells are empty`)
    }),
    { numRuns: 50 },
  )
})

test('dumpComb() names states and edges', () => {
  const [automaton] = fc.sample(randomAutomaton({ states: 3, classes: 2, accepts: 2, dead: true }), { seed: 1, numRuns: 1 })
  const text = dumpComb(makeComb(automaton!))
  assert.match(text, /^0: state accept 0 absorbing else->0$/m)
  assert.equal(text.match(/: state /g)?.length, automaton!.states)
  assert.equal(text.match(/: edge of /g)?.length ?? 0, automaton!.edgeTarget.length)
})
