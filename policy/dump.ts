// SPDX-License-Identifier: Apache-2.0
// `merlon compile --dump=STEP`: what each step on the way from a plan to its table made, for people.
import { dumpAlphabet } from './alphabet.ts'
import { dumpAutomaton } from './automaton.ts'
import { dumpComb } from './comb.ts'
import { compile, LIMITS, runSteps } from './compile.ts'
import { gatherInputs, type Inputs } from './dfa.ts'
import { dumpShapes } from './expression.ts'
import { parseGlob, type GlobNode } from './glob.ts'
import { shapesOf } from './keyshapes.ts'
import { dumpObjects } from './objects.ts'
import { makeSubjects } from './subjects.ts'
import { subsetConstruction, type Pattern } from './subset.ts'
import { HEADER, PAGE } from './table.ts'
import { dumpTrie } from './trie.ts'
import type { Finding, Match, Plan } from './types.ts'
import { verifyTable } from './verify.ts'

/** In the order of the steps; `dfa` is the minimal one that is packed, `subset` what the patterns alone were before. */
export const DUMPS = ['plan', 'pattern', 'expression', 'alphabet', 'trie', 'subset', 'dfa', 'comb', 'objects', 'table'] as const
export type Dump = (typeof DUMPS)[number]

const BEFORE: Readonly<Partial<Record<Dump, (plan: Plan) => string>>> = {
  plan: dumpPlan,
  pattern: (plan) => dumpPatterns(plan.clauses.flatMap(({ matches }) => matches)),
  expression: (plan) => dumpShapes(plan.clauses.flatMap(({ matches, section }) => matches.flatMap((match) => shapesOf(match, section)))),
  subset: (plan) => dumpSubset(gatherInputs(plan, makeSubjects(plan))),
  table: dumpTable,
}

/** Where a later step needs what an earlier one refuses, the findings. */
export function dump(plan: Plan, which: Dump): string {
  return (BEFORE[which] ?? ((of: Plan) => dumpStep(of, which)))(plan) || 'nothing\n'
}

function dumpStep(plan: Plan, which: Dump): string {
  const steps = runSteps(plan, LIMITS)
  if (!steps.ok) return refusal(steps.findings)
  switch (which) {
    case 'alphabet':
      return dumpAlphabet(steps.inputs.alphabet)
    case 'trie':
      return dumpTrie(steps.inputs.leaves)
    case 'dfa':
      return dumpAutomaton(steps.numbered.automaton, steps.inputs.alphabet)
    case 'comb':
      return dumpComb(steps.comb)
    default:
      return dumpObjects(steps.vectors)
  }
}

function refusal(findings: readonly Finding[]): string {
  return findings.map(({ message, text }) => `${message}: ${text}\n`).join('')
}

/** Clauses by precedence, with the number that tables and events give them, and then the defaults. */
function dumpPlan({ clauses, defaults }: Plan): string {
  const lines = clauses.map(({ verdict, planes, condition, matches, origin }, index) => {
    const holds = condition === undefined ? '' : ` ${condition.holds ? 'if' : 'unless'} condition ${condition.index} holds`
    return `${index + 1}: ${verdict} ${origin.text} (planes ${planes.toString(16)}, matches ${matches.length}${holds}) by ${origin.policy}`
  })
  const fallbacks = Object.entries(defaults).map(([section, { verdict }]) => `default of ${section}: ${verdict}`)
  return [...lines, ...fallbacks, ''].join('\n')
}

function dumpPatterns(matches: readonly Match[]): string {
  const patterns = [...new Set(matches.flatMap((match) => (match.kind === 'pattern' ? [match.pattern] : [])))]
  if (patterns.length === 0) return 'no patterns\n'
  return patterns.map((pattern) => {
    const parsed = parseGlob(pattern)
    return `${pattern}: ${parsed.ok ? parsed.nodes.map(showNode).join(' ') : parsed.problem}\n`
  }).join('')
}

function showNode(node: GlobNode): string {
  switch (node.kind) {
    case 'literal':
      return JSON.stringify(new TextDecoder().decode(node.bytes))
    case 'set':
      return `${node.negated ? 'not' : 'one of'} [${node.ranges.map(([first, last]) => [...new Set([first, last])].map((code) => `U+${code.toString(16).padStart(4, '0')}`).join('-')).join(' ')}]`
    case 'either':
      return `either (${node.branches.map((branch) => branch.map(showNode).join(' ')).join(' | ')})`
    default:
      return node.kind
  }
}

/** Of paths and of keys: the states of all their patterns in one automaton, not minimal. */
function dumpSubset({ alphabet, patterns, keys }: Inputs): string {
  const of = (name: string, list: readonly Pattern[]): string => {
    if (list.length === 0) return `${name}: no patterns\n`
    const subset = subsetConstruction(list, alphabet, LIMITS)
    return subset.ok ? `${name}:\n${dumpAutomaton(subset.automaton, alphabet)}` : `${name}: they multiply, and are split (see dfa)\n`
  }
  return of('paths', patterns) + of('keys', keys.patterns)
}

/** The header's words, and what the verifier says. */
function dumpTable(plan: Plan): string {
  const compiled = compile(plan)
  if (!compiled.ok) return refusal(compiled.findings)
  const view = new DataView(compiled.table.buffer, compiled.table.byteOffset, PAGE)
  const words = Object.entries(HEADER).filter(([, at]) => at < HEADER.reserved).map(([name, at]) => `${name} ${view.getUint32(at, true)}\n`)
  const checked = verifyTable(compiled.table)
  return `${words.join('')}hash ${compiled.hash}\n${checked.ok ? 'verified' : `refused: ${checked.problem}`}\n`
}
