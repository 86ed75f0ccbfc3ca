// SPDX-License-Identifier: Apache-2.0
// Breadth first over states that bytes lead between: what is found is found by a shortest way.

export interface Space<S> {
  /** Equal for equal states. */
  key(state: S): number | string
  /** Undefined where nothing can be found any more. */
  next(state: S, byte: number): S | undefined
  wanted(state: S): boolean
  /** True when enough was done, whatever was found. Absent: only the number of states is limited. */
  spent?(): boolean
}

export type Found = { readonly path: Uint8Array | undefined; readonly states: number } | { readonly exceeded: true }

/** The bytes that lead to a state that is wanted, if there is one. `bytes` are those to go by, one of each class. */
export function search<S>(start: S, space: Space<S>, bytes: readonly number[], limit: number): Found {
  const states = [start]
  const from = [-1]
  const by = [0]
  const seen = new Set<number | string>([space.key(start)])
  for (let i = 0; i < states.length; i++) {
    if (space.wanted(states[i]!)) return { path: pathTo(i, from, by), states: states.length }
    if (states.length > limit || space.spent?.() === true) return { exceeded: true }
    for (const byte of bytes) {
      const state = space.next(states[i]!, byte)
      if (state === undefined) continue
      const key = space.key(state)
      if (seen.has(key)) continue
      seen.add(key)
      states.push(state)
      from.push(i)
      by.push(byte)
    }
  }
  return { path: undefined, states: states.length }
}

function pathTo(last: number, from: readonly number[], by: readonly number[]): Uint8Array {
  const path: number[] = []
  for (let i = last; from[i]! >= 0; i = from[i]!) path.push(by[i]!)
  return Uint8Array.from(path.reverse())
}
