// SPDX-License-Identifier: Apache-2.0
// Files of manifests to policies, and to the facts about namespaces and pods that policies are matched with. Nothing is dropped silently:
// each document ends up in the result, in `refused`, or in a finding.
import { admit, isCustomKind, isMisnamed } from './admission.ts'
import { parseDocuments, type Node, type Source } from './document.ts'
import {
  configMapSettings, configSettings, isSettingsMap, namespaceFacts, nodeFacts, podFacts, type NamespaceFacts, type NodeFacts, type PodFacts, type SettingsFacts,
} from './facts.ts'
import { normalise, type Identity } from './normalise.ts'
import { Notes } from './notes.ts'
import { treeOf } from './object-tree.ts'
import { METADATA_SCHEMA } from './schema.ts'
import { podTemplate } from './templates.ts'
import { field, text } from './tree.ts'
import type { Finding, Kind, Policy, Position } from './types.ts'
import { validate } from './validate.ts'

export { FILE_POSTURE_ANNOTATION, type NamespaceFacts, type NodeFacts, type PodFacts, type SettingsFacts } from './facts.ts'

/** A policy that has an error finding; none of its rules is used. */
export interface Refusal extends Identity {
  readonly position: Position
  readonly findings: readonly Finding[]
}

export interface Manifests {
  readonly policies: readonly Policy[]
  readonly refused: readonly Refusal[]
  readonly namespaces: readonly NamespaceFacts[]
  readonly pods: readonly PodFacts[]
  /** Pods as Deployments and their like make them. */
  readonly templates: readonly PodFacts[]
  readonly nodes: readonly NodeFacts[]
  /** Of a cluster; more than one is for the reader to settle. */
  readonly settings: readonly SettingsFacts[]
  readonly findings: readonly Finding[]
}

/** Reads every document of a file, YAML or JSON. Never throws; what it cannot use it says. */
export function readManifests(content: string, file: string): Manifests {
  const { source, roots, findings } = parseDocuments(content, file)
  const reader = new Reader(source, findings)
  for (const root of roots) reader.read(root)
  return reader
}

/**
 * Reads one object of an API, whose place findings name by `name` and the path of its fields. Never throws. What its status says is nobody's
 * business here: a newer operator may have written it.
 */
export function readObject(value: unknown, name: string): Manifests {
  const { root, source } = treeOf(withoutStatus(value), name)
  const reader = new Reader(source, [])
  reader.read(root)
  return reader
}

function withoutStatus(value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value
  return Object.fromEntries(Object.entries(value).filter(([name]) => name !== 'status'))
}

class Reader implements Manifests {
  readonly policies: Policy[] = []
  readonly refused: Refusal[] = []
  readonly namespaces: NamespaceFacts[] = []
  readonly pods: PodFacts[] = []
  readonly templates: PodFacts[] = []
  readonly nodes: NodeFacts[] = []
  readonly settings: SettingsFacts[] = []
  /** A property of its own and no accessor: what is read gets copied by spreading. */
  readonly findings: Finding[]
  private readonly source: Source
  private readonly notes: Notes

  constructor(source: Source, findings: readonly Finding[]) {
    this.source = source
    this.notes = new Notes(source)
    this.findings = this.notes.findings
    this.findings.push(...findings)
  }

  read(root: Node): void {
    if (root.kind !== 'map') return this.notes.say('MERLON_POLICY_NOT_AN_OBJECT', root, { problem: 'it is no mapping' })
    const kind = text(root, 'kind')
    const version = text(root, 'apiVersion')
    if (kind !== undefined && version !== undefined) return this.object(root, kind, version)
    // Directories hold other YAML too: values of a chart, settings of a tool.
    if (kind === version) return this.notes.say('MERLON_POLICY_UNKNOWN_KIND', root, { kind: 'a document without kind' })
    this.notes.say('MERLON_POLICY_NOT_AN_OBJECT', root, { problem: `it has no ${kind === undefined ? 'kind' : 'apiVersion'}` })
  }

  private object(root: Node, kind: string, version: string): void {
    if (kind === 'List' || (kind.endsWith('List') && isCustomKind(kind.replace(/List$/, ''), version))) return this.list(root)
    if (isCustomKind(kind, version)) return kind === 'KubeArmorConfig' ? this.config(root, version) : this.policy(root, kind, version)
    if (version === 'v1' && (CORE_KINDS.includes(kind) || (kind === 'ConfigMap' && isSettingsMap(root)))) return this.core(root, kind)
    if (!isMisnamed(root, kind, version, this.notes)) this.other(root, kind, version)
  }

  /** Of some other tool. */
  private other(root: Node, kind: string, version: string): void {
    const template = podTemplate(root, kind, version, this.notes)
    if (template !== undefined) this.templates.push(template)
    this.notes.say('MERLON_POLICY_UNKNOWN_KIND', field(root, 'kind') ?? root, { kind: `${version} ${kind}` })
  }

  private list(root: Node): void {
    const items = field(root, 'items')
    if (items?.kind === 'list') for (const item of items.items) this.read(item)
    else if (items !== undefined) this.notes.say('MERLON_POLICY_NOT_AN_OBJECT', items, { problem: 'the items of a list are no list' })
  }

  private policy(root: Node, kind: Kind, version: string): void {
    const metadata = field(root, 'metadata')
    const scoped = kind === 'KubeArmorPolicy'
    const identity: Identity = {
      kind,
      namespace: scoped ? text(metadata, 'namespace') || 'default' : '',
      name: text(metadata, 'name') ?? '',
    }
    const first = this.findings.length
    admit(root, kind, version, this.notes)
    if (!this.notes.anyError(first)) {
      const { policy, findings } = normalise(root, identity, this.source)
      this.findings.push(...findings)
      if (!this.notes.anyError(first)) this.policies.push(policy)
    }
    const own = this.findings.slice(first)
    if (this.notes.anyError(first)) this.refused.push({ ...identity, position: this.source.position(root.span), findings: own })
  }

  private config(root: Node, version: string): void {
    const first = this.findings.length
    admit(root, 'KubeArmorConfig', version, this.notes)
    if (!this.notes.anyError(first)) this.settings.push(configSettings(root, this.notes))
  }

  /** An object of Kubernetes' own, if its metadata can be used. */
  private core(root: Node, kind: string): void {
    const first = this.findings.length
    const metadata = field(root, 'metadata')
    if (metadata === undefined) this.notes.say('MERLON_POLICY_REQUIRED', root, { path: 'metadata' })
    else this.findings.push(...validate(metadata, METADATA_SCHEMA, this.source))
    if (this.notes.anyError(first)) return
    if (kind === 'Namespace') this.namespaces.push(namespaceFacts(root, this.notes))
    else if (kind === 'Pod') this.pods.push(podFacts(root, this.notes))
    else if (kind === 'Node') this.nodes.push(nodeFacts(root, this.notes))
    else this.settings.push(configMapSettings(root, this.notes))
  }
}

const CORE_KINDS: readonly string[] = ['Namespace', 'Pod', 'Node']
