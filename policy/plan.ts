// SPDX-License-Identifier: Apache-2.0
// From policies to the plan of one workload: rules become clauses, in the one order of precedence that docs/semantics.md gives.
import { expand, expandSources } from './alias.ts'
import { selects, type SelectOptions } from './select.ts'
import {
  OPERATIONS,
  type Clause,
  type ClauseOrigin,
  type PathMatch,
  type Operation,
  type Plan,
  type Policy,
  type Postures,
  type Rule,
  type PathSection,
  type Verdict,
  type Workload,
} from './types.ts'

export type PlanOptions = SelectOptions & Postures

export const SECTIONS: readonly PathSection[] = ['process', 'file']

/** The plan of one container or host. The order of `policies`, and of the rules in them, makes no difference to any verdict. */
export function makePlan(policies: readonly Policy[], workload: Workload, options: PlanOptions): Plan {
  const candidates = policies
    .filter((policy) => selects(policy, workload, options))
    .flatMap((policy) => policy.rules.filter(isPathRule).flatMap((rule, index) => clausesOf(policy, rule).map((clause) => ({ clause, key: keyOf(clause, index) }))))
  candidates.sort((a, b) => compareKeys(a.key, b.key) || compareDuplicates(a.clause, b.clause))
  const clauses = candidates.map(({ clause }) => clause)

  const defaults: { [section in PathSection]?: Reserved } = {}
  for (const section of SECTIONS) {
    const allowList = clauses.some((clause) => clause.section === section && clause.origin.action === 'Allow')
    if (allowList) defaults[section] = reserved('DefaultPosture', section, options.filePosture === 'block' ? 'Block' : 'Audit')
  }
  return {
    clauses,
    defaults,
    undecidable: {
      process: reserved('Undecidable', 'process', undecidableVerdict(clauses, 'process', defaults)),
      file: reserved('Undecidable', 'file', undecidableVerdict(clauses, 'file', defaults)),
    },
  }
}

/* ---- From a rule to its clauses ---- */

type PathRule = Rule & { readonly section: PathSection; readonly match: PathMatch }

/** The reader refuses what tables do not hold yet. */
function isPathRule(rule: Rule): rule is PathRule {
  return rule.section === 'process' || rule.section === 'file'
}

/** At most one clause for what satisfies the rule's flags and one for the rest, times the aliases where their length matters. */
function clausesOf(policy: Policy, rule: PathRule): readonly Clause[] {
  const all = planesOf(rule.section, () => true)
  const readOnly = rule.readOnly && rule.section === 'file'
  const satisfied = planesOf(rule.section, (operation, owner) => (!readOnly || operation === 'read') && (!rule.ownerOnly || owner))
  const flagged = satisfied !== all
  const parts: readonly { readonly planes: number; readonly verdict: Verdict }[] =
    rule.action === 'Allow'
      ? [{ planes: satisfied, verdict: 'Allow' }]
      : flagged
        ? [
            { planes: satisfied, verdict: 'Allow' },
            { planes: all & ~satisfied, verdict: rule.action },
          ]
        : [{ planes: all, verdict: rule.action }]

  const origin = originOf(policy, rule)
  const sources = expandSources(rule.sources)
  return parts.flatMap(({ planes, verdict }) =>
    split(expand(rule.match)).map((matches) => ({ section: rule.section, match: rule.match, matches, sources, planes, verdict, origin })),
  )
}

/** Of two directories the longer one decides, so a clause holds directories of one length. */
function split(matches: readonly PathMatch[]): readonly (readonly PathMatch[])[] {
  return matches[0]?.kind === 'dir' ? matches.map((match) => [match]) : [matches]
}

/** Bit `operation * 2 + owner` for every operation of the section and either owner for which `holds`. */
function planesOf(section: PathSection, holds: (operation: Operation, owner: boolean) => boolean): number {
  let planes = 0
  for (const [index, operation] of OPERATIONS.entries()) {
    if ((operation === 'exec') !== (section === 'process')) continue
    if (holds(operation, false)) planes |= 1 << (index * 2)
    if (holds(operation, true)) planes |= 1 << (index * 2 + 1)
  }
  return planes
}

