// SPDX-License-Identifier: Apache-2.0
// The last step before the table: only what can be reached, numbered in the order in which it is met, so that the bytes depend on nothing
// but the language.
import { Numbers, type Automaton } from './automaton.ts'
import type { Accept, Dfa } from './dfa.ts'

/** State 0 is the dead state. `objects[i]` is the former number of object i; object 0 is still 0. */
export interface Numbered {
  readonly automaton: Automaton
  readonly accepts: readonly Accept[]
  readonly objects: readonly number[]
}

export function renumber(dfa: Dfa): Numbered {
  const order = breadthFirst(dfa.automaton)
  const number = new Int32Array(dfa.automaton.states).fill(-1)
  // Where the automaton has no dead state, -1 stands for a new one: docs/table.md wants cell 0 to be dead.
  for (const [i, state] of order.entries()) if (state >= 0) number[state] = i
  const accepts: Accept[] = [{ object: 0, subject: 0 }]
  const objects: number[] = [0]
  const objectNumber = new Map<number, number>([[0, 0]])
  const acceptNumber = new Map<number, number>([[0, 0]])
  const accept = new Int32Array(order.length)
  for (const [i, state] of order.entries()) {
    if (state < 0) continue
    const old = dfa.automaton.accept[state]!
    if (!acceptNumber.has(old)) {
      const { object, subject } = dfa.accepts[old]!
      if (!objectNumber.has(object)) objectNumber.set(object, objects.push(object) - 1)
      acceptNumber.set(old, accepts.push({ object: objectNumber.get(object)!, subject }) - 1)
    }
    accept[i] = acceptNumber.get(old)!
  }
  return { automaton: rewrite(dfa.automaton, order, number, accept), accepts, objects }
}

function rewrite(automaton: Automaton, order: readonly number[], number: Int32Array, accept: Int32Array): Automaton {
  const first = new Int32Array(order.length + 1)
  const fallback = new Int32Array(order.length)
  const edgeClass = new Numbers()
  const edgeTarget = new Numbers()
  for (const [i, state] of order.entries()) {
    if (state >= 0) {
      fallback[i] = number[automaton.fallback[state]!]!
      for (let e = automaton.first[state]!; e < automaton.first[state + 1]!; e++) {
        edgeClass.push(automaton.edgeClass[e]!)
        edgeTarget.push(number[automaton.edgeTarget[e]!]!)
      }
    }
    first[i + 1] = edgeClass.length
  }
  return {
    classes: automaton.classes,
    start: number[automaton.start]!,
    states: order.length,
    accept,
    fallback,
    first,
    edgeClass: Uint8Array.from(edgeClass.done()),
    edgeTarget: edgeTarget.done(),
  }
}

/** The dead state, or -1, then all states that the start leads to. */
function breadthFirst(automaton: Automaton): readonly number[] {
  const { states, start, first, edgeTarget, fallback, accept } = automaton
  const seen = new Uint8Array(states)
  const order: number[] = []
  const add = (state: number): void => {
    if (seen[state] === 1) return
    seen[state] = 1
    order.push(state)
  }
  let dead = -1
  for (let state = 0; state < states && dead < 0; state++) {
    if (accept[state] === 0 && fallback[state] === state && first[state] === first[state + 1]) dead = state
  }
  if (dead < 0) order.push(-1)
  else add(dead)
  add(start)
  for (let i = 0; i < order.length; i++) {
    const state = order[i]!
    if (state < 0) continue
    for (let e = first[state]!; e < first[state + 1]!; e++) add(edgeTarget[e]!)
    add(fallback[state]!)
  }
  return order
}
