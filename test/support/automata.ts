// SPDX-License-Identifier: Apache-2.0
// Random automata, for the steps of the compiler that know nothing of paths.
import fc from 'fast-check'
import { Numbers, type Automaton } from '../../policy/automaton.ts'

export interface AutomatonOptions {
  /** At most. */
  readonly states: number
  readonly classes: number
  readonly accepts: number
  /** State 0 is the dead state. */
  readonly dead?: boolean
  /** One or two edges in most states. */
  readonly sparse?: boolean
}

/** From a full table of transitions, state by state, each row with its most frequent target as default. */
export function automatonOf(rows: readonly (readonly number[])[], accept: readonly number[]): Automaton {
  const fallback: number[] = []
  const first: number[] = [0]
  const edgeClass = new Numbers()
  const edgeTarget = new Numbers()
  for (const row of rows) {
    const counts = new Map<number, number>()
    for (const target of row) counts.set(target, (counts.get(target) ?? 0) + 1)
    const [best] = [...counts].sort((a, b) => b[1] - a[1] || a[0] - b[0])
    for (const [c, target] of row.entries()) {
      if (target === best![0]) continue
      edgeClass.push(c)
      edgeTarget.push(target)
    }
    fallback.push(best![0])
    first.push(edgeClass.length)
  }
  return {
    classes: rows[0]!.length,
    start: rows.length - 1,
    states: rows.length,
    accept: Int32Array.from(accept),
    fallback: Int32Array.from(fallback),
    first: Int32Array.from(first),
    edgeClass: new Uint8Array(edgeClass.done()),
    edgeTarget: edgeTarget.done(),
  }
}

export function randomAutomaton(options: AutomatonOptions): fc.Arbitrary<Automaton> {
  const { classes, accepts } = options
  return fc.integer({ min: 1, max: options.states }).chain(states => {
    const target = fc.nat(states - 1)
    const full = fc.array(target, { minLength: classes, maxLength: classes })
    const few = fc.tuple(target, fc.array(fc.tuple(fc.nat(classes - 1), target), { maxLength: 2 })).map(([base, edges]) => {
      const row = Array.from({ length: classes }, () => base)
      for (const [c, to] of edges) row[c] = to
      return row
    })
    const row = options.sparse === true ? fc.oneof({ weight: 9, arbitrary: few }, { weight: 1, arbitrary: full }) : fc.oneof(few, full)
    return fc
      .tuple(fc.array(row, { minLength: states, maxLength: states }), fc.array(fc.nat(accepts - 1), { minLength: states, maxLength: states }))
      .map(([rows, accept]) => {
        if (options.dead !== true) return automatonOf(rows, accept)
        const dead = Array.from({ length: classes }, () => 0)
        return automatonOf([dead, ...rows.slice(1)], [0, ...accept.slice(1)])
      })
  })
}
