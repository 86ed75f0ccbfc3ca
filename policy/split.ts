// SPDX-License-Identifier: Apache-2.0
// Which patterns share an automaton. Patterns that have to remember what they saw (`**` with something before and after it) double each
// other's states, and directories multiply all of them; so patterns are sorted by shape, and shapes are joined again where that costs little.
import { hasByte, SLASH, type Alphabet } from './alphabet.ts'
import type { Expression, Item } from './expression.ts'
import { Background } from './layers.ts'
import { Meter } from './meter.ts'
import { minimise } from './minimise.ts'
import { emptyGlobs, product, STEPS_OF_A_PAIR, type Globs } from './product.ts'
import { subsetConstruction, type Pattern, type SubsetLimits } from './subset.ts'
import { MAX_AUTOMATA } from './table.ts'
import type { Trie } from './trie.ts'

export interface SplitLimits extends SubsetLimits {
  /** For tests: nothing shares an automaton that need not. */
  readonly apart?: boolean
}

/** `background` of the group that has the literals; `others`: groups of patterns alone; `work`: steps that it took. `culprits`: clauses, those that multiply most first. */
export type Split =
  | { readonly ok: true; readonly background: Background; readonly others: readonly Globs[]; readonly work: number }
  | { readonly ok: false; readonly culprits: readonly number[] }

/** One run over a path in place of two is worth so many states, and so many times the states of both. */
const TOGETHER = 1024
const GROWTH = 2

/** Patterns of one shape that exceed this are halved. */
const SHAPE_LIMITS: SubsetLimits = { states: 1 << 13, work: 1 << 21 }
/** Those that begin with a literal part hardly meet each other: that they have a few states for each of their items is no sign that they multiply. */
const STATES_PER_ITEM = 4
/** Many patterns may take more work than few. */
const WORK_PER_ITEM = 1 << 9

const SHAPES = ['prefixed', 'shallow', 'calm', 'component', 'across'] as const
type Kind = (typeof SHAPES)[number]

/**
 * `prefixed`: begins with more than a slash. `shallow`: stars of single components in front. The rest begins with a `**`: `calm` when no other star
 * comes after the literal part has begun, `component` when only stars do that end at a slash, `across` when another `**` does.
 */
export function kindOf(expression: Expression): Kind {
  if (expression.length > 1 && isSingle(expression[0]!) && isSingle(expression[1]!)) return 'prefixed'
  let lead = 0
  while (lead < expression.length && isLead(expression[lead]!)) lead++
  if (reach(expression.slice(0, lead)) < 2 && reach(expression.slice(lead)) < 2) return 'shallow'
  return (['calm', 'component', 'across'] as const)[reach(expression.slice(lead))]
}

function isSingle(item: Item): boolean {
  return item.kind === 'byte' && item.single >= 0
}

function isLead(item: Item): boolean {
  if (item.kind === 'either') return item.branches.every(branch => branch.every(isLead))
  return item.kind === 'star' || (item.kind === 'byte' && item.single === SLASH)
}

/** 0 without stars, 1 when no star goes over a slash, else 2. */
function reach(expression: Expression): 0 | 1 | 2 {
  let most: 0 | 1 | 2 = 0
  for (const item of expression) {
    const own = item.kind === 'byte' ? 0 : item.kind === 'star' ? (hasByte(item.set, SLASH) ? 2 : 1) : item.branches.map(reach).reduce((a, b) => (a > b ? a : b), 0)
    if (own > most) most = own
  }
  return most
}

/** Groups for up to MAX_AUTOMATA automata. Fails where that is too few. */
export function split(patterns: readonly Pattern[], trie: Trie, alphabet: Alphabet, limits: SplitLimits): Split {
  const shapes = new Map<Kind, Pattern[]>(SHAPES.map(kind => [kind, []]))
  for (const pattern of patterns) shapes.get(kindOf(pattern.expression))!.push(pattern)
  const groups: Globs[] = []
  const items = patterns.reduce((sum, { expression }) => sum + expression.length, 0)
  const meter = new Meter(limits.work + items * WORK_PER_ITEM)
  const builder = new Builder(alphabet, limits, meter)
  for (const [kind, list] of shapes) {
    if (list.length === 0) continue
    const made = builder.build(list, shapeLimits(kind, list, limits))
    if (!made.ok) return made
    groups.push(...made.groups)
  }
  return new Joining(groups, trie, { alphabet, limits, meter }).run()
}

type Built = { readonly ok: true; readonly groups: readonly Globs[] } | { readonly ok: false; readonly culprits: readonly number[] }

function shapeLimits(kind: Kind, patterns: readonly Pattern[], limits: SubsetLimits): SubsetLimits {
  const items = kind === 'prefixed' ? patterns.reduce((sum, { expression }) => sum + expression.length, 0) : 0
  const states = Math.max(SHAPE_LIMITS.states, items * STATES_PER_ITEM)
  return { states: Math.min(limits.states, states), work: Math.min(limits.work, SHAPE_LIMITS.work * (states / SHAPE_LIMITS.states)) }
}

class Builder {
  private readonly alphabet: Alphabet
  private readonly limits: SubsetLimits
  private readonly meter: Meter

