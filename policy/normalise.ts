// SPDX-License-Identifier: Apache-2.0
// From a policy's tree, already valid by the schema, to a Policy: rules with everything inherited and paths in normal form.
import type { Node, Source } from './document.ts'
import { unsupportedFields, unsupportedSections } from './features.ts'
import { finding, type FindingCode } from './findings.ts'
import { normalisePath, pathProblem, readPattern } from './path.ts'
import { CONTAINER_LABEL, containerNames, HOST_REGEX_LABELS, hostRegex } from './select.ts'
import type { Action, Finding, Kind, LabelExpression, Match, Policy, Rule, Section, Selector } from './types.ts'
import { field } from './validate.ts'

/** What rule, section and spec may each say; the innermost one counts. */
type Attributes = Pick<Rule, 'action' | 'severity' | 'tags' | 'message'>

export interface Identity {
  readonly kind: Kind
  readonly namespace: string
  readonly name: string
}

/** KubeArmor's default action. Severity 0 stands for none: the schema begins at 1. */
const UNSAID: Attributes = { action: 'Block', severity: 0, tags: [], message: '' }
const SECTIONS: readonly Section[] = ['process', 'file']
const SHAPES = ['matchPaths', 'matchDirectories', 'matchPatterns'] as const

/** The policy, and findings; with an error among them the policy must not be used. */
export function normalise(root: Node, identity: Identity, source: Source): { readonly policy: Policy; readonly findings: readonly Finding[] } {
  return new Normaliser(source).policy(root, identity)
}

class Normaliser {
  private readonly source: Source
  private readonly findings: Finding[] = []

  constructor(source: Source) {
    this.source = source
  }

  policy(root: Node, identity: Identity): { readonly policy: Policy; readonly findings: readonly Finding[] } {
    const spec = field(root, 'spec')
    this.findings.push(...unsupportedSections(spec, this.source))
    const host = identity.kind === 'KubeArmorHostPolicy'
    const selector = this.selector(field(spec, host ? 'nodeSelector' : 'selector'), host)
    const inherited = attributes(spec, UNSAID)
    const rules = SECTIONS.flatMap((section) => this.section(section, field(spec, section), inherited))
    if (rules.length === 0 && this.findings.length === 0) this.say('MERLON_POLICY_NO_RULES', root)
    const policy: Policy = { ...identity, selector, rules, position: this.source.position(root.span) }
    return { policy, findings: this.findings }
  }

  /* ---- Rules ---- */

  private section(section: Section, node: Node | undefined, spec: Attributes): readonly Rule[] {
    const inherited = attributes(node, spec)
    return SHAPES.flatMap((shape) =>
      items(field(node, shape)).flatMap((rule) => {
        this.findings.push(...unsupportedFields(rule, this.source))
        const sources = this.sources(rule)
        if (sources === undefined) return []
        return this.matches(rule, shape).map((match): Rule => ({
          section,
          match,
          ...attributes(rule, inherited),
          readOnly: truth(rule, 'readOnly'),
          ownerOnly: truth(rule, 'ownerOnly'),
          sources,
          position: this.source.position(rule.span),
        }))
      }),
    )
  }

  /** What one rule names: usually one thing; nothing when that cannot be read. */
  private matches(rule: Node, shape: (typeof SHAPES)[number]): readonly Match[] {
    if (shape === 'matchPatterns') return this.pattern(rule)
    if (shape === 'matchDirectories') {
      const dir = this.path(rule, 'dir')
      return dir === undefined ? [] : [{ kind: 'dir', dir, recursive: truth(rule, 'recursive') }]
    }
    const execname = field(rule, 'execname')
    const named = field(rule, 'path')
    if (execname === undefined && named === undefined) this.say('MERLON_POLICY_EMPTY_RULE', rule)
    if (execname !== undefined && named !== undefined) this.say('MERLON_POLICY_PATH_AND_EXECNAME', execname)
    const path = this.path(rule, 'path')
    const name = this.name(execname)
    return [...(path === undefined ? [] : [{ kind: 'path', path } as const]), ...(name === undefined ? [] : [{ kind: 'name', name } as const])]
  }

  private pattern(rule: Node): readonly Match[] {
    const node = field(rule, 'pattern')
    const written = text(rule, 'pattern')
    if (node === undefined || written === undefined) return []
    const read = readPattern(written)
    if (!read.ok) {
      this.say('MERLON_POLICY_INVALID_PATTERN', node, { problem: `${read.problem} (character ${read.at + 1})` })
      return []
    }
    if (read.never !== undefined) this.say('MERLON_POLICY_PATTERN_NEVER_MATCHES', node, { ...read.never })
    return [{ kind: 'pattern', pattern: read.pattern }]
  }

  private path(parent: Node, name: string): string | undefined {
    const node = field(parent, name)
    const written = text(parent, name)
    if (node === undefined || written === undefined) return undefined
    const problem = pathProblem(written)
    if (problem !== undefined) {
      this.say('MERLON_POLICY_INVALID_PATH', node, { problem })
      return undefined
    }
    const path = normalisePath(written)
    if (path !== written) this.say('MERLON_POLICY_PATH_NORMALISED', node, { path })
    return path
  }

