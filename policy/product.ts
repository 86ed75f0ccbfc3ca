// SPDX-License-Identifier: Apache-2.0
// Two automata run side by side, as one: how patterns of different groups come to share an automaton.
import { Numbers, type Automaton } from './automaton.ts'
import { merge } from './merge.ts'
import type { Meter } from './meter.ts'
import { minimise } from './minimise.ts'

/** A minimal automaton of patterns. `sets[accept]`: the clauses that match in a state, ascending; `sets[0]` is empty. */
export interface Globs {
  readonly automaton: Automaton
  readonly sets: readonly (readonly number[])[]
}

/** What making and later minimising a state costs beside a step of the subset construction. */
export const STEPS_OF_A_PAIR = 32

/** What accepts nothing. */
export function emptyGlobs(classes: number): Globs {
  const zero = Int32Array.of(0)
  const automaton = { classes, start: 0, states: 1, accept: zero, fallback: zero, first: Int32Array.of(0, 0), edgeClass: new Uint8Array(0), edgeTarget: new Int32Array(0) }
  return { automaton, sets: [[]] }
}

/** Both at once, minimal, or undefined where that has more than `limit` states before minimising, or takes more work than `meter` allows. */
export function product(a: Globs, b: Globs, limit: number, meter?: Meter): Globs | undefined {
  const pairs = new Pairs(a.automaton, b.automaton)
  return pairs.explore(limit, meter) ? pairs.globs(a, b) : undefined
}

class Pairs {
  private readonly a: Automaton
  private readonly b: Automaton
  private readonly ids = new Map<number, number>()
  private readonly left = new Numbers()
  private readonly right = new Numbers()
  private readonly fallback = new Numbers()
  private readonly first = new Numbers()
  private readonly edgeClass = new Numbers()
  private readonly edgeTarget = new Numbers()

  constructor(a: Automaton, b: Automaton) {
    this.a = a
    this.b = b
    this.stateOf(a.start, b.start)
  }

  explore(limit: number, meter?: Meter): boolean {
    for (let state = 0; state < this.left.length; state++) {
      if (this.left.length > limit || meter?.spend(STEPS_OF_A_PAIR) === false) return false
      this.visit(this.left.values[state]!, this.right.values[state]!)
    }
    return true
  }

  private stateOf(left: number, right: number): number {
    const key = left * this.b.states + right
    let state = this.ids.get(key)
    if (state === undefined) {
      state = this.left.length
      this.ids.set(key, state)
      this.left.push(left)
      this.right.push(right)
    }
    return state
  }

  /** An edge for every class in which either has one, where it differs from the two defaults. */
  private visit(left: number, right: number): void {
    const { a, b } = this
    this.first.push(this.edgeClass.length)
    const fallback = this.stateOf(a.fallback[left]!, b.fallback[right]!)
    const [leftEnd, rightEnd] = [a.first[left + 1]!, b.first[right + 1]!]
    let i = a.first[left]!
    let j = b.first[right]!
    while (i < leftEnd || j < rightEnd) {
      const own = i < leftEnd ? a.edgeClass[i]! : Infinity
      const other = j < rightEnd ? b.edgeClass[j]! : Infinity
      const target = this.stateOf(own <= other ? a.edgeTarget[i++]! : a.fallback[left]!, other <= own ? b.edgeTarget[j++]! : b.fallback[right]!)
      if (target === fallback) continue
      this.edgeClass.push(Math.min(own, other))
      this.edgeTarget.push(target)
    }
    this.fallback.push(fallback)
  }

  globs(a: Globs, b: Globs): Globs {
    this.first.push(this.edgeClass.length)
    const sets: (readonly number[])[] = [[]]
    const ids = new Map<number, number>([[0, 0]])
    const accept = new Int32Array(this.left.length)
    for (let state = 0; state < accept.length; state++) {
      const [x, y] = [a.automaton.accept[this.left.values[state]!]!, b.automaton.accept[this.right.values[state]!]!]
      const key = x * b.sets.length + y
      let id = ids.get(key)
      if (id === undefined) {
        id = sets.push(merge(a.sets[x]!, b.sets[y]!)) - 1
        ids.set(key, id)
      }
      accept[state] = id
    }
    const automaton = {
      classes: this.a.classes,
      start: 0,
      states: accept.length,
      accept,
      fallback: this.fallback.done(),
      first: this.first.done(),
      edgeClass: new Uint8Array(this.edgeClass.done()),
      edgeTarget: this.edgeTarget.done(),
    }
    return { automaton: minimise(automaton).automaton, sets }
  }
}
