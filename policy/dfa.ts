// SPDX-License-Identifier: Apache-2.0
// All matches of a plan as a minimal automaton, or a few (docs/table.md, "Automata"), whose accept states name an object and a subject class.
import { makeAlphabet, SLASH, type Alphabet, type ByteSet } from './alphabet.ts'
import type { Automaton } from './automaton.ts'
import { collectSets, shapesOf, type Shape } from './expression.ts'
import { Accepts, Background, layer, type Accept } from './layers.ts'
import { minimise } from './minimise.ts'
import type { Objects, Subjects } from './objects.ts'
import { split, type SplitLimits } from './split.ts'
import type { Pattern } from './subset.ts'
import { Leaves, makeTrie, NONE } from './trie.ts'
import type { Plan } from './types.ts'

/** The automaton's accepts are indices into `accepts`; accept 0 is object 0, subject 0. `starts`: of each of the automata that share the states. */
export interface Dfa {
  readonly alphabet: Alphabet
  readonly automaton: Automaton
  readonly starts: readonly number[]
  readonly accepts: readonly Accept[]
}

/** `culprits`: indices of the clauses that multiply states, worst first. */
export type DfaResult = { readonly ok: true; readonly dfa: Dfa } | { readonly ok: false; readonly culprits: readonly number[] }

export interface Inputs {
  readonly leaves: Leaves
  readonly patterns: readonly Pattern[]
  readonly alphabet: Alphabet
}

/** Sorts what the clauses match into literals and patterns. */
export function gatherInputs(plan: Plan, subjects: Subjects): Inputs {
  const leaves = new Leaves()
  const patterns: Pattern[] = []
  for (const [index, clause] of plan.clauses.entries()) {
    for (const match of clause.matches) for (const shape of shapesOf(match)) addShape(shape, index, leaves, patterns)
  }
  for (const [source, subject] of subjects.classOf) leaves.at(source).subject = subject
  const sets = new Map<string, ByteSet>()
  for (const { expression } of patterns) collectSets(expression, sets)
  return { leaves, patterns, alphabet: makeAlphabet(leaves.bytes(), sets.values()) }
}

function addShape(shape: Shape, clause: number, leaves: Leaves, patterns: Pattern[]): void {
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
  return { ok: true, dfa: { alphabet, ...join(automata), accepts: accepts.list } }
}

/** Automata side by side; what does the same in several is there once. */
function join(automata: readonly Automaton[]): { readonly automaton: Automaton; readonly starts: readonly number[] } {
  if (automata.length === 1) return { automaton: automata[0]!, starts: [automata[0]!.start] }
  const count = automata.reduce((sum, { states }) => sum + states, 0)
  const edges = automata.reduce((sum, { edgeTarget }) => sum + edgeTarget.length, 0)
  const all = { accept: new Int32Array(count), fallback: new Int32Array(count), first: new Int32Array(count + 1), edgeClass: new Uint8Array(edges), edgeTarget: new Int32Array(edges) }
  const starts: number[] = []
  let [state, edge] = [0, 0]
  for (const each of automata) {
    starts.push(each.start + state)
    all.accept.set(each.accept, state)
    all.edgeClass.set(each.edgeClass, edge)
    for (let i = 0; i < each.states; i++) {
      all.fallback[state + i] = each.fallback[i]! + state
      all.first[state + i] = each.first[i]! + edge
    }
    for (let e = 0; e < each.edgeTarget.length; e++) all.edgeTarget[edge + e] = each.edgeTarget[e]! + state
    state += each.states
    edge += each.edgeTarget.length
  }
  all.first[count] = edges
  const { automaton, map } = minimise({ ...all, classes: automata[0]!.classes, start: starts[0]!, states: count })
  return { automaton, starts: starts.map(start => map[start]!) }
}
