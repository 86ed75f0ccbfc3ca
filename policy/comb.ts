// SPDX-License-Identifier: Apache-2.0
// Comb compression: the edges of different states interleave in one array of cells (docs/table.md, "Cells").
import type { Automaton } from './automaton.ts'
import { INFO } from './table.ts'

/** `words`: next and check of each cell. `place[s]` is the state's number in the table. */
export interface Comb {
  readonly cells: number
  readonly words: Int32Array
  readonly place: Int32Array
}

/** State 0 of the automaton must be the dead state. */
export function makeComb(automaton: Automaton): Comb {
  const place = new Placement(automaton).run()
  let cells = 0
  for (const at of place) cells = Math.max(cells, at + automaton.classes + 1)
  const words = new Int32Array(cells * 2)
  const { first, edgeClass, edgeTarget, fallback, accept, states } = automaton
  for (let state = 0; state < states; state++) {
    const at = place[state]!
    const absorbing = fallback[state] === state && first[state] === first[state + 1]
    words[at * 2] = place[fallback[state]!]!
    words[at * 2 + 1] = INFO.mark | accept[state]! | (absorbing ? INFO.absorbing : 0)
    for (let e = first[state]!; e < first[state + 1]!; e++) {
      const cell = at + 1 + edgeClass[e]!
      words[cell * 2] = place[edgeTarget[e]!]!
      words[cell * 2 + 1] = at
    }
  }
  return { cells, words, place }
}

/** A search over so many words of the map without a place to be found is not begun there again. */
const PATIENCE = 64

/** First fit on a bit map of the cells, 32 candidates at a time: states with many edges first, the small ones fill what is left. */
class Placement {
  private readonly automaton: Automaton
  private free = new Uint32Array(1024).fill(0xffffffff)
  private readonly place: Int32Array
  /** The word where the search begins, by number of edges; for a single edge by its class, where skipping is exact. */
  private readonly cursors: Int32Array

  constructor(automaton: Automaton) {
    this.automaton = automaton
    this.place = new Int32Array(automaton.states)
    this.cursors = new Int32Array(automaton.classes * 2 + 1)
  }

  run(): Int32Array {
    this.put(0, 0)
    for (const state of this.bySize()) if (state !== 0) this.put(state, this.find(state))
    return this.place
  }

  private sizeOf(state: number): number {
    return this.automaton.first[state + 1]! - this.automaton.first[state]!
  }

  /** By falling number of edges, then by number: a counting sort. */
  private bySize(): Int32Array {
    const { states, classes } = this.automaton
    const at = new Int32Array(classes + 2)
    for (let state = 0; state < states; state++) at[classes - this.sizeOf(state) + 1]!++
    for (let i = 0; i <= classes; i++) at[i + 1]! += at[i]!
    const order = new Int32Array(states)
    for (let state = 0; state < states; state++) order[at[classes - this.sizeOf(state)]!++] = state
    return order
  }

  private find(state: number): number {
    const { first, edgeClass, classes } = this.automaton
    const [from, to] = [first[state]!, first[state + 1]!]
    if (to - from === 1) return this.findForOne(edgeClass[from]!)
    const begin = this.cursors[to - from]!
    for (let word = begin; ; word++) {
      this.reserve((word + 2) * 32 + classes + 1)
      let candidates = this.free[word]!
      for (let e = from; e < to && candidates !== 0; e++) candidates &= this.window(word * 32 + 1 + edgeClass[e]!)
      if (candidates === 0) continue
      if (to === from) this.cursors[0] = word
      else if (word - begin > PATIENCE) this.cursors[to - from] = begin + ((word - begin) >> 1)
      return word * 32 + lowest(candidates)
    }
  }

  /** For a state with an edge of class `c` alone, which most are. */
  private findForOne(c: number): number {
    const kind = this.automaton.classes + c
    for (let word = this.cursors[kind]!; ; word++) {
      this.reserve((word + 2) * 32 + c + 1)
      const candidates = this.free[word]! & this.window(word * 32 + 1 + c)
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
    for (let e = first[state]!; e < first[state + 1]!; e++) this.take(at + 1 + edgeClass[e]!)
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
    const [next, check] = [comb.words[cell * 2]!, comb.words[cell * 2 + 1]!]
    if ((check & INFO.mark) !== 0) lines.push(`${cell}: state accept ${check & INFO.accept}${check < 0 ? ' absorbing' : ''} else->${next}`)
    else if (check !== 0) lines.push(`${cell}: edge of ${check}, class ${cell - check - 1} ->${next}`)
  }
  return lines.join('\n') + '\n'
}