  constructor(alphabet: Alphabet, limits: SubsetLimits, meter: Meter) {
    this.alphabet = alphabet
    this.limits = limits
    this.meter = meter
  }

  /** One group of patterns of one shape, or halves of it where they multiply beyond `own`. */
  build(patterns: readonly Pattern[], own: SubsetLimits): Built {
    const single = patterns.every(pattern => pattern.expression === patterns[0]!.expression)
    const subset = subsetConstruction(patterns, this.alphabet, single ? this.limits : own, this.meter)
    if (subset.ok) return { ok: true, groups: [{ automaton: minimise(subset.automaton).automaton, sets: subset.sets }] }
    if (single || this.meter.exhausted) return subset
    const half = patterns.length >> 1
    const a = this.build(patterns.slice(0, half), own)
    const b = a.ok ? this.build(patterns.slice(half), own) : a
    if (a.ok && b.ok) return { ok: true, groups: [...a.groups, ...b.groups] }
    // A half that the budget ran out in is not to blame for what was spent before: all of the shape together tell who multiplies.
    return this.meter.exhausted ? subset : b
  }
}

interface Group {
  readonly globs: Globs
  /** With the tree of literals: only the first. */
  readonly background: Background | undefined
  readonly states: number
}

interface Join {
  readonly i: number
  readonly j: number
  readonly group: Group
}

/** Joins the two groups that cost least, over and over. */
class Joining {
  private readonly groups: Group[]
  private readonly trie: Trie
  private readonly slash: number
  private readonly limits: SplitLimits
  private readonly meter: Meter
  private readonly tried = new Map<Group, Map<Group, { readonly limit: number; readonly group: Group | undefined }>>()

  constructor(globs: readonly Globs[], trie: Trie, { alphabet, limits, meter }: { readonly alphabet: Alphabet; readonly limits: SplitLimits; readonly meter: Meter }) {
    this.trie = trie
    this.slash = alphabet.classOf[SLASH]!
    this.limits = limits
    this.meter = meter
    const literals = this.onTree(emptyGlobs(alphabet.count), Infinity)!
    this.groups = [literals, ...globs.map(each => ({ globs: each, background: undefined, states: each.automaton.states }))]
  }

  run(): Split {
    for (let best = this.next(); best !== undefined; best = this.next()) {
      this.groups.splice(best.j, 1)
      this.groups[best.i] = best.group
    }
    const [first, ...others] = this.groups
    if (this.groups.length > MAX_AUTOMATA || first!.states > this.limits.states) return { ok: false, culprits: this.culprits() }
    return { ok: true, background: first!.background!, others: others.map(group => group.globs), work: this.meter.spent }
  }

  private next(): Join | undefined {
    const modest = this.limits.apart === true ? undefined : this.cheapest(sum => Math.max(TOGETHER, GROWTH * sum))
    if (modest !== undefined || this.groups.length <= MAX_AUTOMATA) return modest
    // Where groups have to be joined, the search goes from cheap to dear: a failed attempt costs what it was allowed.
    for (let most = TOGETHER; most < this.limits.states * 2 && !this.meter.exhausted; most *= 2) {
      const best = this.cheapest(() => most)
      if (best !== undefined) return best
    }
    return undefined
  }

  private cheapest(limitFor: (sum: number) => number): Join | undefined {
    let best: (Join & { readonly growth: number }) | undefined
    for (let i = 0; i < this.groups.length; i++) {
      for (let j = i + 1; j < this.groups.length && !this.meter.exhausted; j++) {
        const sum = this.groups[i]!.states + this.groups[j]!.states
        const group = this.join(this.groups[i]!, this.groups[j]!, Math.min(this.limits.states, limitFor(sum)))
        const growth = group === undefined ? Infinity : group.states - sum
        if (group !== undefined && (best === undefined || growth < best.growth)) best = { i, j, group, growth }
      }
    }
    return best
  }

  /** Both in one, unless that has more than `limit` states. */
  private join(a: Group, b: Group, limit: number): Group | undefined {
    let known = this.tried.get(a)
    if (known === undefined) this.tried.set(a, (known = new Map()))
    let result = known.get(b)
    if (result === undefined || (result.group === undefined && result.limit < limit)) {
      const globs = product(a.globs, b.globs, limit, this.meter)
      const group = globs === undefined ? undefined : a.background === undefined ? { globs, background: undefined, states: globs.automaton.states } : this.onTree(globs, limit)
      result = { limit, group }
      known.set(b, result)
    }
    return result.group !== undefined && result.group.states <= limit ? result.group : undefined
  }

  private onTree(globs: Globs, limit: number): Group | undefined {
    const background = new Background(globs, this.trie, this.slash)
    const complete = background.explore(limit)
    this.meter.spend(background.states * STEPS_OF_A_PAIR)
    return complete ? { globs, background, states: background.states } : undefined
  }

  private culprits(): readonly number[] {
    const clauses = this.groups.slice().sort((a, b) => b.states - a.states).flatMap(group => group.globs.sets.flat())
    return [...new Set(clauses)]
  }
}
