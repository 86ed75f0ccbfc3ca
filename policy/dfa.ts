// SPDX-License-Identifier: Apache-2.0
// All matches of a plan as a minimal automaton, or a few (docs/table.md, "Automata"), whose accept states name an object and a subject class.
import { makeAlphabet, SLASH, union, type Alphabet, type ByteSet } from './alphabet.ts'
import type { Automaton } from './automaton.ts'
import { collectSets, type Shape } from './expression.ts'
import { argumentShape, shapesOf } from './keyshapes.ts'
import { Accepts, Background, layer, type Accept } from './layers.ts'
import { minimise } from './minimise.ts'
import type { Objects } from './objects.ts'
import { emptyGlobs, type Globs } from './product.ts'
import { split, type SplitLimits } from './split.ts'
import { isInvoked, type Subjects } from './subjects.ts'
import { subsetConstruction, type Pattern } from './subset.ts'
import { Leaves, makeTrie, NONE } from './trie.ts'
import { isPathMatch, type Plan } from './types.ts'

/** The automaton's accepts are indices into `accepts`; accept 0 is object 0, subject 0. `starts`: of each of the automata that share the states. */
export interface Dfa {
  readonly alphabet: Alphabet
  readonly automaton: Automaton
  readonly starts: readonly number[]
  /** Of the automaton of keys; undefined where no rule is about one. */
  readonly keyStart: number | undefined
  readonly accepts: readonly Accept[]
  /** Steps that it took to bring patterns together. */
  readonly work: number
}

/** `culprits`: indices of the clauses that multiply states, worst first. */
export type DfaResult = { readonly ok: true; readonly dfa: Dfa } | { readonly ok: false; readonly culprits: readonly number[] }

interface Language {
  readonly leaves: Leaves
  readonly patterns: Pattern[]
}

export interface Inputs extends Language {
  /** What is matched on keys. */
  readonly keys: Language
  readonly alphabet: Alphabet
}

/** Sorts what the clauses match into literals and patterns. */
export function gatherInputs(plan: Plan, subjects: Subjects): Inputs {
  const paths: Language = { leaves: new Leaves(), patterns: [] }
  const keys: Language = { leaves: new Leaves(), patterns: [] }
  for (let index = 0; index < plan.clauses.length; index++) {
    const { section, matches } = plan.clauses[index]!
    for (const match of matches) for (const shape of shapesOf(match, section)) addShape(shape, index, isPathMatch(match) ? paths : keys)
  }
  // What is no clause has the numbers after them (Objects).
  let next = plan.clauses.length
  for (const condition of plan.conditions) {
    if (condition.kind !== 'arguments') continue
    for (const argument of condition.allowed) addShape(argumentShape(argument), next, keys)
    next++
  }
  for (const { bytes, recursive } of subjects.directories) {
    addShape({ kind: 'literal', bytes: bytes.slice(0, -1) }, next, paths)
    addShape({ kind: 'prefix', bytes, recursive }, next, paths)
    next++
  }
  for (const [source, subject] of subjects.classOf) (isInvoked(source) ? keys : paths).leaves.at(source).subject = subject
  const sets = new Map<string, ByteSet>()
  for (const { expression } of [...paths.patterns, ...keys.patterns]) collectSets(expression, sets)
  return { ...paths, keys, alphabet: makeAlphabet(union(paths.leaves.bytes(), keys.leaves.bytes()), sets.values()) }
}

function addShape(shape: Shape, clause: number, { leaves, patterns }: Language): void {
  if (shape.kind === 'expression') {
    patterns.push({ expression: shape.expression, clause })
    return
  }
  const leaf = leaves.at(shape.bytes)
  const list = shape.kind === 'literal' ? 'exact' : shape.recursive ? 'recursive' : 'within'
  // Clauses come in ascending order, so the list stays sorted. Few lists have more than one.
  if (leaf[list] === NONE) leaf[list] = [clause]
  else if (leaf[list].at(-1) !== clause) leaf[list].push(clause)
}

