// SPDX-License-Identifier: Apache-2.0
// Expressions to a deterministic automaton: a tree of positions that shares common beginnings, then the subset construction.
import { classesOf, type Alphabet } from './alphabet.ts'
import { type Automaton } from './automaton.ts'
import type { Expression, Item } from './expression.ts'

export interface Pattern {
  readonly expression: Expression
  /** 0-based index of the clause that it belongs to. */
  readonly clause: number
}

export interface SubsetLimits {
  readonly states: number
  /** Elementary steps: transitions looked at and positions collected. */
  readonly work: number
}

/** `sets[accept]`: ascending clauses that match in a state; `sets[0]` is empty. `culprits`: clauses, those that multiply states most first. */
export type SubsetResult =
  | { readonly ok: true; readonly automaton: Automaton; readonly sets: readonly (readonly number[])[] }
  | { readonly ok: false; readonly culprits: readonly number[] }

interface Position {
  readonly edges: { readonly classes: readonly number[]; readonly target: number }[]
  readonly empty: number[]
  readonly children: Map<string, number>
  readonly clauses: number[]
  /** The clause that brought the position in: for the blame only. */
  readonly owner: number
}

class PositionTree {
  readonly positions: Position[] = []
  private readonly alphabet: Alphabet
  private readonly closures: (readonly number[])[] = []
  private readonly classLists = new Map<string, readonly number[]>()

  constructor(alphabet: Alphabet) {
    this.alphabet = alphabet
    this.add(-1)
  }

  insert(pattern: Pattern): void {
    this.positions[this.sequence(0, pattern.expression, pattern.clause)]!.clauses.push(pattern.clause)
  }

  private add(owner: number): number {
    return this.positions.push({ edges: [], empty: [], children: new Map(), clauses: [], owner }) - 1
  }

  private sequence(from: number, expression: Expression, owner: number): number {
    return expression.reduce((at, item) => this.item(at, item, owner), from)
  }

  private item(from: number, item: Item, owner: number): number {
    const position = this.positions[from]!
    const shared = position.children.get(item.key)
    if (shared !== undefined) return shared
    const to = this.add(owner)
    position.children.set(item.key, to)
    if (item.kind === 'byte') position.edges.push({ classes: this.classList(item), target: to })
    else if (item.kind === 'star') {
      position.empty.push(to)
      this.positions[to]!.edges.push({ classes: this.classList(item), target: to })
    } else {
      for (const branch of item.branches) this.positions[this.sequence(from, branch, owner)]!.empty.push(to)
    }
    return to
  }

  private classList(item: Exclude<Item, { kind: 'either' }>): readonly number[] {
    let list = this.classLists.get(item.key)
    if (list === undefined) {
      list = classesOf(this.alphabet, item.set)
      this.classLists.set(item.key, list)
    }
    return list
  }

  /** The positions reached from `from` without a byte that have edges or clauses. */
  closure(from: number): readonly number[] {
    const known = this.closures[from]
    if (known !== undefined) return known
    const seen = new Set([from])
    for (const at of seen) for (const next of this.positions[at]!.empty) seen.add(next)
    const result = [...seen].filter(at => this.positions[at]!.edges.length > 0 || this.positions[at]!.clauses.length > 0)
    this.closures[from] = result
    return result
  }
}

/** Refuses, rather than goes on for long, where patterns multiply. */
export function subsetConstruction(patterns: readonly Pattern[], alphabet: Alphabet, limits: SubsetLimits): SubsetResult {
  const tree = new PositionTree(alphabet)
  for (const pattern of patterns) tree.insert(pattern)
  const construction = new Construction(tree, alphabet.count)
  const complete = construction.run(limits)
  if (!complete) return { ok: false, culprits: construction.culprits() }
  return { ok: true, automaton: construction.automaton(), sets: construction.acceptSets }
}

/** Classes with the same targets. `moving` of them get one more, in group `to`; 0 and -1 between targets. */
interface Group {
  readonly targets: number[]
  count: number
  moving: number
  to: number
}

class Construction {
  readonly acceptSets: (readonly number[])[] = [[]]
  private readonly acceptIds = new Map<string, number>([['', 0]])
  private readonly tree: PositionTree
  private readonly classes: number
  private readonly subsets: (readonly number[])[] = []
  private readonly subsetIds = new Map<string, number>()
  /** State for a list of targets before closing it: the same lists come again and again. */
  private readonly closed = new Map<string, number>()
  private readonly rows: { accept: number; fallback: number; edges: readonly (readonly [number, number])[] }[] = []
  private work = 0

  constructor(tree: PositionTree, classes: number) {
    this.tree = tree
    this.classes = classes
  }

  run(limits: SubsetLimits): boolean {
    this.stateOf([0])
    for (let state = 0; state < this.subsets.length; state++) {
      if (this.subsets.length > limits.states || this.work > limits.work) return false
      this.rows.push(this.expand(this.subsets[state]!))
    }
    return true
  }

