// SPDX-License-Identifier: Apache-2.0
// Reading a tree that the schema has found valid: absent, null and of another type are all the same.
import type { Entry, Node } from './document.ts'

export function isNull(node: Node): boolean {
  return node.kind === 'scalar' && node.value === null
}

/** The entry's value, unless it is absent or null, which the API server takes for the same. */
export function field(node: Node | undefined, name: string): Node | undefined {
  const entry: Entry | undefined = node?.kind === 'map' ? node.entries.get(name) : undefined
  return entry === undefined || isNull(entry.value) ? undefined : entry.value
}

export function items(node: Node | undefined): readonly Node[] {
  return node?.kind === 'list' ? node.items : []
}

export function text(node: Node | undefined, name: string): string | undefined {
  return stringOf(field(node, name))
}

export function stringOf(node: Node | undefined): string | undefined {
  return node?.kind === 'scalar' && typeof node.value === 'string' ? node.value : undefined
}

export function strings(node: Node | undefined): readonly string[] {
  return items(node).flatMap((item) => stringOf(item) ?? [])
}

export function truth(node: Node, name: string): boolean {
  return triState(node, name) === true
}

/** Undefined where nothing is said. */
export function triState(node: Node, name: string): boolean | undefined {
  const value = field(node, name)
  return value?.kind === 'scalar' && typeof value.value === 'boolean' ? value.value : undefined
}

export function integer(node: Node | undefined, name: string): number | undefined {
  const value = field(node, name)
  return value?.kind === 'scalar' && (typeof value.value === 'number' || typeof value.value === 'bigint') ? Number(value.value) : undefined
}

/** The string values of a mapping. */
export function stringMap(node: Node | undefined): Readonly<Record<string, string>> {
  if (node?.kind !== 'map') return {}
  return Object.fromEntries(
    [...node.entries.keys()].flatMap((key) => {
      const value = text(node, key)
      return value === undefined ? [] : [[key, value] as const]
    }),
  )
}
