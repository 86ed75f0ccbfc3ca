// SPDX-License-Identifier: Apache-2.0
// What the API server asks of an object's metadata beyond its types.
import type { Node } from './document.ts'
import type { Notes } from './notes.ts'
import { field } from './tree.ts'

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
const QUALIFIED: Form = {
  pattern: /^(?:(?=[^/]{1,253}\/)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\/)?(?=[^/]{1,63}$)([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]$/,
  longest: 317,
  words: 'letters, digits, `-`, `_` and `.`, at most 63, perhaps after a domain and a slash',
}

/** All keys and values of annotations together, in bytes. */
const MOST_ANNOTATIONS = 256 * 1024

/** Findings about an object that is to be created. `namespaced`: whether its kind lives in namespaces. */
export function checkMetadata(root: Node, namespaced: boolean, notes: Notes): void {
  const metadata = field(root, 'metadata')
  const name = field(metadata, 'name')
  const namespace = field(metadata, 'namespace')
  const generated = field(metadata, 'generateName')
  if (isEmpty(name)) {
    if (isEmpty(generated)) notes.say('MERLON_POLICY_REQUIRED', metadata ?? root, { path: 'metadata.name' })
    // What the server puts after it begins with a letter or a digit, so that it may end as no name does.
    else form(notes, generated, 'metadata.generateName', { ...SUBDOMAIN, pattern: /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*-?$/ })
  } else form(notes, name, 'metadata.name', SUBDOMAIN)
  if (namespace !== undefined && namespaced && !isEmpty(namespace)) form(notes, namespace, 'metadata.namespace', LABEL)
  if (namespace !== undefined && !namespaced) notes.say('MERLON_POLICY_NAMESPACE_IGNORED', namespace, { kind: kindOf(root) })
  checkLabels(field(metadata, 'labels'), notes)
  checkAnnotations(field(metadata, 'annotations'), notes)
}

function checkLabels(labels: Node | undefined, notes: Notes): void {
  if (labels?.kind !== 'map') return
  for (const [key, { key: span, value }] of labels.entries) {
    form(notes, { kind: 'scalar', value: key, span }, 'the label', QUALIFIED)
    form(notes, value, `metadata.labels.${key}`, LABEL_VALUE)
  }
}

function checkAnnotations(annotations: Node | undefined, notes: Notes): void {
  if (annotations?.kind !== 'map') return
  let bytes = 0
  for (const [key, { key: span, value }] of annotations.entries) {
    // Unlike labels, their keys are compared without regard to case.
    form(notes, { kind: 'scalar', value: key.toLowerCase(), span }, 'the annotation', QUALIFIED)
    bytes += utf8Length(key) + (value.kind === 'scalar' && typeof value.value === 'string' ? utf8Length(value.value) : 0)
  }
  if (bytes > MOST_ANNOTATIONS) notes.say('MERLON_POLICY_TOO_LONG', annotations, { path: 'metadata.annotations', limit: `${MOST_ANNOTATIONS} bytes` })
}

function form(notes: Notes, node: Node | undefined, path: string, wanted: Form): void {
  if (node?.kind !== 'scalar' || typeof node.value !== 'string') return
  if (!wanted.pattern.test(node.value) || node.value.length > wanted.longest) notes.say('MERLON_POLICY_INVALID_NAME', node, { path, expected: wanted.words })
}

function isEmpty(node: Node | undefined): boolean {
  return node === undefined || (node.kind === 'scalar' && node.value === '')
}

function kindOf(root: Node): string {
  const kind = field(root, 'kind')
  return kind?.kind === 'scalar' ? String(kind.value) : ''
}

function utf8Length(text: string): number {
  return new TextEncoder().encode(text).length
}
