// SPDX-License-Identifier: Apache-2.0
// Files of manifests to policies, and to the facts about namespaces and pods that policies are matched with. Nothing is dropped silently:
// each document ends up in the result, in `refused`, or in a finding.
import { parseDocuments, type Node, type Source } from './document.ts'
import { finding, type FindingCode } from './findings.ts'
import { normalise, stringMap, text, type Identity } from './normalise.ts'
import { METADATA_SCHEMA, POLICY_SCHEMAS } from './schema.ts'
import { treeOf } from './tree.ts'
import type { Finding, Policy, Position, Posture } from './types.ts'
import { field, validate } from './validate.ts'

export interface NamespaceFacts {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  readonly annotations: Readonly<Record<string, string>>
  /** From the annotation kubearmor-file-posture, when that is valid. */
  readonly filePosture?: Posture
  readonly position: Position
}

export interface PodFacts {
  readonly name: string
  readonly namespace: string
  /** Empty in a manifest that no API server has stored. */
  readonly uid: string
  readonly labels: Readonly<Record<string, string>>
  readonly annotations: Readonly<Record<string, string>>
  /** Init and ephemeral containers too. */
  readonly containers: readonly { readonly name: string; readonly image: string }[]
  readonly position: Position
}

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
  readonly findings: readonly Finding[]
}

export const POLICY_VERSION = 'security.kubearmor.com/v1'
export const FILE_POSTURE_ANNOTATION = 'kubearmor-file-posture'
const POLICY_GROUP = 'security.kubearmor.com/'
/** Policies of KubeArmor's that we know and do not enforce yet. */
const UNSUPPORTED_KINDS: readonly string[] = ['KubeArmorNetworkPolicy']

/** Reads every document of a file, YAML or JSON. Never throws; what it cannot use it says. */
export function readManifests(content: string, file: string): Manifests {
  const { source, roots, findings } = parseDocuments(content, file)
  const reader = new Reader(source, findings)
  for (const root of roots) reader.read(root)
  return reader
}

/** Reads one object of an API, whose place findings name by `name` and the path of its fields. Never throws. */
export function readObject(value: unknown, name: string): Manifests {
  const { root, source } = treeOf(value, name)
  const reader = new Reader(source, [])
  reader.read(root)
  return reader
}

class Reader implements Manifests {
  readonly policies: Policy[] = []
  readonly refused: Refusal[] = []
  readonly namespaces: NamespaceFacts[] = []
  readonly pods: PodFacts[] = []
  readonly findings: Finding[]
  private readonly source: Source

  constructor(source: Source, findings: readonly Finding[]) {
    this.source = source
    this.findings = [...findings]
  }

  read(root: Node): void {
    if (root.kind !== 'map') return this.say('MERLON_POLICY_NOT_AN_OBJECT', root, { problem: 'it is no mapping' })
    const kind = text(root, 'kind')
    const version = text(root, 'apiVersion')
    if (kind !== undefined && version !== undefined) return this.object(root, kind, version)
    // Directories hold other YAML too: values of a chart, settings of a tool.
    if (kind === version) return this.say('MERLON_POLICY_UNKNOWN_KIND', root, { kind: 'a document without kind' })
    this.say('MERLON_POLICY_NOT_AN_OBJECT', root, { problem: `it has no ${kind === undefined ? 'kind' : 'apiVersion'}` })
  }

  private object(root: Node, kind: string, version: string): void {
    if (kind === 'List' || (kind.endsWith('List') && isPolicyKind(kind.replace(/List$/, ''), version))) return this.list(root)
    if (isPolicyKind(kind, version)) return this.policy(root, kind, version)
    if (UNSUPPORTED_KINDS.includes(kind) && version.startsWith(POLICY_GROUP)) return this.say('MERLON_POLICY_UNSUPPORTED_KIND', root, { kind })
    if (version === 'v1' && kind === 'Namespace') return this.namespace(root)
    if (version === 'v1' && kind === 'Pod') return this.pod(root)
    this.say('MERLON_POLICY_UNKNOWN_KIND', field(root, 'kind') ?? root, { kind: `${version} ${kind}` })
  }

  private list(root: Node): void {
    const items = field(root, 'items')
    if (items?.kind === 'list') for (const item of items.items) this.read(item)
    else if (items !== undefined) this.say('MERLON_POLICY_NOT_AN_OBJECT', items, { problem: 'the items of a list are no list' })
  }

  private policy(root: Node, kind: keyof typeof POLICY_SCHEMAS, version: string): void {
    const metadata = field(root, 'metadata')
    const scoped = kind === 'KubeArmorPolicy'
    const identity: Identity = {
      kind,
      namespace: scoped ? (text(metadata, 'namespace') ?? 'default') : '',
      name: text(metadata, 'name') ?? '',
    }
    const first = this.findings.length
    if (version !== POLICY_VERSION) {
      this.say('MERLON_POLICY_UNKNOWN_VERSION', field(root, 'apiVersion') ?? root, { kind, version, expected: POLICY_VERSION })
    } else {
      this.findings.push(...validate(root, POLICY_SCHEMAS[kind], this.source))
      this.names(root, scoped)
    }
    if (!this.anyError(first)) {
      const { policy, findings } = normalise(root, identity, this.source)
      this.findings.push(...findings)
      if (!this.anyError(first)) this.policies.push(policy)
    }
    const own = this.findings.slice(first)
    if (this.anyError(first)) this.refused.push({ ...identity, position: this.source.position(root.span), findings: own })
  }

