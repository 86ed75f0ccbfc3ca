// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import test from 'node:test'
import fc from 'fast-check'
import { automatonOf, randomAutomaton } from '../test/support/automata.ts'
import { byteSet, makeAlphabet } from './alphabet.ts'
import { step, type Automaton } from './automaton.ts'
import type { Dfa } from './dfa.ts'
import { renumber } from './renumber.ts'

const CLASSES = 3
/** Accept i is object i, but for two of one object. */
const ACCEPTS = [{ object: 0, subject: 0 }, { object: 1, subject: 0 }, { object: 1, subject: 1 }, { object: 3, subject: 0 }]

function dfaOf(automaton: Automaton, starts: readonly number[], keyStart?: number): Dfa {
  return { alphabet: makeAlphabet(byteSet(), []), automaton, starts, keyStart, accepts: ACCEPTS, work: 0 }
}

/** What words of up to `length` classes end in, from a start, in the order of the words. */
function language(automaton: Automaton, start: number, nameOf: (accept: number) => string, length = 4): readonly string[] {
  const rest = length === 0 ? [] : Array.from({ length: CLASSES }, (_, c) => language(automaton, step(automaton, start, c), nameOf, length - 1)).flat()
  return [nameOf(automaton.accept[start]!), ...rest]
}

function before(accept: number): string {
  return JSON.stringify(ACCEPTS[accept])
}

/** All that is promised: the same language from each start, state 0 dead, nothing that cannot be reached. */
function check(dfa: Dfa): void {
  const { automaton, starts, keyStart, accepts, objects } = renumber(dfa)
  const after = (accept: number): string => JSON.stringify({ object: objects[accepts[accept]!.object], subject: accepts[accept]!.subject })
  const [old, now] = [[...dfa.starts, ...(dfa.keyStart === undefined ? [] : [dfa.keyStart])], [...starts, ...(dfa.keyStart === undefined ? [] : [keyStart])]]
  assert.deepEqual(now.map((start) => language(automaton, start, after)), old.map((start) => language(dfa.automaton, start, before)))
  assert.deepEqual([automaton.accept[0], automaton.fallback[0], automaton.first[1]], [0, 0, 0])
  const reached = new Set([0, ...now])
  for (const state of reached) for (let c = 0; c < CLASSES; c++) reached.add(step(automaton, state, c))
  assert.equal(reached.size, automaton.states)
}

test('renumber() keeps what every word leads to, and drops what none does', () => {
  const automaton = randomAutomaton({ states: 9, classes: CLASSES, accepts: ACCEPTS.length })
  fc.assert(fc.property(automaton, fc.array(fc.nat(), { minLength: 1, maxLength: 3 }), fc.option(fc.nat(), { nil: undefined }), (each, starts, keyStart) => {
    check(dfaOf(each, starts.map((start) => start % each.states), keyStart === undefined ? undefined : keyStart % each.states))
  }))
})

test('renumber() follows the default of a state that has no edges', () => {
  // From 1 every byte leads to 2, which accepts.
  const automaton = automatonOf([[0, 0, 0], [2, 2, 2], [0, 0, 0]], [0, 0, 3])
  check(dfaOf(automaton, [1]))
  assert.equal(renumber(dfaOf(automaton, [1])).automaton.states, 3)
})

test('renumber() makes a dead state where there is none, and numbers by what is met first', () => {
  const automaton = automatonOf([[1, 0, 0], [1, 1, 1]], [3, 1])
  const { automaton: numbered, starts, objects } = renumber(dfaOf(automaton, [0]))
  assert.deepEqual([numbered.states, starts, objects], [3, [1], [0, 3, 1]])
  check(dfaOf(automaton, [0]))
})
