// SPDX-License-Identifier: Apache-2.0
// From policies to the plan of one workload: rules become clauses, in the one order of precedence that docs/semantics.md gives.
import { expandDirectories, expandSources } from './alias.ts'
import { describe, describeReserved } from './describe.ts'
import { matchesOf } from './matches.ts'
import { CASES } from './planes.ts'
import { rankOf } from './rank.ts'
import { selects, type SelectOptions } from './select.ts'
import {
  SECTIONS,
  type Action,
  type Clause,
  type ClauseOrigin,
  type Condition,
  type Plan,
  type Policy,
  type Posture,
  type Postures,
  type Reserved,
  type Rule,
  type Section,
  type Verdict,
  type Workload,
} from './types.ts'

export interface PlanOptions extends SelectOptions, Postures {
  /** Suffixes that a resolver of the workload appends to names. Absent: those of Kubernetes for a container, none for a host. */
  readonly searchDomains?: readonly string[]
}

/** The plan of one container or host. The order of `policies`, and of the rules in them, makes no difference to any verdict. */
export function makePlan(policies: readonly Policy[], workload: Workload, options: PlanOptions): Plan {
  const chosen = policies.filter((policy) => selects(policy, workload, options))
  const drafts = chosen.flatMap((policy) => policy.rules.flatMap((rule, index) => draftsOf({ policy, rule, index, workload, options })))
  const defaults = defaultsOf(chosen, workload, options)
  if (defaults.network !== undefined) drafts.push(LOCAL_SOCKETS)
  drafts.sort((a, b) => compareKeys(a.key, b.key) || a.index - b.index || compareDuplicates(a, b))
  const conditions = numberConditions(drafts)
  const clauses = drafts.map(({ clause, condition, holds }) => {
    const index = condition === undefined ? undefined : conditions.numbers.get(condition.key)
    return index === undefined ? clause : { ...clause, condition: { index, holds } }
  })
  const undecidable = Object.fromEntries(SECTIONS.map((section) => [section, reserved('Undecidable', section, undecidableVerdict(clauses, section, defaults))]))
  return { clauses, conditions: conditions.list, defaults, undecidable: undecidable as Record<Section, Reserved> }
}

/* ---- From a rule to its clauses ---- */

/** A clause whose condition has no number yet. */
interface Draft {
  readonly clause: Clause
  readonly condition: { readonly key: string; readonly value: Condition } | undefined
  readonly holds: boolean
  readonly key: readonly (string | number)[]
  /** The place among the rules of its policy, for objects from an API, which have no positions. */
  readonly index: number
}

interface Drafting {
  readonly policy: Policy
  readonly rule: Rule
  readonly index: number
  readonly workload: Workload
  readonly options: PlanOptions
}

/** What a rule says of some planes. `holds` is of its condition; absent: whether that holds makes no difference. */
interface Part {
  readonly planes: number
  readonly verdict: Verdict
  readonly holds?: boolean
}

/** At most one clause for what satisfies the rule and two for the rest, times the aliases where their length matters. */
function draftsOf({ policy, rule, index, workload, options }: Drafting): readonly Draft[] {
  const origin = originOf(policy, rule)
  const condition = conditionOf(rule, origin)
  const sources = expandSources(rule.sources, workload.links)
  const sourceDirectories = expandDirectories(rule.sourceDirectories ?? [], workload.links)
  const audited = policy.mode === 'Audit' || workload.policy === 'audited'
  const split = matchesOf(rule, { links: workload.links, searchDomains: rule.section === 'dns' ? (options.searchDomains ?? searchDomainsOf(workload)) : [] })
  return partsOf(rule, condition !== undefined).flatMap(({ planes, verdict, holds }) =>
    split.map((matches): Draft => {
      const said = verdict === 'Block' && audited ? 'Audit' : verdict
      const clause: Clause = { section: rule.section, match: rule.match, matches, sources, sourceDirectories, planes, verdict: said, origin }
      return { clause, condition: holds === undefined ? undefined : condition, holds: holds === true, key: rankOf(clause), index: origin.position.line === 0 ? index : 0 }
    }),
  )
}

