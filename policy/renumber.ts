// SPDX-License-Identifier: Apache-2.0
// The last step before the table: only what can be reached, numbered in the order in which it is met, so that the bytes depend on nothing
// but the language.
import type { Automaton } from './automaton.ts'
import type { Dfa } from './dfa.ts'
import type { Accept } from './layers.ts'

/** State 0 is the dead state. `objects[i]` is the former number of object i; object 0 is still 0. */
export interface Numbered {
  readonly automaton: Automaton
  readonly starts: readonly number[]
  /** The dead state where there is no automaton of keys. */
  readonly keyStart: number
  readonly accepts: readonly Accept[]
  readonly objects: readonly number[]
}

export function renumber(dfa: Dfa): Numbered {
  const { automaton } = dfa
  const order = breadthFirst(automaton, dfa.keyStart === undefined ? dfa.starts : [...dfa.starts, dfa.keyStart])
  const number = new Int32Array(automaton.states)
  // Where the automaton has no dead state, -1 stands for a new one: docs/table.md wants cell 0 to be dead.
  for (let i = 0; i < order.length; i++) if (order[i]! >= 0) number[order[i]!] = i
  const accepts: Accept[] = [{ object: 0, subject: 0 }]
  const objects: number[] = [0]
  const objectNumber = new Int32Array(dfa.accepts.reduce((most, { object }) => Math.max(most, object), 0) + 1).fill(-1)
  objectNumber[0] = 0
  const acceptNumber = new Int32Array(dfa.accepts.length).fill(-1)
  acceptNumber[0] = 0
  const accept = new Int32Array(order.length)
  for (let i = 0; i < order.length; i++) {
    const old = order[i]! < 0 ? 0 : automaton.accept[order[i]!]!
    if (acceptNumber[old] === -1) {
      const { object, subject } = dfa.accepts[old]!
      if (objectNumber[object]! < 0) objectNumber[object] = objects.push(object) - 1
      acceptNumber[old] = accepts.push({ object: objectNumber[object]!, subject }) - 1
    }
    accept[i] = acceptNumber[old]!
  }
  return { automaton: rewrite(automaton, order, number, accept), starts: dfa.starts.map(start => number[start]!), keyStart: dfa.keyStart === undefined ? 0 : number[dfa.keyStart]!, accepts, objects }
}

function rewrite(automaton: Automaton, order: Int32Array, number: Int32Array, accept: Int32Array): Automaton {
  const first = new Int32Array(order.length + 1)
  const fallback = new Int32Array(order.length)
  const edgeClass = new Uint8Array(automaton.edgeClass.length)
  const edgeTarget = new Int32Array(automaton.edgeTarget.length)
  let edges = 0
  for (let i = 0; i < order.length; i++) {
    const state = order[i]!
    if (state >= 0) {
      fallback[i] = number[automaton.fallback[state]!]!
      for (let e = automaton.first[state]!; e < automaton.first[state + 1]!; e++) {
        edgeClass[edges] = automaton.edgeClass[e]!
        edgeTarget[edges++] = number[automaton.edgeTarget[e]!]!
      }
    }
    first[i + 1] = edges
  }
  const start = number[automaton.start]!
  return { classes: automaton.classes, start, states: order.length, accept, fallback, first, edgeClass: edgeClass.subarray(0, edges), edgeTarget: edgeTarget.subarray(0, edges) }
}

/** The dead state, or -1, then all states that the starts lead to. */
function breadthFirst(automaton: Automaton, starts: readonly number[]): Int32Array {
  const { states, first, edgeTarget, fallback, accept } = automaton
  const seen = new Uint8Array(states)
  const order = new Int32Array(states + 1)
  let length = 0
  const add = (state: number): void => {
    if (seen[state] === 1) return
    seen[state] = 1
    order[length++] = state
  }
  let dead = -1
  for (let state = 0; state < states && dead < 0; state++) {
    if (accept[state] === 0 && fallback[state] === state && first[state] === first[state + 1]) dead = state
  }
  if (dead < 0) order[length++] = -1
  else add(dead)
  for (const start of starts) add(start)
  for (let i = 0; i < length; i++) {
    const state = order[i]!
    if (state < 0) continue
    for (let e = first[state]!; e < first[state + 1]!; e++) add(edgeTarget[e]!)
    add(fallback[state]!)
  }
  return order.subarray(0, length)
}
