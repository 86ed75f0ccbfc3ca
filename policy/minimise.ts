// SPDX-License-Identifier: Apache-2.0
// Minimisation by partition refinement: states are split by what their edges lead to, and of every split the largest part keeps its
// name, so that only states with an edge into the smaller parts are looked at again (n log n, as Hopcroft's).
import { StateTable, type Automaton } from './automaton.ts'

/** `map[s]` is the state of the minimal automaton that does what state s did. All states of the input are taken as reachable. */
export interface Minimal {
  readonly automaton: Automaton
  readonly map: Int32Array
}

export function minimise(automaton: Automaton): Minimal {
  const partition = new Partition(automaton)
  partition.refine()
  return partition.result()
}

class Partition {
  private readonly automaton: Automaton
  private readonly classOf: Int32Array
  /** States class by class; within a class those that have to be looked at again come first. */
  private readonly order: Int32Array
  private readonly place: Int32Array
  private readonly start: number[] = []
  private readonly end: number[] = []
  private readonly dirty: number[] = []
  private readonly queue: number[] = []
  private readonly queued: boolean[] = []
  private readonly inverse: { readonly first: Int32Array; readonly source: Int32Array }
  private readonly signatures: StateTable

  constructor(automaton: Automaton) {
    this.automaton = automaton
    this.classOf = new Int32Array(automaton.states)
    this.order = new Int32Array(automaton.states)
    this.place = new Int32Array(automaton.states)
    this.inverse = invert(automaton)
    this.signatures = new StateTable(automaton.classes, automaton.states)
    this.splitByAccept()
  }

  private splitByAccept(): void {
    const members = new Map<number, number[]>()
    for (let state = 0; state < this.automaton.states; state++) {
      const accept = this.automaton.accept[state]!
      const list = members.get(accept)
      if (list === undefined) members.set(accept, [state])
      else list.push(state)
    }
    let at = 0
    for (const states of members.values()) {
      const id = this.addClass(at, at + states.length, states.length)
      for (const state of states) this.put(state, at++, id)
      this.enqueue(id)
    }
  }

  private addClass(start: number, end: number, dirty: number): number {
    this.start.push(start)
    this.end.push(end)
    this.dirty.push(dirty)
    this.queued.push(false)
    return this.start.length - 1
  }

  private put(state: number, at: number, id: number): void {
    this.order[at] = state
    this.place[state] = at
    this.classOf[state] = id
  }

  private enqueue(id: number): void {
    if (this.queued[id]) return
    this.queued[id] = true
    this.queue.push(id)
  }

  refine(): void {
    for (let id = this.queue.pop(); id !== undefined; id = this.queue.pop()) {
      this.queued[id] = false
      if (this.end[id]! - this.start[id]! > 1) this.split(id)
      else this.dirty[id] = 0
    }
  }

  private split(id: number): void {
    const [start, end] = [this.start[id]!, this.end[id]!]
    const clean = start + this.dirty[id]!
    this.dirty[id] = 0
    // The others of the class all look like this one: nothing that they lead to has changed.
    const others = clean < end ? this.signature(this.order[clean]!) : -1
    const groups = this.groupBySignature(start, clean)
    if (others >= 0 && !groups.has(others)) groups.set(others, [])
    if (groups.size === 1) return
    const sizeOf = (signature: number): number => groups.get(signature)!.length + (signature === others ? end - clean : 0)
    let keep = -1
    for (const signature of groups.keys()) if (keep < 0 || sizeOf(signature) > sizeOf(keep)) keep = signature
    if (others >= 0 && keep !== others) for (let at = clean; at < end; at++) groups.get(others)!.push(this.order[at]!)
    this.moveOut(id, groups, keep)
  }

  private groupBySignature(start: number, end: number): Map<number, number[]> {
    const groups = new Map<number, number[]>()
    for (let at = start; at < end; at++) {
      const state = this.order[at]!
      const signature = this.signature(state)
      const list = groups.get(signature)
      if (list === undefined) groups.set(signature, [state])
      else list.push(state)
    }
    return groups
  }

  /** Gives every group but `keep` a class of its own, at the front of the old class's places. */
  private moveOut(id: number, groups: ReadonlyMap<number, readonly number[]>, keep: number): void {
    let at = this.start[id]!
    const moved: (readonly number[])[] = []
    for (const [signature, states] of groups) {
      if (signature === keep) continue
      const own = this.addClass(at, at + states.length, 0)
      for (const state of states) this.put(state, at++, own)
      moved.push(states)
    }
    this.start[id] = at
    for (const state of groups.get(keep)!) this.put(state, at++, id)
    for (const states of moved) for (const state of states) this.markSources(state)
  }

  private markSources(target: number): void {
    const end = this.inverse.first[target + 1]!
    for (let i = this.inverse.first[target]!; i < end; i++) {
      const state = this.inverse.source[i]!
      const id = this.classOf[state]!
      const front = this.start[id]! + this.dirty[id]!
      if (this.place[state]! < front) continue
      const other = this.order[front]!
      this.put(other, this.place[state]!, id)
      this.put(state, front, id)
      this.dirty[id]!++
      this.enqueue(id)
    }
  }

  /** A number that two states of a class share exactly when their edges lead to the same classes. */
  private signature(state: number): number {
    const { first, edgeClass, edgeTarget, fallback } = this.automaton
    for (let e = first[state]!; e < first[state + 1]!; e++) this.signatures.edge(edgeClass[e]!, this.classOf[edgeTarget[e]!]!)
    return this.signatures.finish(0, this.classOf[fallback[state]!]!)
  }

  result(): Minimal {
    const { automaton } = this
    const table = new StateTable(automaton.classes, this.start.length, 0)
    // Classes in the order of their first state: the numbering of the result does not depend on the order of splits.
    const number = new Int32Array(this.start.length).fill(-1)
    const first: number[] = []
    for (let state = 0; state < automaton.states; state++) {
      const id = this.classOf[state]!
      if (number[id] === -1) number[id] = first.push(state) - 1
    }
    for (const state of first) {
      for (let e = automaton.first[state]!; e < automaton.first[state + 1]!; e++) {
        table.edge(automaton.edgeClass[e]!, number[this.classOf[automaton.edgeTarget[e]!]!]!)
      }
      // No two classes do the same.
      table.add(automaton.accept[state]!, number[this.classOf[automaton.fallback[state]!]!]!)
    }
    const map = Int32Array.from(this.classOf, id => number[id]!)
    return { automaton: table.automaton(map[automaton.start]!), map }
  }
}

/** For each state the states with an edge or a default to it. */
function invert(automaton: Automaton): { readonly first: Int32Array; readonly source: Int32Array } {
  const { states, fallback, edgeTarget, first } = automaton
  const begin = new Int32Array(states + 1)
  for (const target of fallback) begin[target + 1]!++
  for (const target of edgeTarget) begin[target + 1]!++
  for (let i = 0; i < states; i++) begin[i + 1]! += begin[i]!
  const source = new Int32Array(begin[states]!)
  const at = begin.slice()
  for (let state = 0; state < states; state++) {
    source[at[fallback[state]!]!++] = state
    for (let e = first[state]!; e < first[state + 1]!; e++) source[at[edgeTarget[e]!]!++] = state
  }
  return { first: begin, source }
}