/** The table of docs/semantics.md, "What a rule says". */
function partsOf(rule: Rule, conditional: boolean): readonly Part[] {
  const all = planesOf(rule, false)
  const satisfied = planesOf(rule, true)
  const action = actionOf(rule)
  const permitted: Part = { planes: satisfied, verdict: 'Allow', ...(conditional ? { holds: true } : {}) }
  if (action === 'Allow') return [permitted]
  if (satisfied === all && !conditional) return [{ planes: all, verdict: action }]
  return [
    permitted,
    ...(satisfied === all ? [] : [{ planes: all & ~satisfied, verdict: action }]),
    ...(conditional ? [{ planes: satisfied, verdict: action, holds: false }] : []),
  ]
}

const SECTION_PLANES = new Map(SECTIONS.map((section) => [section, planesWhere((each) => each.section === section)]))

function planesWhere(chosen: (each: (typeof CASES)[number]) => boolean): number {
  return CASES.reduce((planes, each) => (chosen(each) ? planes | (1 << each.plane) : planes), 0)
}

/** The planes of a rule's section; `satisfied`: those that its flags permit. */
function planesOf(rule: Rule, satisfied: boolean): number {
  const flagged = rule.readOnly || rule.ownerOnly || rule.pts !== undefined
  if (!satisfied || !flagged || !FLAGGED.includes(rule.section)) return SECTION_PLANES.get(rule.section)!
  return planesWhere((each) => each.section === rule.section && permits(rule, each))
}

/** Sections whose rules can have flags. */
const FLAGGED: readonly Section[] = ['process', 'file', 'network']

/** Sockets have no owner. */
function permits(rule: Rule, { section, operation, owner, tty }: (typeof CASES)[number]): boolean {
  return (!rule.readOnly || operation !== 'write') && (!rule.ownerOnly || owner || section === 'network') && (rule.pts === undefined || rule.pts === tty)
}

/** System calls are only ever reported; a preset blocks unless it says Audit. */
export function actionOf({ section, action }: Rule): Action {
  if (section === 'syscalls') return 'Audit'
  return section === 'preset' && action === 'Allow' ? 'Block' : action
}

function conditionOf(rule: Rule, origin: ClauseOrigin): Draft['condition'] {
  const allowed = rule.section === 'process' ? [...new Set(rule.allowedArgs)].sort() : []
  if (allowed.length > 0) return { key: JSON.stringify(allowed), value: { kind: 'arguments', allowed } }
  if (rule.quota === undefined || (rule.section !== 'ingress' && rule.section !== 'egress')) return undefined
  return { key: JSON.stringify([rule.quota, origin]), value: { kind: 'quota', quota: rule.quota } }
}

/** Argument sets first, each in the order in which clauses ask for them. */
function numberConditions(drafts: readonly Draft[]): { readonly list: readonly Condition[]; readonly numbers: ReadonlyMap<string, number> } {
  const values = new Map<string, Condition>()
  for (const { condition } of drafts) if (condition !== undefined) values.set(condition.key, condition.value)
  const entries = [...values].filter(([, { kind }]) => kind === 'arguments').concat([...values].filter(([, { kind }]) => kind === 'quota'))
  return { list: entries.map(([, value]) => value), numbers: new Map(entries.map(([key], index) => [key, index])) }
}

function originOf(policy: Policy, rule: Rule): ClauseOrigin {
  const { severity, tags, message, position } = rule
  return { policy: policy.name, kind: policy.kind, namespace: policy.namespace, action: actionOf(rule), severity, tags, message, text: describe(rule), position }
}

function searchDomainsOf(workload: Workload): readonly string[] {
  return workload.host ? [] : [`${workload.namespace}.svc.cluster.local`, 'svc.cluster.local', 'cluster.local']
}

