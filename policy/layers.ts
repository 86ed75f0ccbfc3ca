// SPDX-License-Identifier: Apache-2.0
// One automaton from patterns and a tree of literals.
//
// In layers, so that the common case stays linear: the *background* decides paths that have left every literal (patterns and names, times the
// areas of directories); it is minimised first. The trie of literals then lies on top of it: each node has the edges of the background state
// that its path leads to, except where the tree goes on. Trees have no cycles, so their states are folded bottom up in one pass.
import { Numbers, StateTable, step, type Automaton } from './automaton.ts'
import { merge } from './merge.ts'
import { minimise } from './minimise.ts'
import type { Objects } from './objects.ts'
import type { Globs } from './product.ts'
import type { Trie } from './trie.ts'

export interface Accept {
  readonly object: number
  readonly subject: number
}

/** Numbers of accepts; accept 0 is object 0, subject 0. */
export class Accepts {
  readonly list: Accept[] = [{ object: 0, subject: 0 }]
  /** By object, where the subject is 0: most. -1: none yet. */
  private readonly ofObject: number[] = [0]
  private readonly ids = new Map<number, number>()

  idOf(object: number, subject: number): number {
    return subject === 0 ? this.withoutSubject(object) : this.withSubject(object, subject)
  }

  private withoutSubject(object: number): number {
    while (this.ofObject.length <= object) this.ofObject.push(-1)
    if (this.ofObject[object]! < 0) this.ofObject[object] = this.list.push({ object, subject: 0 }) - 1
    return this.ofObject[object]!
  }

  private withSubject(object: number, subject: number): number {
    // Both are below 2^24.
    const key = object * 0x1000000 + subject
    let id = this.ids.get(key)
    if (id === undefined) {
      id = this.list.push({ object, subject }) - 1
      this.ids.set(key, id)
    }
    return id
  }
}

/** The minimal automaton of patterns and a tree; `background` is of both, and explored. */
export function layer(background: Background, trie: Trie, objects: Objects, accepts: Accepts): Automaton {
  const base = minimise(background.automaton(clauses => accepts.idOf(objects.objectOf(clauses), objects.subjectOf(clauses))))
  const table = new StateTable(base.automaton.classes, base.automaton.states + trie.nodes, base.automaton.states)
  for (let state = 0; state < base.automaton.states; state++) copyState(base.automaton, state, table)
  const start = layTrie(trie, { base, background, objects, accepts, table })
  return table.automaton(start)
}

/** States that are an area (trie.ts) and a state of the patterns, found from those that the paths of the tree lead to. */
export class Background {
  /** For each node of the tree the state that its path leads to. */
  readonly ofNode: Int32Array
  private readonly globs: Automaton
  private readonly sets: readonly (readonly number[])[]
  private readonly trie: Trie
  private readonly slash: number
  private readonly ids = new Map<number, number>()
  private readonly area = new Numbers()
  private readonly glob = new Numbers()
  private readonly combined = new Map<number, readonly number[]>()

  constructor(globs: Globs, trie: Trie, slash: number) {
    this.globs = globs.automaton
    this.sets = globs.sets
    this.trie = trie
    this.slash = slash
    this.ofNode = new Int32Array(trie.nodes)
  }

  get states(): number {
    return this.area.length
  }

  /** False when there are more than `limit` states. */
  explore(limit: number): boolean {
    const { trie, globs } = this
    this.ofNode[0] = this.stateOf(trie.area[0]!, globs.start)
    for (let node = 1; node < trie.nodes; node++) {
      const above = this.ofNode[trie.parent[node]!]!
      const glob = step(globs, this.glob.values[above]!, trie.class[node]!)
      const same = this.area.values[above] === trie.area[node] && this.glob.values[above] === glob
      this.ofNode[node] = same ? above : this.stateOf(trie.area[node]!, glob)
    }
    for (let state = 0; state < this.area.length; state++) {
      if (this.area.length > limit) return false
      this.visit(state, () => undefined)
    }
    return true
  }

  private stateOf(area: number, glob: number): number {
    const key = area * this.globs.states + glob
    let state = this.ids.get(key)
    if (state === undefined) {
      state = this.area.length
      this.ids.set(key, state)
      this.area.push(area)
      this.glob.push(glob)
    }
    return state
  }

  /** Calls `edge` for each edge that may differ from the default, by ascending class; returns the default. */
  private visit(state: number, edge: (c: number, target: number) => void): number {
    const { globs, slash } = this
    const area = this.area.values[state]!
    const glob = this.glob.values[state]!
    const afterSlash = this.stateOf(this.trie.areas[area]!.slash, step(globs, glob, slash))
    let slashDone = false
    for (let e = globs.first[glob]!; e < globs.first[glob + 1]!; e++) {
      const c = globs.edgeClass[e]!
      if (c >= slash && !slashDone) {
        edge(slash, afterSlash)
        slashDone = true
      }
      if (c !== slash) edge(c, this.stateOf(area, globs.edgeTarget[e]!))
    }
    if (!slashDone) edge(slash, afterSlash)
    return this.stateOf(area, globs.fallback[glob]!)
  }