  /** What the API server asks of metadata beyond its types. */
  private names(root: Node, scoped: boolean): void {
    const metadata = field(root, 'metadata')
    const name = field(metadata, 'name')
    const namespace = field(metadata, 'namespace')
    if (name === undefined) this.say('MERLON_POLICY_REQUIRED', metadata ?? root, { path: 'metadata.name' })
    else this.form(name, 'metadata.name', SUBDOMAIN)
    if (namespace !== undefined && scoped) this.form(namespace, 'metadata.namespace', LABEL)
    if (namespace !== undefined && !scoped) this.say('MERLON_POLICY_NAMESPACE_IGNORED', namespace, { kind: text(root, 'kind') ?? '' })
    const labels = field(metadata, 'labels')
    if (labels?.kind !== 'map') return
    for (const [key, { key: span, value }] of labels.entries) {
      this.form({ kind: 'scalar', value: key, span }, 'the label', LABEL_KEY)
      this.form(value, `metadata.labels.${key}`, LABEL_VALUE)
    }
  }

  private form(node: Node, path: string, form: Form): void {
    if (node.kind !== 'scalar' || typeof node.value !== 'string') return
    if (!form.pattern.test(node.value) || node.value.length > form.longest) this.say('MERLON_POLICY_INVALID_NAME', node, { path, expected: form.words })
  }

  private namespace(root: Node): void {
    const metadata = this.metadata(root)
    if (metadata === undefined) return
    const position = this.source.position(root.span)
    const annotations = stringMap(field(metadata, 'annotations'))
    const posture = annotations[FILE_POSTURE_ANNOTATION]
    const facts = { name: text(metadata, 'name') ?? '', labels: stringMap(field(metadata, 'labels')), annotations, position }
    if (posture === 'audit' || posture === 'block') {
      this.namespaces.push({ ...facts, filePosture: posture })
      return
    }
    this.namespaces.push(facts)
    const written = field(field(metadata, 'annotations'), FILE_POSTURE_ANNOTATION)
    if (written !== undefined) this.say('MERLON_POLICY_INVALID_POSTURE', written, { annotation: FILE_POSTURE_ANNOTATION })
  }

  private pod(root: Node): void {
    const metadata = this.metadata(root)
    if (metadata === undefined) return
    const spec = field(root, 'spec')
    const containers = ['initContainers', 'containers', 'ephemeralContainers'].flatMap((name) => {
      const list = field(spec, name)
      return list?.kind === 'list' ? list.items.map((item) => ({ name: text(item, 'name') ?? '', image: text(item, 'image') ?? '' })) : []
    })
    this.pods.push({
      name: text(metadata, 'name') ?? '',
      namespace: text(metadata, 'namespace') ?? 'default',
      uid: text(metadata, 'uid') ?? '',
      labels: stringMap(field(metadata, 'labels')),
      annotations: stringMap(field(metadata, 'annotations')),
      containers,
      position: this.source.position(root.span),
    })
  }

  /** The metadata of an object that is no policy; undefined, with findings, when it cannot be used. */
  private metadata(root: Node): Node | undefined {
    const first = this.findings.length
    const metadata = field(root, 'metadata')
    if (metadata === undefined) this.say('MERLON_POLICY_REQUIRED', root, { path: 'metadata' })
    else this.findings.push(...validate(metadata, METADATA_SCHEMA, this.source))
    return this.anyError(first) ? undefined : metadata
  }

  private anyError(first: number): boolean {
    return this.findings.slice(first).some(({ severity }) => severity === 'error')
  }

  private say(code: FindingCode, node: Node, words: Readonly<Record<string, string>>): void {
    this.findings.push(finding(code, this.source.place(node.span), words))
  }
}

function isPolicyKind(kind: string, version: string): kind is keyof typeof POLICY_SCHEMAS {
  return Object.hasOwn(POLICY_SCHEMAS, kind) && version.startsWith(POLICY_GROUP)
}

/* ---- Names in Kubernetes ---- */

interface Form {
  readonly pattern: RegExp
  readonly longest: number
  readonly words: string
}

const SUBDOMAIN: Form = {
  pattern: /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/,
  longest: 253,
  words: 'lower-case letters, digits, `-` and `.`, beginning and ending with a letter or digit, at most 253',
}
const LABEL: Form = {
  pattern: /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/,
  longest: 63,
  words: 'lower-case letters, digits and `-`, beginning and ending with a letter or digit, at most 63',
}
const LABEL_VALUE: Form = {
  pattern: /^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$/,
  longest: 63,
  words: 'letters, digits, `-`, `_` and `.`, beginning and ending with a letter or digit, at most 63',
}
const LABEL_KEY: Form = {
  pattern: /^([a-z0-9]([-a-z0-9.]*[a-z0-9])?\/)?([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]$/,
  longest: 317,
  words: 'letters, digits, `-`, `_` and `.`, perhaps after a domain and a slash',
}
