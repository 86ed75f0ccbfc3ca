// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import test from 'node:test'
import fc from 'fast-check'
import { randomAutomaton } from '../test/support/automata.ts'
import { step, type Automaton } from './automaton.ts'
import { minimise } from './minimise.ts'
import { emptyGlobs, product, type Globs } from './product.ts'

const CLASSES = 5

/** Accept k stands for the clauses k and k + 10. */
function globsOf(automaton: Automaton, offset: number): Globs {
  return { automaton, sets: [[], [offset + 1, offset + 11], [offset + 2, offset + 12]] }
}

const globs = (offset: number): fc.Arbitrary<Globs> => randomAutomaton({ states: 12, classes: CLASSES, accepts: 3 }).map(automaton => globsOf(automaton, offset))
const word = fc.array(fc.nat(CLASSES - 1), { maxLength: 12 })

function clausesAt({ automaton, sets }: Globs, classes: readonly number[]): readonly number[] {
  return sets[automaton.accept[classes.reduce((state, c) => step(automaton, state, c), automaton.start)]!]!
}

test('product() says of every word what both say', () => {
  fc.assert(
    fc.property(globs(0), globs(5), fc.array(word, { maxLength: 30 }), (a, b, words) => {
      const both = product(a, b, Infinity)!
      for (const each of words) {
        const expected = [...clausesAt(a, each), ...clausesAt(b, each)].sort((x, y) => x - y)
        assert.deepEqual(clausesAt(both, each), expected)
      }
    }),
  )
})

test('product() is minimal, and undefined beyond the limit', () => {
  fc.assert(
    fc.property(globs(0), globs(5), (a, b) => {
      const both = product(a, b, Infinity)!
      assert.equal(minimise(both.automaton).automaton.states, both.automaton.states)
      assert.equal(product(a, b, both.automaton.states - 1), undefined)
      assert.deepEqual(product(a, b, 12 * 12), both)
    }),
  )
})

test('what accepts nothing adds nothing', () => {
  fc.assert(
    fc.property(globs(0), word, (a, each) => {
      const both = product(a, emptyGlobs(CLASSES), Infinity)!
      assert.equal(both.automaton.states, product(both, emptyGlobs(CLASSES), Infinity)!.automaton.states)
      assert.deepEqual(clausesAt(both, each), clausesAt(a, each))
    }),
  )
})
