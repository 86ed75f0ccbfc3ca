// SPDX-License-Identifier: Apache-2.0
// Why an operation gets the verdict that it gets, for people. The answer is evaluate()'s, and so is every comparison: this file only
// finds words for them.
import { describe } from './describe.ts'
import { clauseMatches, compare, conditionMatches, evaluate, objectMatches, planeMatches, sourceMatches, type Precedence } from './evaluate.ts'
import { KEY } from './keys.ts'
import { actionOf, makePlan, postureOf, type PlanOptions } from './plan.ts'
import { sectionOf } from './planes.ts'
import { selects } from './select.ts'
import { SECTIONS, type Clause, type ClauseOrigin, type Match, type Plan, type Policy, type Question, type Rule, type Section, type Verdict, type Workload } from './types.ts'
import { wordsFor } from './words.ts'

/** A rule that did not decide, and why not. */
export interface Passed {
  readonly origin: ClauseOrigin
  readonly reason: string
}

/** A rule that matched as well, the verdict that it asked for, and why it lost. */
export interface Lost extends Passed {
  readonly verdict: Verdict
}

export interface Explanation {
  readonly verdict: Verdict
  /** What decided. `nothing`: no rule matches, and the section is not in allow-list mode. */
  readonly by: 'rule' | 'default' | 'undecidable' | 'nothing'
  /** Absent for `nothing`. */
  readonly origin?: ClauseOrigin
  readonly reason: string
  /** Rules that match the operation too, in order of precedence. */
  readonly lost: readonly Lost[]
  /** Rules that name the object, but not for this operation, owner, terminal, arguments or source. */
  readonly near: readonly Passed[]
  /** What an operation of this section gets that no rule matches, and why. */
  readonly fallback: { readonly verdict: Verdict; readonly reason: string }
  /** What would have to change for another answer, in sentences. */
  readonly changes: readonly string[]
  /** How many policies select the workload. */
  readonly selecting: number
}

export interface Situation {
  readonly policies: readonly Policy[]
  readonly workload: Workload
  readonly options: PlanOptions
}

/** Explains one operation of one workload. */
export function explain(situation: Situation, question: Question): Explanation {
  const { policies, workload, options } = situation
  const plan = makePlan(policies, workload, options)
  const section = sectionOf(question.operation)
  const { verdict, by, winner, origin } = decided(plan, question)
  const selecting = policies.filter((policy) => selects(policy, workload, options)).length
  const fallback = fallbackOf(plan, section, options)
  const lost = winner === undefined ? [] : losers(plan, winner, question)
  return {
    verdict,
    by,
    ...(origin === undefined ? {} : { origin }),
    reason: reasonOf({ winner, by, lost, section, fallback, selecting }),
    lost,
    near: nearOf(plan, question, section),
    fallback,
    changes: changesOf({ situation, question, plan, section, by, winner }),
    selecting,
  }
}

/* ---- What decided ---- */

export interface Decided extends Pick<Explanation, 'verdict' | 'by' | 'origin'> {
  readonly winner: Clause | undefined
}

/** What evaluate() says, and whose word that is. */
export function decided(plan: Plan, question: Question): Decided {
  const { verdict, clause: number } = evaluate(plan, question)
  const section = sectionOf(question.operation)
  const winner = plan.clauses[number - 1]
  const by = winner !== undefined ? 'rule' : number === 0 ? 'nothing' : number > plan.clauses.length + SECTIONS.length ? 'undecidable' : 'default'
  const origin = winner?.origin ?? (by === 'default' ? plan.defaults[section]?.origin : by === 'undecidable' ? plan.undecidable[section].origin : undefined)
  return { verdict, by, winner, ...(origin === undefined ? {} : { origin }) }
}

interface Deciding {
  readonly winner: Clause | undefined
  readonly by: Explanation['by']
  readonly lost: readonly Lost[]
  readonly section: Section
  readonly fallback: Explanation['fallback']
  readonly selecting: number
}

