// SPDX-License-Identifier: Apache-2.0
// Expressions to a deterministic automaton: a tree of positions that shares common beginnings, then the subset construction.
import { classesOf, type Alphabet } from './alphabet.ts'
import { Numbers, type Automaton } from './automaton.ts'
import type { Expression, Item } from './expression.ts'
import { Meter } from './meter.ts'

export interface Pattern {
  readonly expression: Expression
  /** 0-based index of the clause that it belongs to. */
  readonly clause: number
}

export interface SubsetLimits {
  readonly states: number
  /** Elementary steps: transitions looked at, positions collected, edges made. */
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
}

class PositionTree {
  readonly positions: Position[] = []
  private readonly alphabet: Alphabet
  private readonly closures: (readonly number[])[] = []
  private readonly classLists = new Map<string, readonly number[]>()

  constructor(alphabet: Alphabet) {
    this.alphabet = alphabet
    this.add()
  }

  insert(pattern: Pattern): void {
    this.positions[this.sequence(0, pattern.expression)]!.clauses.push(pattern.clause)
  }

  /** The positions along an expression that was inserted; of choices only those at their ends. */
  along(expression: Expression): readonly number[] {
    const positions = [0]
    for (const { key } of expression) positions.push(this.positions[positions.at(-1)!]!.children.get(key)!)
    return positions
  }

  private add(): number {
    return this.positions.push({ edges: [], empty: [], children: new Map(), clauses: [] }) - 1
  }

  private sequence(from: number, expression: Expression): number {
    return expression.reduce((at, item) => this.item(at, item), from)
  }

  private item(from: number, item: Item): number {
    const position = this.positions[from]!
    const shared = position.children.get(item.key)
    if (shared !== undefined) return shared
    const to = this.add()
    position.children.set(item.key, to)
    if (item.kind === 'byte') position.edges.push({ classes: this.classList(item), target: to })
    else if (item.kind === 'star') {
      position.empty.push(to)
      this.positions[to]!.edges.push({ classes: this.classList(item), target: to })
    } else {
      for (const branch of item.branches) this.positions[this.sequence(from, branch)]!.empty.push(to)
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
    const result = this.positions[from]!.empty.length === 0 ? [from] : this.reachable(from)
    this.closures[from] = result
    return result
  }

  /** Ascending. */
  private reachable(from: number): readonly number[] {
    const seen = new Set([from])
    for (const at of seen) for (const next of this.positions[at]!.empty) seen.add(next)
    return [...seen].filter(at => this.positions[at]!.edges.length > 0 || this.positions[at]!.clauses.length > 0).sort((a, b) => a - b)
  }
}

/** Refuses, rather than goes on for long, where patterns multiply: beyond its own limits, or those of all the work that `meter` counts. */
export function subsetConstruction(patterns: readonly Pattern[], alphabet: Alphabet, limits: SubsetLimits, meter = new Meter(limits.work)): SubsetResult {
  const tree = new PositionTree(alphabet)
  for (const pattern of patterns) tree.insert(pattern)
  const construction = new Construction(tree, alphabet.count)
  const complete = construction.run(limits, meter)
  if (!complete) return { ok: false, culprits: construction.culprits(patterns) }
  return { ok: true, automaton: construction.automaton(), sets: construction.acceptSets }
}

/** Classes with the same targets. `moving` of them get one more, in group `to`; 0 and -1 between targets. */
interface Group {
  readonly targets: number[]
  count: number
  moving: number
  to: number
}

/** Up to so many groups a list is searched; beyond, a map. */
const FEW = 8

class Construction {
  readonly acceptSets: (readonly number[])[] = [[]]
  private work = 0
  private readonly acceptIds = new Map<string, number>([['', 0]])
  private readonly tree: PositionTree
  private readonly classes: number
  private readonly subsets: (readonly number[])[] = []
  private readonly subsetIds = new Map<string, number>()
  /** State for a list of targets before closing it: the same lists come again and again. For a single target by its number. */
  private readonly closed = new Map<string, number>()
  private readonly closedSingle: Int32Array
  /** Group of each class, of the state that is being expanded. */
  private readonly groupOf: Int32Array
  private readonly accept = new Numbers()
  private readonly fallback = new Numbers()
  private readonly first = new Numbers()
  private readonly edgeClass = new Numbers()
  private readonly edgeTarget = new Numbers()

  constructor(tree: PositionTree, classes: number) {
    this.tree = tree
    this.classes = classes
    this.closedSingle = new Int32Array(tree.positions.length).fill(-1)
    this.groupOf = new Int32Array(classes)
  }