  private name(node: Node | undefined): string | undefined {
    if (node?.kind !== 'scalar' || typeof node.value !== 'string') return undefined
    const problem = node.value === '.' || node.value === '..' ? 'it is no name of a file' : pathProblem(node.value)
    if (problem === undefined) return node.value
    this.say('MERLON_POLICY_INVALID_PATH', node, { problem })
    return undefined
  }

  /** Undefined when the rule has sources and none of them is named: without them it would hold for everyone. */
  private sources(rule: Node): readonly string[] | undefined {
    const written = items(field(rule, 'fromSource'))
    const sources = written.flatMap((item) => {
      const path = this.path(item, 'path')
      if (path === undefined) this.say('MERLON_POLICY_EMPTY_RULE', item)
      return path ?? []
    })
    return written.length > 0 && sources.length === 0 ? undefined : sources
  }

  /* ---- Selector ---- */

  private selector(node: Node | undefined, host: boolean): Selector {
    const labels = stringMap(field(node, 'matchLabels'))
    const { [CONTAINER_LABEL]: restriction, ...matchLabels } = labels
    if (host) this.checkHostLabels(node, labels)
    else if (restriction !== undefined) this.checkBrackets(node, restriction)
    const matchExpressions = items(field(node, 'matchExpressions')).map((item) => this.expression(item))
    return { matchLabels: host ? labels : matchLabels, matchExpressions, containers: host || restriction === undefined ? [] : containerNames(restriction) }
  }

  /** The schema requires neither key nor operator; an expression without one holds for nobody. */
  private expression(item: Node): LabelExpression {
    const key = text(item, 'key')
    const operator = text(item, 'operator')
    const values = items(field(item, 'values')).flatMap((value) => (value.kind === 'scalar' && typeof value.value === 'string' ? value.value : []))
    if ((key !== 'label' && key !== 'namespace') || (operator !== 'In' && operator !== 'NotIn')) {
      this.say('MERLON_POLICY_SELECTS_NOTHING', item, { problem: 'an expression lacks its key or operator', suggestion: 'add both' })
      return { key: 'label', operator: 'In', values: [] }
    }
    const bare = key === 'label' ? values.find((value) => !value.includes('=')) : undefined
    if (bare !== undefined) {
      this.say('MERLON_POLICY_SELECTS_NOTHING', item, { problem: `${bare} is no label`, suggestion: 'write values as key=value' })
    }
    return { key, operator, values }
  }

  private checkHostLabels(node: Node | undefined, labels: Readonly<Record<string, string>>): void {
    const place = field(node, 'matchLabels') ?? node
    if (place === undefined) return
    if (Object.keys(labels).length === 0) {
      this.say('MERLON_POLICY_SELECTS_NOTHING', place, { problem: 'an empty nodeSelector selects no host', suggestion: 'use kubearmor.io/hostname: "*" for every host' })
    }
    for (const label of HOST_REGEX_LABELS) {
      const value = labels[label]
      if (value !== undefined && hostRegex(value) === undefined) this.say('MERLON_POLICY_INVALID_REGEX', field(place, label) ?? place)
    }
  }

  private checkBrackets(node: Node | undefined, restriction: string): void {
    const place = field(field(node, 'matchLabels'), CONTAINER_LABEL)
    if (place !== undefined && restriction.trim().startsWith('[') !== restriction.trim().endsWith(']')) this.say('MERLON_POLICY_CONTAINER_LIST', place)
  }

  private say(code: FindingCode, node: Node, words: Readonly<Record<string, string>> = {}): void {
    this.findings.push(finding(code, this.source.place(node.span), words))
  }
}

/* ---- Reading a valid tree ---- */

function attributes(node: Node | undefined, inherited: Attributes): Attributes {
  const severity = field(node, 'severity')
  const tags = items(field(node, 'tags')).flatMap((tag) => (tag.kind === 'scalar' && typeof tag.value === 'string' ? tag.value : []))
  const action = text(node, 'action')
  return {
    action: isAction(action) ? action : inherited.action,
    severity: severity?.kind === 'scalar' && typeof severity.value === 'number' ? severity.value : inherited.severity,
    tags: tags.length > 0 ? tags : inherited.tags,
    message: text(node, 'message') || inherited.message,
  }
}

function isAction(value: string | undefined): value is Action {
  return value === 'Allow' || value === 'Audit' || value === 'Block'
}

function items(node: Node | undefined): readonly Node[] {
  return node?.kind === 'list' ? node.items : []
}

export function text(node: Node | undefined, name: string): string | undefined {
  const value = field(node, name)
  return value?.kind === 'scalar' && typeof value.value === 'string' ? value.value : undefined
}

function truth(node: Node, name: string): boolean {
  const value = field(node, name)
  return value?.kind === 'scalar' && value.value === true
}

/** The string values of a mapping. */
export function stringMap(node: Node | undefined): Readonly<Record<string, string>> {
  if (node?.kind !== 'map') return {}
  return Object.fromEntries([...node.entries.keys()].flatMap((key) => {
    const value = text(node, key)
    return value === undefined ? [] : [[key, value] as const]
  }))
}