/* ---- What no rule decides ---- */

/** Sockets that never leave the machine are no business of a network's allow-list, unless a rule says so. */
const LOCAL_SOCKETS: Draft = draftOfLocalSockets()

function draftOfLocalSockets(): Draft {
  const { origin } = reserved('DefaultPosture', 'network', 'Allow')
  const match = { kind: 'protocol', protocol: 'local' } as const
  const planes = planesWhere(({ section }) => section === 'network')
  const clause: Clause = { section: 'network', match, matches: [match], sources: [], sourceDirectories: [], planes, verdict: 'Allow', origin: { ...origin, text: 'network local sockets' } }
  return { clause, condition: undefined, holds: false, key: rankOf(clause), index: 0 }
}

/** Sections in allow-list mode. A policy that only audits cannot make a posture block. */
function defaultsOf(policies: readonly Policy[], workload: Workload, options: PlanOptions): Plan['defaults'] {
  const defaults: { [section in Section]?: Reserved } = {}
  for (const section of SECTIONS) {
    const allowing = policies.filter(({ rules }) => rules.some((rule) => rule.section === section && actionOf(rule) === 'Allow'))
    if (allowing.length === 0) continue
    const enforced = workload.policy !== 'audited' && allowing.some(({ mode }) => mode !== 'Audit')
    defaults[section] = reserved('DefaultPosture', section, enforced && postureOf(section, options) === 'block' ? 'Block' : 'Audit')
  }
  return defaults
}

const POSTURES: Readonly<Partial<Record<Section, keyof Postures>>> = {
  process: 'filePosture', file: 'filePosture', capabilities: 'capabilitiesPosture', device: 'devicePosture',
  network: 'networkPosture', dns: 'networkPosture', ingress: 'networkPosture', egress: 'networkPosture',
}

export function postureOf(section: Section, options: Postures): Posture {
  const name = POSTURES[section]
  return (name === undefined ? undefined : options[name]) ?? 'audit'
}

function reserved(policy: 'DefaultPosture' | 'Undecidable', section: Section, verdict: Verdict): Reserved {
  const position = { file: '', line: 0, column: 0 }
  return { verdict, origin: { policy, kind: '', namespace: '', action: verdict, severity: 0, tags: [], message: '', text: describeReserved(policy, section), position } }
}

function undecidableVerdict(clauses: readonly Clause[], section: Section, defaults: Plan['defaults']): Verdict {
  if (defaults[section]?.verdict === 'Block') return 'Block'
  if (clauses.some((clause) => clause.section === section && clause.verdict === 'Block')) return 'Block'
  return clauses.some((clause) => clause.section === section) ? 'Audit' : 'Allow'
}

/* ---- Order ---- */

function compareKeys(a: readonly (string | number)[], b: readonly (string | number)[]): number {
  for (let i = 0; i < a.length; i++) {
    const [left, right] = [a[i]!, b[i]!]
    if (left !== right) return left < right ? -1 : 1
  }
  return 0
}

/** Only duplicates, and clauses of one rule, get here; a total order still makes the table's bytes independent of the order of input. */
function compareDuplicates(a: Draft, b: Draft): number {
  const [left, right] = [a, b].map(({ clause, condition, holds }) => JSON.stringify([clause.section, clause.matches, clause.sources, clause.sourceDirectories, clause.planes, condition, holds, clause.origin]))
  return left === right ? 0 : left! < right! ? -1 : 1
}

/** What the table of a plan depends on: a change of message, severity or line leaves it alone. */
export function decisiveContent({ clauses, conditions, defaults, undecidable }: Plan): string {
  return JSON.stringify([
    clauses.map(({ section, match, matches, sources, sourceDirectories, planes, condition, verdict }) => [section, match, matches, sources, sourceDirectories, planes, condition, verdict]),
    conditions,
    SECTIONS.map((section) => [defaults[section]?.verdict, undecidable[section].verdict]),
  ])
}