  automaton(acceptOf: (clauses: readonly number[]) => number): Automaton {
    const first = new Numbers()
    const [edgeClass, edgeTarget, fallback, accept] = [new Numbers(), new Numbers(), new Numbers(), new Numbers()]
    for (let state = 0; state < this.area.length; state++) {
      first.push(edgeClass.length)
      const edges: [number, number][] = []
      const target = this.visit(state, (c, to) => edges.push([c, to]))
      for (const [c, to] of edges) {
        if (to === target) continue
        edgeClass.push(c)
        edgeTarget.push(to)
      }
      fallback.push(target)
      accept.push(acceptOf(this.clausesOf(state)))
    }
    first.push(edgeClass.length)
    return {
      classes: this.globs.classes,
      start: 0,
      states: this.area.length,
      accept: accept.done(),
      fallback: fallback.done(),
      first: first.done(),
      edgeClass: new Uint8Array(edgeClass.done()),
      edgeTarget: edgeTarget.done(),
    }
  }

  clausesOf(state: number): readonly number[] {
    const area = this.area.values[state]!
    const accept = this.globs.accept[this.glob.values[state]!]!
    const key = area * this.sets.length + accept
    let clauses = this.combined.get(key)
    if (clauses === undefined) {
      clauses = merge(this.trie.areas[area]!.clauses, this.sets[accept]!)
      this.combined.set(key, clauses)
    }
    return clauses
  }
}

function copyState(from: Automaton, state: number, table: StateTable): void {
  for (let e = from.first[state]!; e < from.first[state + 1]!; e++) table.edge(from.edgeClass[e]!, from.edgeTarget[e]!)
  table.finish(from.accept[state]!, from.fallback[state]!)
}

interface Ground {
  readonly base: { readonly automaton: Automaton; readonly map: Int32Array }
  readonly background: Background
  readonly objects: Objects
  readonly accepts: Accepts
  readonly table: StateTable
}

/** Adds the states of the tree, leaves first, to a table that holds those of the background. Returns the state of the root. */
function layTrie(trie: Trie, ground: Ground): number {
  const { base, table } = ground
  const { first, edgeClass, edgeTarget, fallback } = base.automaton
  const under = ground.background.ofNode.map(state => base.map[state]!)
  const accept = acceptsOf(trie, under, ground)
  const only = uniqueNodes(trie, accept, ground)
  const state = new Int32Array(trie.nodes)
  const child = new Int32Array(trie.nodes).fill(-1)
  const sibling = new Int32Array(trie.nodes).fill(-1)
  for (let node = trie.nodes - 1; node >= 0; node--) {
    const below = under[node]!
    let next = child[node]!
    for (let e = first[below]!; e < first[below + 1]!; e++) {
      const c = edgeClass[e]!
      for (; next >= 0 && trie.class[next]! < c; next = sibling[next]!) table.edge(trie.class[next]!, state[next]!)
      if (next >= 0 && trie.class[next] === c) {
        table.edge(c, state[next]!)
        next = sibling[next]!
      } else table.edge(c, edgeTarget[e]!)
    }
    for (; next >= 0; next = sibling[next]!) table.edge(trie.class[next]!, state[next]!)
    state[node] = only[node] === 1 ? table.add(accept[node]!, fallback[below]!) : table.finish(accept[node]!, fallback[below]!)
    if (node > 0) {
      sibling[node] = child[trie.parent[node]!]!
      child[trie.parent[node]!] = node
    }
  }
  return state[0]!
}

/** The accept of each node. */
function acceptsOf(trie: Trie, under: Int32Array, { base, background, objects, accepts }: Ground): Int32Array {
  return under.map((below, node) => {
    const alone = base.automaton.accept[below]!
    if (trie.leaf[node]! < 0) return alone
    const leaf = trie.leaves[trie.leaf[node]!]!
    if (leaf.exact.length === 0) return leaf.subject === 0 ? alone : accepts.idOf(accepts.list[alone]!.object, leaf.subject)
    const clauses = merge(leaf.exact, background.clausesOf(background.ofNode[node]!))
    return accepts.idOf(objects.objectOf(clauses), leaf.subject === 0 ? objects.subjectOf(clauses) : leaf.subject)
  })
}

/**
 * 1 for the nodes whose state equals no other one, and need not be looked for: those with an accept that no other has, and all that lead to
 * them. Where each path has a rule of its own, that is the whole tree.
 */
function uniqueNodes(trie: Trie, accept: Int32Array, { base, accepts }: Ground): Uint8Array {
  const uses = new Int32Array(accepts.list.length)
  for (const each of base.automaton.accept) uses[each]!++
  for (const each of accept) uses[each]!++
  const only = new Uint8Array(trie.nodes)
  for (let node = trie.nodes - 1; node >= 0; node--) {
    if (uses[accept[node]!] === 1) only[node] = 1
    if (only[node] === 1 && node > 0) only[trie.parent[node]!] = 1
  }
  return only
}