  automaton(): Automaton {
    const accept = Int32Array.from(this.rows, row => row.accept)
    const fallback = Int32Array.from(this.rows, row => row.fallback)
    const first = new Int32Array(this.rows.length + 1)
    for (const [i, row] of this.rows.entries()) first[i + 1] = first[i]! + row.edges.length
    const edges = this.rows.flatMap(row => row.edges)
    return {
      classes: this.classes,
      start: 0,
      states: this.rows.length,
      accept,
      fallback,
      first,
      edgeClass: Uint8Array.from(edges, edge => edge[0]),
      edgeTarget: Int32Array.from(edges, edge => edge[1]),
    }
  }

  /** Clauses by how many positions they hold in all states, if they hold more than one in some. */
  culprits(): readonly number[] {
    const held = new Map<number, number>()
    for (const subset of this.subsets) {
      for (const at of subset) {
        const owner = this.tree.positions[at]!.owner
        if (owner >= 0) held.set(owner, (held.get(owner) ?? 0) + 1)
      }
    }
    return [...held].sort((a, b) => b[1] - a[1] || a[0] - b[0]).map(([clause]) => clause)
  }

  private stateOf(targets: readonly number[]): number {
    const open = targets.join()
    const known = this.closed.get(open)
    if (known !== undefined) return known
    const members = new Set<number>()
    for (const target of targets) for (const at of this.tree.closure(target)) members.add(at)
    this.work += members.size
    const subset = [...members].sort((a, b) => a - b)
    const key = subset.join()
    let state = this.subsetIds.get(key)
    if (state === undefined) {
      state = this.subsets.push(subset) - 1
      this.subsetIds.set(key, state)
    }
    this.closed.set(open, state)
    return state
  }

  private expand(subset: readonly number[]): (typeof this.rows)[number] {
    const { groupOf, groups } = this.groupTargets(subset)
    const targets = groups.map(group => (group.count > 0 ? this.stateOf(group.targets) : -1))
    const counts = new Map<number, number>()
    for (const [i, group] of groups.entries()) if (group.count > 0) counts.set(targets[i]!, (counts.get(targets[i]!) ?? 0) + group.count)
    let fallback = -1
    for (const [target, count] of counts) {
      const most = counts.get(fallback) ?? 0
      if (count > most || (count === most && target < fallback)) fallback = target
    }
    const edges: (readonly [number, number])[] = []
    for (let c = 0; c < this.classes; c++) {
      const target = targets[groupOf[c]!]!
      if (target !== fallback) edges.push([c, target])
    }
    return { accept: this.acceptOf(subset), fallback, edges }
  }

  /** Classes with the same targets fall into one group, so that each distinct list of targets is closed once. */
  private groupTargets(subset: readonly number[]): { readonly groupOf: Int32Array; readonly groups: readonly Group[] } {
    const groupOf = new Int32Array(this.classes)
    const groups: Group[] = [{ targets: [], count: this.classes, moving: 0, to: -1 }]
    for (const at of subset) {
      for (const { classes, target } of this.tree.positions[at]!.edges) this.addTarget(groups, groupOf, classes, target)
    }
    return { groupOf, groups }
  }

  private addTarget(groups: Group[], groupOf: Int32Array, classes: Iterable<number>, target: number): void {
    const touched: Group[] = []
    for (const c of classes) {
      const group = groups[groupOf[c]!]!
      if (group.moving++ === 0) touched.push(group)
      this.work++
    }
    for (const c of classes) groupOf[c] = this.move(groups, groupOf[c]!, target)
    for (const group of touched) group.to = -1
  }

  /** The group of a class after it got one more target: the same one where all of the group move, which is the usual case with stars. */
  private move(groups: Group[], from: number, target: number): number {
    const group = groups[from]!
    if (group.to === from) return from
    if (group.to < 0) {
      group.to = group.moving === group.count ? from : groups.push({ targets: [...group.targets, target], count: group.moving, moving: 0, to: -1 }) - 1
      if (group.to === from) group.targets.push(target)
      else group.count -= group.moving
      this.work += group.targets.length
      group.moving = 0
    }
    return group.to
  }

  private acceptOf(subset: readonly number[]): number {
    const clauses = new Set<number>()
    for (const at of subset) {
      const own = this.tree.positions[at]!.clauses
      if (own.length > 0) for (const clause of own) clauses.add(clause)
    }
    if (clauses.size === 0) return 0
    const sorted = [...clauses].sort((a, b) => a - b)
    const key = sorted.join()
    let id = this.acceptIds.get(key)
    if (id === undefined) {
      id = this.acceptSets.push(sorted) - 1
      this.acceptIds.set(key, id)
    }
    return id
  }
}