/** `culprits`: clauses that multiply states, where even MAX_AUTOMATA automata are too few. */
export function makeDfa(inputs: Inputs, objects: Objects, limits: SplitLimits): DfaResult {
  const { alphabet } = inputs
  const trie = makeTrie(inputs.leaves, alphabet)
  const groups = split(inputs.patterns, trie, alphabet, limits)
  if (!groups.ok) return groups
  const accepts = new Accepts()
  const automata = [layer(groups.background, trie, objects, accepts)]
  const noTrie = makeTrie(new Leaves(), alphabet)
  for (const globs of groups.others) {
    const background = new Background(globs, noTrie, alphabet.classOf[SLASH]!)
    background.explore(Infinity)
    automata.push(layer(background, noTrie, objects, accepts))
  }
  const keys = makeKeys(inputs, objects, accepts, limits)
  if (!keys.ok) return keys
  const { automaton, starts } = join(keys.automaton === undefined ? automata : [...automata, keys.automaton])
  return { ok: true, dfa: { alphabet, automaton, starts: starts.slice(0, automata.length), keyStart: starts[automata.length], accepts: accepts.list, work: groups.work } }
}

type Keys = { readonly ok: true; readonly automaton: Automaton | undefined } | { readonly ok: false; readonly culprits: readonly number[] }

/** One automaton for all keys: each begins with its kind, so that kinds do not multiply. */
function makeKeys({ keys, alphabet }: Inputs, objects: Objects, accepts: Accepts, limits: SplitLimits): Keys {
  if (keys.leaves.all.size === 0 && keys.patterns.length === 0) return { ok: true, automaton: undefined }
  let globs: Globs = emptyGlobs(alphabet.count)
  if (keys.patterns.length > 0) {
    const subset = subsetConstruction(keys.patterns, alphabet, limits)
    if (!subset.ok) return subset
    globs = { automaton: minimise(subset.automaton).automaton, sets: subset.sets }
  }
  const trie = makeTrie(keys.leaves, alphabet)
  const background = new Background(globs, trie, alphabet.classOf[SLASH]!)
  if (!background.explore(limits.states)) return { ok: false, culprits: [...new Set(globs.sets.flat())] }
  return { ok: true, automaton: layer(background, trie, objects, accepts) }
}

/**
 * Automata side by side. Each is minimal; what several of them have in common is little beside where paths end up that nothing more can
 * happen to, and that is there once: the former ones of it stay behind, out of reach.
 */
function join(automata: readonly Automaton[]): { readonly automaton: Automaton; readonly starts: readonly number[] } {
  if (automata.length === 1) return { automaton: automata[0]!, starts: [automata[0]!.start] }
  const states = automata.reduce((sum, each) => sum + each.states, 0)
  const edges = automata.reduce((sum, { edgeTarget }) => sum + edgeTarget.length, 0)
  const all = { accept: new Int32Array(states), fallback: new Int32Array(states), first: new Int32Array(states + 1), edgeClass: new Uint8Array(edges), edgeTarget: new Int32Array(edges) }
  const ends = new Map<number, number>()
  const starts: number[] = []
  let [from, edge] = [0, 0]
  for (const each of automata) {
    const number = numberFrom(from, each, ends)
    starts.push(number[each.start]!)
    all.accept.set(each.accept, from)
    all.edgeClass.set(each.edgeClass, edge)
    for (let i = 0; i < each.states; i++) {
      all.fallback[from + i] = number[each.fallback[i]!]!
      all.first[from + i] = each.first[i]! + edge
    }
    for (let e = 0; e < each.edgeTarget.length; e++) all.edgeTarget[edge + e] = number[each.edgeTarget[e]!]!
    from += each.states
    edge += each.edgeTarget.length
  }
  all.first[states] = edges
  return { automaton: { ...all, classes: automata[0]!.classes, start: starts[0]!, states }, starts }
}

/** The numbers of an automaton's states among those of all, where they begin at `from`. `ends`: by accept, the state that nothing leads out of. */
function numberFrom(from: number, { states, accept, fallback, first }: Automaton, ends: Map<number, number>): Int32Array {
  const number = new Int32Array(states)
  for (let state = 0; state < states; state++) {
    number[state] = from + state
    if (fallback[state] !== state || first[state] !== first[state + 1]) continue
    const known = ends.get(accept[state]!)
    if (known === undefined) ends.set(accept[state]!, from + state)
    else number[state] = known
  }
  return number
}