function reasonOf({ winner, by, lost, section, fallback, selecting }: Deciding): string {
  if (winner !== undefined) return `${ruleReason(winner)}; ${othersIn(lost, winner)}`
  if (by === 'undecidable') return `the path has more than 4,095 bytes, so no rule can be applied: the ${section} section's verdict for what cannot be decided holds`
  if (selecting === 0) return 'no policy selects this workload'
  return `no rule matches, and ${fallback.reason}`
}

/** How many: without the rule that decided there is one less, so that no reason stays the same. */
function othersIn(lost: readonly Lost[], winner: Clause): string {
  const others = new Set(lost.map(({ origin }) => origin).filter((origin) => origin !== winner.origin)).size
  return others === 0 ? 'no other rule matches' : others === 1 ? 'another rule matches too, and loses' : `${others} other rules match too, and lose`
}

function ruleReason({ origin, verdict, match }: Clause): string {
  if (match.kind === 'protocol' && match.protocol === 'local') return 'sockets that stay on the machine are permitted in allow-list mode'
  if (verdict === origin.action) return `this ${origin.action} rule matches`
  if (verdict === 'Audit') return `this ${origin.action} rule matches, and its policy or the workload is only audited`
  return `this ${origin.action} rule matches, and permits what its flags name`
}

function fallbackOf(plan: Plan, section: Section, options: PlanOptions): Explanation['fallback'] {
  const fallback = plan.defaults[section]
  if (fallback === undefined) return { verdict: 'Allow', reason: `the ${section} section has no Allow rule, so what no rule matches is permitted` }
  const [first] = allowing(plan, section)
  const because = first === undefined ? '' : ` because of the Allow rule ${placed(first)}`
  const posture = postureOf(section, options)
  const only = posture === 'block' && fallback.verdict === 'Audit' ? ', and it only audits, as the workload or every policy with such a rule is only audited' : ''
  return { verdict: fallback.verdict, reason: `the ${section} section is in allow-list mode${because}: the default posture is ${posture}${only}` }
}

/** The Allow rules of a section, each once, in order of precedence. */
function allowing(plan: Plan, section: Section): readonly ClauseOrigin[] {
  return [...new Set(plan.clauses.filter(({ section: own, origin }) => own === section && origin.action === 'Allow' && origin.kind !== '').map(({ origin }) => origin))]
}

/* ---- What did not ---- */

function losers(plan: Plan, winner: Clause, question: Question): readonly Lost[] {
  return plan.clauses
    .filter((clause) => clause !== winner && clauseMatches(plan, clause, question))
    .map((clause) => ({ origin: clause.origin, verdict: clause.verdict, reason: lostReason(winner, clause) }))
}

const SHAPES: Readonly<Record<Match['kind'], string>> = {
  path: 'an exact path',
  name: 'an execname',
  pattern: 'a pattern',
  dir: 'a directory',
  invoked: 'an exact path',
  protocol: 'a protocol',
  domain: 'a domain',
  capability: 'a capability',
  syscall: 'a system call',
  device: 'a device',
  preset: 'a preset',
  flow: 'a network',
}

const LONGER: Readonly<Partial<Record<Match['kind'], string>>> = {
  domain: 'of two domains the longer one decides',
  device: 'of two device rules the one with more numbers decides',
  flow: 'of two networks the smaller one decides, and one with ports before one without',
}

const LOST: Readonly<Record<Precedence, (winner: Clause, loser: Clause) => string>> = {
  source: () => 'a rule with fromSource goes before one without',
  shape: ({ match: won }, { match: lost }) => (won.kind === lost.kind ? 'the more specific one goes first' : `${SHAPES[won.kind]} goes before ${SHAPES[lost.kind]}`),
  length: ({ match }) => LONGER[match.kind] ?? 'of two directories the longer one decides',
  verdict: (winner, loser) => `${winner.verdict} goes before ${loser.verdict}`,
  credit: () => 'it asks for the same; the credit goes by kind, namespace, name and place of the policy',
  equal: () => 'it is the same rule again',
}

function lostReason(winner: Clause, loser: Clause): string {
  return LOST[compare(winner, loser).by](winner, loser)
}

