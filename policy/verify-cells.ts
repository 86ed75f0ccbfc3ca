// SPDX-License-Identifier: Apache-2.0
// Verification of the automaton's cells (docs/table.md, "Verification", 4).
import { CELL } from './table.ts'

/** Nothing lies outside the cells. */
export function isState(cells: Uint32Array, cell: number): boolean {
  const word = cells[cell]
  return word !== undefined && word >= CELL.state && word <= CELL.absorbing + CELL.fallback
}

/**
 * Stricter than reachability and linear: every cell is a state, the accept of the state before it, an edge of a state, or empty, and every target is a
 * state. Then whatever a reader gets to is a state, and an edge of the class that it looks for is that state's: no other has one there.
 */
export function cellsProblem(cells: Uint32Array, classes: number, accepts: number): string | undefined {
  const hasEdges = new Uint8Array(cells.length)
  for (let cell = 0; cell < cells.length; cell++) {
    const word = cells[cell]!
    const c = word >>> CELL.classShift
    if (c > 0) {
      const owner = cell - 1 - c
      if (c > classes || !isState(cells, owner)) return `Cell ${cell} is an edge of ${owner}, which cannot be`
      if (!isState(cells, word & CELL.target)) return `Cell ${cell} leads to ${word & CELL.target}, which is no state`
      hasEdges[owner] = 1
    } else if (word >= CELL.state) {
      if (!isState(cells, word & CELL.fallback)) return `Cell ${cell} leads to ${word & CELL.fallback}, which is no state`
      if (cell + 1 + classes >= cells.length) return `State ${cell} has edges outside the cells`
    } else if (word !== 0 && !(isState(cells, cell - 1) && cells[cell - 1]! >= CELL.accepting)) return `Cell ${cell} belongs to nobody and is not zero`
  }
  return statesProblem(cells, hasEdges, accepts)
}

function statesProblem(cells: Uint32Array, hasEdges: Uint8Array, accepts: number): string | undefined {
  for (let cell = 0; cell < cells.length; cell++) {
    if (!isState(cells, cell)) continue
    const word = cells[cell]!
    const absorbing = (word & CELL.fallback) === cell && hasEdges[cell] === 0
    if (absorbing !== word >= CELL.absorbing) return `State ${cell} is ${absorbing ? '' : 'not '}absorbing and says otherwise`
    if (word >= CELL.accepting && cells[cell + 1]! >= accepts) return `State ${cell} has accept ${cells[cell + 1]}, and there are ${accepts}`
  }
  return cells[0] === CELL.absorbing && cells[1] === 0 ? undefined : 'Cell 0 is not the dead state'
}
