// SPDX-License-Identifier: Apache-2.0
// Steps of the automaton in the cells of a table that was verified: docs/table.md, "Cells".
import { CELL } from './table.ts'

/** The state after a byte of class `c`, as class_of numbers them. `base`: where the cells begin in `words`. */
export function nextState(words: Uint32Array, base: number, state: number, c: number): number {
  const edge = words[base + state + 1 + c]!
  return edge >>> CELL.classShift === c ? edge & CELL.target : words[base + state]! & CELL.fallback
}

/** The accept of a path that ends in a state. */
export function acceptAt(words: Uint32Array, base: number, state: number): number {
  return words[base + state]! >= CELL.accepting ? words[base + state + 1]! : 0
}