function originOf(policy: Policy, rule: Rule): ClauseOrigin {
  return {
    policy: policy.name,
    kind: policy.kind,
    namespace: policy.namespace,
    action: rule.action,
    severity: rule.severity,
    tags: rule.tags,
    message: rule.message,
    text: describe(rule),
    position: rule.position,
  }
}

/** `file directory /etc/ recursive readOnly from /bin/cat, /bin/sh`. */
export function describe(rule: Pick<Rule, 'section' | 'match' | 'readOnly' | 'ownerOnly' | 'sources'>): string {
  const flags = `${rule.readOnly ? ' readOnly' : ''}${rule.ownerOnly ? ' ownerOnly' : ''}`
  const from = rule.sources.length === 0 ? '' : ` from ${rule.sources.join(', ')}`
  return `${rule.section} ${describeMatch(rule.match as PathMatch)}${flags}${from}`
}

function describeMatch(match: PathMatch): string {
  switch (match.kind) {
    case 'path':
      return `path ${match.path}`
    case 'name':
      return `execname ${match.name}`
    case 'pattern':
      return `pattern ${match.pattern}`
    case 'dir':
      return `directory ${match.dir}${match.recursive ? ' recursive' : ''}`
  }
}

/* ---- What no rule decides ---- */

interface Reserved {
  readonly verdict: Verdict
  readonly origin: ClauseOrigin
}

function reserved(name: string, section: PathSection, verdict: Verdict): Reserved {
  return {
    verdict,
    origin: {
      policy: name,
      kind: '',
      namespace: '',
      action: verdict,
      severity: 0,
      tags: [],
      message: '',
      text: name === 'DefaultPosture' ? `${section} default posture` : `${section} undecidable`,
      position: { file: '', line: 0, column: 0 },
    },
  }
}

function undecidableVerdict(clauses: readonly Clause[], section: PathSection, defaults: Plan['defaults']): Verdict {
  const own = clauses.filter((clause) => clause.section === section)
  if (defaults[section]?.verdict === 'Block' || own.some((clause) => clause.verdict === 'Block')) return 'Block'
  return own.length > 0 ? 'Audit' : 'Allow'
}

/* ---- Precedence ---- */

type Key = readonly (string | number)[]

const UTF8 = new TextEncoder()
const SHAPES = ['path', 'name', 'pattern', 'dir']
const STRICTNESS = ['Block', 'Audit', 'Allow']
const KINDS = ['KubeArmorPolicy', 'KubeArmorClusterPolicy', 'KubeArmorHostPolicy', '']

/** Numbers that order clauses by "Which rule decides": the clause with the smaller key decides. Keys of one section never tie unless the clauses are equal. */
function keyOf(clause: Clause, index: number): Key {
  const { origin } = clause
  const [match] = clause.matches
  return [
    clause.sources.length > 0 ? 0 : 1,
    SHAPES.indexOf(clause.match.kind),
    match?.kind === 'dir' ? -UTF8.encode(match.dir).length : 0,
    STRICTNESS.indexOf(clause.verdict),
    KINDS.indexOf(origin.kind),
    origin.namespace,
    origin.policy,
    origin.position.file,
    origin.position.line,
    origin.position.column,
    // Objects from an API have no positions: then it is the place among the policy's rules.
    origin.position.line === 0 ? index : 0,
  ]
}

function compareKeys(a: Key, b: Key): number {
  for (let i = 0; i < a.length; i++) {
    const [left, right] = [a[i]!, b[i]!]
    if (left !== right) return left < right ? -1 : 1
  }
  return 0
}

/** Only duplicates get here; a total order still makes the table's bytes independent of the order of input. */
function compareDuplicates(a: Clause, b: Clause): number {
  const [left, right] = [a, b].map(({ section, matches, sources, planes, origin }) => JSON.stringify([section, matches, sources, planes, origin]))
  return left === right ? 0 : left! < right! ? -1 : 1
}
