// SPDX-License-Identifier: Apache-2.0
// Plan -> table: the steps in order, each in a module of its own, with a dump (dump.ts).
import { step } from './automaton.ts'
import { makeComb, type Comb } from './comb.ts'
import { gatherInputs, makeDfa, type Inputs } from './dfa.ts'
import { encode } from './encode.ts'
import { KEY } from './keys.ts'
import { decisionWord, Objects, type DecisionVector } from './objects.ts'
import { clauseCount, reservedClauses } from './planes.ts'
import { renumber, type Numbered } from './renumber.ts'
import type { SplitLimits } from './split.ts'
import { makeSubjects, type Subjects } from './subjects.ts'
import { MAX_INDEX, MAX_PAGES, MAX_SET_WORDS, PAGE, pagesFor, WORDS_PER_PAGE } from './table.ts'
import { SECTIONS, type Finding, type Plan } from './types.ts'

/** Well above what real rules need and a table of 16 MiB can hold, and reached within a second. */
export const LIMITS: SplitLimits = { states: 1 << 18, work: 3 << 23 }

/** At most so many clauses are named when states multiply. */
const CULPRITS = 5

export interface CompileOptions {
  /** For tests: where state growth is refused. */
  readonly limits?: SplitLimits
  /** SHA-256 of some bytes; node:crypto's is several times as fast as the one that needs nothing from Node. */
  readonly sha256?: (bytes: Uint8Array) => Uint8Array
}

export interface CompileStats {
  readonly automata: number
  readonly states: number
  readonly classes: number
  readonly cells: number
  readonly accepts: number
  readonly objects: number
  readonly subjects: number
  readonly bytes: number
  /** Steps that bringing patterns together took, and words that were looked at to pack the cells: what the time of a compilation depends on. */
  readonly work: number
  readonly probes: number
}

export type CompileResult =
  | {
      readonly ok: true
      readonly table: Uint8Array
      /** SHA-256 of the table, 64 hexadecimal digits: its name. */
      readonly hash: string
      readonly stats: CompileStats
    }
  | { readonly ok: false; readonly findings: readonly Finding[] }

/** The same plan gives the same bytes on every machine. Fails, with findings, only where the table would be too large. */
export function compile(plan: Plan, options: CompileOptions = {}): CompileResult {
  const steps = runSteps(plan, options.limits ?? LIMITS)
  if (!steps.ok) return steps
  const { inputs, subjects, numbered, comb, vectors, objects } = steps
  const parts = {
    alphabet: inputs.alphabet,
    comb,
    starts: numbered.starts,
    keyStart: numbered.keyStart,
    invoked: step(numbered.automaton, numbered.keyStart, inputs.alphabet.classOf[KEY.invoked]!) !== 0,
    accepts: numbered.accepts,
    columns: objects.columns,
    vectors,
    choices: objects.choices,
    memberships: objects.memberships,
    sets: setsOf(plan),
    quotas: plan.conditions.flatMap(condition => (condition.kind === 'quota' ? [condition.quota] : [])),
    subjects: subjects.count,
    clauses: clauseCount(plan),
    undecidable: SECTIONS.map(section => decisionWord(reservedClauses(plan, section).undecidable, plan.undecidable[section].verdict)),
  }
  const encoded = encode(parts, options.sha256)
  if ('pages' in encoded) return { ok: false, findings: [tooLarge(plan, encoded.pages)] }
  const stats = {
    automata: numbered.starts.length,
    states: numbered.automaton.states,
    classes: inputs.alphabet.count,
    cells: comb.cells,
    accepts: numbered.accepts.length,
    objects: vectors.length,
    subjects: subjects.count,
    bytes: encoded.table.length,
    work: steps.work,
    probes: comb.probes,
  }
  return { ok: true, ...encoded, stats }
}

interface Steps {
  readonly ok: true
  readonly inputs: Inputs
  readonly subjects: Subjects
  readonly numbered: Numbered
  readonly comb: Comb
  readonly objects: Objects
  readonly vectors: readonly DecisionVector[]
  readonly work: number
}

/** All steps before the bytes. */
export function runSteps(plan: Plan, limits: SplitLimits): Steps | { readonly ok: false; readonly findings: readonly Finding[] } {
  // The decision word has 24 bits for a clause.
  if (clauseCount(plan) >= MAX_INDEX) return { ok: false, findings: [tooLarge(plan, MAX_PAGES + 1)] }
  if (setsOf(plan) > MAX_SET_WORDS * 32) return { ok: false, findings: [tooManySets(plan)] }
  const subjects = makeSubjects(plan)
  const inputs = gatherInputs(plan, subjects)
  const objects = new Objects(plan, subjects)
  const built = makeDfa(inputs, objects, limits)
  if (!built.ok) return { ok: false, findings: tooManyStates(plan, built.culprits, limits) }
  const numbered = renumber(built.dfa)
  // Each state has a cell of its own: what cannot fit is not packed first.
  const least = pagesFor(numbered.automaton.states, WORDS_PER_PAGE)
  if (least > MAX_PAGES) return { ok: false, findings: [tooLarge(plan, least)] }
  const comb = makeComb(numbered.automaton)
  return { ok: true, inputs, subjects, numbered, comb, objects, vectors: numbered.objects.map(object => objects.vectors[object]!), work: built.dfa.work }
}

function setsOf(plan: Plan): number {
  return plan.conditions.filter(({ kind }) => kind === 'arguments').length
}

function tooManyStates(plan: Plan, culprits: readonly number[], limits: SplitLimits): readonly Finding[] {
  return culprits.slice(0, CULPRITS).map(index => {
    const { origin } = plan.clauses[index]!
    return {
      code: 'MERLON_POLICY_TOO_MANY_STATES',
      severity: 'error',
      message: `Cannot compile the rules of this workload: their patterns multiply beyond ${limits.states} states or ${limits.work} steps, and this one is among those that add most`,
      position: origin.position,
      text: origin.text.slice(0, 80),
      hint: 'Use fewer stars and question marks in one pattern, begin the pattern with a directory, or list the paths',
    }
  })
}

function tooManySets(plan: Plan): Finding {
  const { origin } = plan.clauses.findLast(({ condition }) => condition !== undefined)!
  return {
    code: 'MERLON_POLICY_TOO_MANY_ARGUMENT_SETS',
    severity: 'error',
    message: `Cannot compile the rules of this workload: they have ${setsOf(plan)} different lists of allowedArgs, and ${MAX_SET_WORDS * 32} is the most that a table holds`,
    position: origin.position,
    text: origin.text.slice(0, 80),
    hint: 'Give rules the same list of arguments where that does no harm, or split the policies so that each workload is selected by fewer rules',
  }
}

function tooLarge(plan: Plan, pages: number): Finding {
  const origin = plan.clauses.at(-1)?.origin ?? plan.undecidable.process.origin
  return {
    code: 'MERLON_POLICY_TABLE_TOO_LARGE',
    severity: 'error',
    message: `Cannot compile the ${plan.clauses.length} clauses of this workload: their table would have ${pages * PAGE} bytes or more, and ${MAX_PAGES * PAGE} is the most that the kernel holds`,
    position: origin.position,
    text: origin.text.slice(0, 80),
    hint: 'Split the policies so that each workload is selected by fewer rules, or use directories and patterns in place of single paths',
  }
}