  run(limits: SubsetLimits, meter: Meter): boolean {
    this.stateOf([0])
    for (let state = 0; state < this.subsets.length; state++) {
      const before = this.work
      this.expand(this.subsets[state]!)
      if (!meter.spend(this.work - before + this.classes) || this.subsets.length > limits.states || this.work > limits.work) return false
    }
    this.first.push(this.edgeClass.length)
    return true
  }

  automaton(): Automaton {
    return {
      classes: this.classes,
      start: 0,
      states: this.accept.length,
      accept: this.accept.done(),
      fallback: this.fallback.done(),
      first: this.first.done(),
      edgeClass: new Uint8Array(this.edgeClass.done()),
      edgeTarget: this.edgeTarget.done(),
    }
  }

  /** Clauses by how often positions of theirs are held in all states; of equals, where the search had not come far, the longer. Those that patterns share count for each. */
  culprits(patterns: readonly Pattern[]): readonly number[] {
    const held = new Float64Array(this.tree.positions.length)
    for (const subset of this.subsets) for (const at of subset) held[at]!++
    const blamed = patterns.map(({ expression, clause }) => ({ clause, items: expression.length, held: this.tree.along(expression).reduce((sum, at) => sum + held[at]!, 0) }))
    blamed.sort((a, b) => b.held - a.held || b.items - a.items || a.clause - b.clause)
    return [...new Set(blamed.map(({ clause }) => clause))]
  }

  private stateOf(targets: readonly number[]): number {
    const single = targets.length === 1 ? targets[0]! : -1
    const open = single < 0 ? targets.join() : ''
    const known = single < 0 ? this.closed.get(open) : this.closedSingle[single]!
    if (known !== undefined && known >= 0) return known
    const state = this.subsetOf(single < 0 ? this.closureOf(targets) : this.tree.closure(single))
    if (single < 0) this.closed.set(open, state)
    else this.closedSingle[single] = state
    return state
  }

  private closureOf(targets: readonly number[]): readonly number[] {
    const members = new Set<number>()
    for (const target of targets) for (const at of this.tree.closure(target)) members.add(at)
    return [...members].sort((a, b) => a - b)
  }

  private subsetOf(subset: readonly number[]): number {
    this.work += subset.length
    const key = subset.join()
    let state = this.subsetIds.get(key)
    if (state === undefined) {
      state = this.subsets.push(subset) - 1
      this.subsetIds.set(key, state)
    }
    return state
  }

  private expand(subset: readonly number[]): void {
    const groups = this.groupTargets(subset)
    const targets = groups.map(group => (group.count > 0 ? this.stateOf(group.targets) : -1))
    const fallback = groups.length > FEW ? mostFrequentByMap(groups, targets) : mostFrequent(groups, targets)
    this.first.push(this.edgeClass.length)
    for (let c = 0; c < this.classes; c++) {
      const target = targets[this.groupOf[c]!]!
      if (target === fallback) continue
      this.edgeClass.push(c)
      this.edgeTarget.push(target)
    }
    this.accept.push(this.acceptOf(subset))
    this.fallback.push(fallback)
  }

  /** Classes with the same targets fall into one group, so that each distinct list of targets is closed once. */
  private groupTargets(subset: readonly number[]): readonly Group[] {
    this.groupOf.fill(0)
    const groups: Group[] = [{ targets: [], count: this.classes, moving: 0, to: -1 }]
    for (const at of subset) {
      for (const { classes, target } of this.tree.positions[at]!.edges) this.addTarget(groups, classes, target)
    }
    return groups
  }

  private addTarget(groups: Group[], classes: readonly number[], target: number): void {
    const { groupOf } = this
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

/** The target that most classes have; of equals the lowest. */
function mostFrequent(groups: readonly Group[], targets: readonly number[]): number {
  let [best, most] = [-1, 0]
  for (const target of targets) {
    if (target < 0) continue
    let count = 0
    for (let i = 0; i < targets.length; i++) if (targets[i] === target) count += groups[i]!.count
    if (count > most || (count === most && target < best)) [best, most] = [target, count]
  }
  return best
}

function mostFrequentByMap(groups: readonly Group[], targets: readonly number[]): number {
  const counts = new Map<number, number>()
  for (const [i, target] of targets.entries()) if (target >= 0) counts.set(target, (counts.get(target) ?? 0) + groups[i]!.count)
  let [best, most] = [-1, 0]
  for (const [target, count] of counts) if (count > most || (count === most && target < best)) [best, most] = [target, count]
  return best
}
