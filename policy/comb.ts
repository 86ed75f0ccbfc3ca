// SPDX-License-Identifier: Apache-2.0
// Comb compression: the edges of different states interleave in one array of cells (docs/table.md, "Cells").
import type { Automaton } from './automaton.ts'
import { CELL } from './table.ts'

/** `words[i]` is cell i. `place[s]` is the state's number in the table. `probes`: words of the map that were looked at: the work of packing. */
export interface Comb {
  readonly cells: number
  readonly words: Int32Array
  readonly place: Int32Array
  readonly probes: number
}

/** State 0 of the automaton must be the dead state. */
export function makeComb(automaton: Automaton): Comb {
  const placement = new Placement(automaton)
  const place = placement.run()
  let cells = 0
  for (const at of place) cells = Math.max(cells, at + automaton.classes + 2)
  const words = new Int32Array(cells)
  const { first, edgeClass, edgeTarget, fallback, accept, states } = automaton
  for (let state = 0; state < states; state++) {
    const at = place[state]!
    const absorbing = isAbsorbing(automaton, state)
    words[at] = place[fallback[state]!]! | (absorbing ? CELL.absorbing : accept[state]! > 0 ? CELL.accepting : CELL.state)
    if (accept[state]! > 0) words[at + 1] = accept[state]!
    for (let e = first[state]!; e < first[state + 1]!; e++) words[at + 2 + edgeClass[e]!] = place[edgeTarget[e]!]! | ((edgeClass[e]! + 1) << CELL.classShift)
  }
  return { cells, words, place, probes: placement.probes }
}

/** Nothing leads out of it. */
function isAbsorbing({ first, fallback }: Automaton, state: number): boolean {
  return fallback[state] === state && first[state] === first[state + 1]
}

/** A search over so many words of the map without a place to be found is not begun there again. */
const PATIENCE = 64

/**
 * First fit on a bit map of the cells, 32 candidates at a time: states that need many cells first, the small ones fill what is left. A state
 * needs its own cell, the next one for its accept, and one for each edge: `needs` beside its own.
 */
class Placement {
  probes = 0
  private readonly automaton: Automaton
  private free = new Uint32Array(1024).fill(0xffffffff)
  private readonly place: Int32Array
  private readonly hasAccept: Uint8Array
  /** The word where the search begins, by number of needs; for a single one by where it is, there skipping is exact. */
  private readonly cursors: Int32Array
  private readonly offsets: Int32Array

  constructor(automaton: Automaton) {
    this.automaton = automaton
    this.place = new Int32Array(automaton.states)
    this.hasAccept = new Uint8Array(automaton.states)
    for (let state = 0; state < automaton.states; state++) if (automaton.accept[state]! > 0 || isAbsorbing(automaton, state)) this.hasAccept[state] = 1
    this.cursors = new Int32Array((automaton.classes + 2) * 2)
    this.offsets = new Int32Array(automaton.classes + 1)
  }

  run(): Int32Array {
    this.put(0, 0)
    for (const state of this.bySize()) if (state !== 0) this.put(state, this.find(state))
    return this.place
  }

  private needs(state: number): number {
    return this.automaton.first[state + 1]! - this.automaton.first[state]! + this.hasAccept[state]!
  }

  /** By falling number of needs, then by number: a counting sort. */
  private bySize(): Int32Array {
    const { states, classes } = this.automaton
    const most = classes + 1
    const at = new Int32Array(most + 2)
    for (let state = 0; state < states; state++) at[most - this.needs(state) + 1]!++
    for (let i = 0; i <= most; i++) at[i + 1]! += at[i]!
    const order = new Int32Array(states)
    for (let state = 0; state < states; state++) order[at[most - this.needs(state)]!++] = state
    return order
  }

  private find(state: number): number {
    const needs = this.needs(state)
    if (needs === 0) return this.findFirst(0, 0)
    const { first, edgeClass, classes } = this.automaton
    if (needs === 1) return this.hasAccept[state] === 1 ? this.findFirst(1, 1) : this.findFirst(edgeClass[first[state]!]! + 2, edgeClass[first[state]!]! + 2)
    const { offsets } = this
    let count = 0
    if (this.hasAccept[state] === 1) offsets[count++] = 1
    for (let e = first[state]!; e < first[state + 1]!; e++) offsets[count++] = edgeClass[e]! + 2
    const kind = classes + 2 + needs
    const begin = this.cursors[kind]!
    for (let word = begin; ; word++) {
      this.probes++
      this.reserve((word + 2) * 32 + classes + 2)
      let candidates = this.free[word]!
      for (let i = 0; i < count && candidates !== 0; i++) candidates &= this.window(word * 32 + offsets[i]!)
      if (candidates === 0) continue
      if (word - begin > PATIENCE) this.cursors[kind] = begin + ((word - begin) >> 1)
      return word * 32 + lowest(candidates)
    }
  }

  /** For a state that needs its own cell and the one at `offset`, which most do. */
  private findFirst(offset: number, kind: number): number {
    for (let word = this.cursors[kind]!; ; word++) {
      this.probes++
      this.reserve((word + 2) * 32 + offset)
      const candidates = this.free[word]! & this.window(word * 32 + offset)
      if (candidates === 0) continue
      this.cursors[kind] = word
      return word * 32 + lowest(candidates)
    }
  }

  /** 32 bits of the map from any cell on. */
  private window(cell: number): number {
    const shift = cell & 31
    const low = this.free[cell >> 5]!
    return shift === 0 ? low : (low >>> shift) | (this.free[(cell >> 5) + 1]! << (32 - shift))
  }

  private put(state: number, at: number): void {
    const { first, edgeClass, classes } = this.automaton
    this.reserve(at + classes + 64)
    this.place[state] = at
    this.take(at)
    if (this.hasAccept[state] === 1) this.take(at + 1)
    for (let e = first[state]!; e < first[state + 1]!; e++) this.take(at + 2 + edgeClass[e]!)
  }

  private take(cell: number): void {
    this.free[cell >> 5]! &= ~(1 << (cell & 31))
  }

  private reserve(cells: number): void {
    if (cells < this.free.length * 32) return
    const grown = new Uint32Array(this.free.length * 2).fill(0xffffffff)
    grown.set(this.free)
    this.free = grown
    this.reserve(cells)
  }
}

function lowest(bits: number): number {
  return 31 - Math.clz32(bits & -bits)
}

/** `merlon compile --dump=comb`. */
export function dumpComb(comb: Comb): string {
  const lines: string[] = []
  for (let cell = 0; cell < comb.cells; cell++) {
    const word = comb.words[cell]! >>> 0
    const c = word >>> CELL.classShift
    if (c > 0) lines.push(`${cell}: edge of ${cell - 1 - c}, class ${c - 1} ->${word & CELL.target}`)
    else if (word >= CELL.state) lines.push(`${cell}: state accept ${acceptAt(comb.words, cell)}${word >= CELL.absorbing ? ' absorbing' : ''} else->${word & CELL.fallback}`)
  }
  return lines.join('\n') + '\n'
}

function acceptAt(words: Int32Array, cell: number): number {
  return words[cell]! >= CELL.accepting ? words[cell + 1]! : 0
}