/** Rules that name the object, and none of whose clauses is about this operation, owner, terminal, arguments and source. */
function nearOf(plan: Plan, question: Question, section: Section): readonly Passed[] {
  const naming = plan.clauses.filter((clause) => clause.section === section && objectMatches(clause, question))
  const matching = new Set(naming.filter((clause) => clauseMatches(plan, clause, question)).map(({ origin }) => origin))
  const near = new Map(naming.filter(({ origin }) => !matching.has(origin)).map((clause) => [clause.origin, nearReason(plan, clause, question)]))
  return [...near].map(([origin, reason]) => ({ origin, reason }))
}

function nearReason(plan: Plan, clause: Clause, question: Question): string {
  const names = [...clause.sources.map(sourceWords), ...clause.sourceDirectories.map(({ dir }) => dir)]
  const reasons = [
    ...(sourceMatches(clause, question) ? [] : [`it is for operations of ${names.join(', ')}`]),
    // Only an Allow rule with flags leaves planes, or conditions, without a clause.
    ...(planeMatches(clause, question) ? [] : ['it permits only what its readOnly, ownerOnly or pts names']),
    ...(conditionMatches(plan, clause, question) ? [] : [question.operation === 'exec' ? 'it permits only its allowedArgs' : 'its limit is used up']),
  ]
  return reasons.join(', and ')
}

function sourceWords(key: string): string {
  const slash = key.indexOf('/')
  return key.charCodeAt(0) === KEY.invoked ? `${key.slice(slash)} as ${key.slice(1, slash)}` : key
}

/* ---- What would have to change ---- */

interface Changing {
  readonly situation: Situation
  readonly question: Question
  readonly plan: Plan
  readonly section: Section
  readonly by: Explanation['by']
  readonly winner: Clause | undefined
}

function changesOf({ situation, question, plan, section, by, winner }: Changing): readonly string[] {
  const object = wordsFor(question)
  if (winner !== undefined) return [withoutRule(situation, question, winner.origin)]
  if (by === 'undecidable') return ['use a path of at most 4,095 bytes']
  if (by === 'nothing') return [`a Block or Audit rule for ${object} in the ${section} section of a policy that selects this workload would decide`]
  const places = allowing(plan, section).map(placed)
  const shown = places.slice(0, 3).join('; ') + (places.length > 3 ? `; and ${places.length - 3} more` : '')
  return [
    `an Allow rule for ${object} in the ${section} section of a policy that selects this workload would permit it`,
    `without any Allow rule in the ${section} section it would be permitted; there ${places.length === 1 ? 'is one' : `are ${places.length}`}: ${shown}`,
  ]
}

/** The answer when the rule that decided is deleted, found by asking. */
function withoutRule({ policies, workload, options }: Situation, question: Question, origin: ClauseOrigin): string {
  if (origin.kind === '') return 'a Block or Audit rule for its type of sockets would decide'
  const plan = makePlan(withoutRules(policies, origin), workload, options)
  const { verdict, clause } = evaluate(plan, question)
  const next = plan.clauses[clause - 1]
  const who = next !== undefined ? `by the ${next.origin.action} rule ${placed(next.origin)}` : clause === 0 ? 'as no other rule matches' : 'by the default posture'
  return `without this rule the verdict would be ${verdict}, ${who}`
}

/** The policies without the rule that a clause came from. Rules that nothing tells from it go with it. */
export function withoutRules(policies: readonly Policy[], origin: ClauseOrigin): readonly Policy[] {
  return policies.map((policy) => (isPolicyOf(policy, origin) ? { ...policy, rules: policy.rules.filter((rule) => !isRuleOf(rule, origin)) } : policy))
}

function isPolicyOf({ kind, namespace, name }: Policy, origin: ClauseOrigin): boolean {
  return kind === origin.kind && namespace === origin.namespace && name === origin.policy
}

function isRuleOf(rule: Rule, { position, action, message, text }: ClauseOrigin): boolean {
  const { file, line, column } = rule.position
  const here = file === position.file && line === position.line && column === position.column
  return here && actionOf(rule) === action && rule.message === message && describe(rule) === text
}

function placed({ position, text }: ClauseOrigin): string {
  return position.line === 0 ? `"${text}"` : `at ${position.file}:${position.line} (${text})`
}
