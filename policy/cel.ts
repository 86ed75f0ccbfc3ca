// SPDX-License-Identifier: Apache-2.0
// What the rules (x-kubernetes-validations) of the custom resources are made of once crds/generate.ts has turned them into functions. Where CEL
// fails, at a field that is not there, these give null: our rules ask `has` first, and a test holds them equal to an implementation of CEL.
import type { Node } from './document.ts'

export type Value = string | number | bigint | boolean | null | readonly Value[] | { readonly [name: string]: Value }

export interface Check {
  readonly holds: (self: Value) => boolean
  readonly message: string
}

export function valueOf(node: Node): Value {
  if (node.kind === 'scalar') return node.value
  if (node.kind === 'list') return node.items.map(valueOf)
  return Object.fromEntries([...node.entries].map(([name, { value }]) => [name, valueOf(value)]))
}

export function get(value: Value, name: string): Value {
  return isFields(value) && Object.hasOwn(value, name) ? (value[name] ?? null) : null
}

/** The API server drops nulls before it looks, so that a null is as good as absent. */
export function has(value: Value, name: string): boolean {
  return get(value, name) !== null
}

export function isIn(value: Value, list: readonly Value[]): boolean {
  return list.includes(value)
}

export function size(value: Value): number {
  if (typeof value === 'string') return Array.from(value).length
  if (Array.isArray(value)) return value.length
  return isFields(value) ? Object.keys(value).length : 0
}

function isFields(value: Value): value is { readonly [name: string]: Value } {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
