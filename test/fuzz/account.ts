// SPDX-License-Identifier: Apache-2.0
// Nothing is accepted in silence: every document of a text, and every rule that is written in a policy, is in the result or has a finding.
import { parseDocuments, type Node, type Source, type Span } from '../../policy/document.ts'
import type { Manifests } from '../../policy/read.ts'
import type { Finding, Position } from '../../policy/types.ts'

/** Documents and rules of which nothing is heard, as `line:column what`. */
export function unaccounted(text: string, read: Manifests): readonly string[] {
  const { source, roots } = parseDocuments(text, 'x.yaml')
  // What is wrong with a list as a whole is about all that is in it.
  const whole = (root: Node): boolean => read.findings.some(({ position, severity }) => severity === 'error' && isAt(position, source.position(root.span)))
  return roots.filter((root) => !whole(root)).flatMap(objectsOf).flatMap((root) => {
    const here = source.position(root.span)
    const policy = read.policies.find(({ position }) => isAt(position, here))
    if (policy !== undefined) return rulesOf(root).filter((item) => !isHeardOf(item, source, policy.rules, read.findings)).map((item) => `${show(source.position(item.span))} rule`)
    const known = [...read.refused, ...read.namespaces, ...read.pods, ...read.nodes, ...read.settings].some(({ position }) => isAt(position, here))
    return known || read.findings.some(({ position }) => isWithin(position, source, extentOf(root))) ? [] : [`${show(here)} document`]
  })
}

/** The object itself, or what a list of objects holds. */
function objectsOf(root: Node): readonly Node[] {
  const kind = entry(root, 'kind')
  const items = entry(root, 'items')
  const isList = kind?.kind === 'scalar' && typeof kind.value === 'string' && kind.value.endsWith('List')
  if (!isList) return [root]
  return items?.kind === 'list' ? items.items.flatMap(objectsOf) : items === undefined ? [] : [items]
}

const OUTSIDE: readonly string[] = ['selector', 'nodeSelector', 'podSelector']

/** Items of every list of the spec that holds rules. */
function rulesOf(root: Node): readonly Node[] {
  const spec = entry(root, 'spec')
  if (spec?.kind !== 'map') return []
  return [...spec.entries].flatMap(([key, { value }]) => {
    if (OUTSIDE.includes(key)) return []
    if (value.kind === 'list') return ['presets', 'ingress', 'egress'].includes(key) ? value.items : []
    if (value.kind !== 'map') return []
    return [...value.entries].flatMap(([name, inner]) => (name.startsWith('match') && inner.value.kind === 'list' ? inner.value.items : []))
  })
}

function isHeardOf(item: Node, source: Source, rules: readonly { readonly position: Position }[], findings: readonly Finding[]): boolean {
  return rules.some(({ position }) => isWithin(position, source, extentOf(item))) || findings.some(({ position }) => isWithin(position, source, extentOf(item)))
}

function entry(node: Node | undefined, key: string): Node | undefined {
  return node?.kind === 'map' ? node.entries.get(key)?.value : undefined
}

function isAt(a: Position, b: Position): boolean {
  return a.line === b.line && a.column === b.column
}

/** From where it begins to the end of what is in it: a collection's own span may end with its first line. */
function extentOf(node: Node): Span {
  const below = node.kind === 'list' ? node.items : node.kind === 'map' ? [...node.entries.values()].map(({ value }) => value) : []
  // What an alias brings in stands before.
  return below.map(extentOf).reduce((all, { end }) => ({ start: all.start, end: Math.max(all.end, end) }), node.span)
}

function isWithin(position: Position, source: Source, { start, end }: Span): boolean {
  const [first, last] = [source.position({ start, end }), source.position({ start: Math.max(start, end), end })]
  return !isBefore(position, first) && !isBefore(last, position)
}

function isBefore(a: Position, b: Position): boolean {
  return a.line < b.line || (a.line === b.line && a.column < b.column)
}

function show({ line, column }: Position): string {
  return `${line}:${column}`
}
