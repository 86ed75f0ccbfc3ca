// SPDX-License-Identifier: Apache-2.0
// Objects that come from an API, as the trees that the reader reads. They have no lines: a place in them is the path of its fields.
import type { Entry, Node, Source } from './document.ts'
import type { Position } from './types.ts'

export interface Tree {
  readonly root: Node
  readonly source: Source
}

interface Step {
  /** Index of the step that this one goes on from; -1: none. */
  readonly parent: number
  readonly text: string
  readonly value: unknown
}

/** Of a value that JSON.parse() could have made. `name` is what positions begin with. */
export function treeOf(value: unknown, name: string): Tree {
  const steps: Step[] = []
  const root = convert({ parent: -1, text: '', value }, steps)
  const position = ({ start }: { readonly start: number }): Position => ({ file: [name, pathOf(steps, start)].filter(Boolean).join(' '), line: 0, column: 0 })
  return { root, source: { position, place: (span) => ({ position: position(span), text: textOf(steps[span.start]?.value) }) } }
}

/** A span's `start` is the index of its step. */
function convert(step: Step, steps: Step[]): Node {
  const { value } = step
  const start = steps.push(step) - 1
  const span = { start, end: start }
  if (Array.isArray(value)) return { kind: 'list', items: value.map((item, index) => convert({ parent: start, text: `[${index}]`, value: item }, steps)), span }
  if (typeof value === 'object' && value !== null) {
    const entries = new Map<string, Entry>()
    for (const [key, each] of Object.entries(value)) {
      const child = convert({ parent: start, text: `.${key}`, value: each }, steps)
      entries.set(key, { key: child.span, value: child })
    }
    return { kind: 'map', entries, span }
  }
  const isPlain = typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean'
  return { kind: 'scalar', value: isPlain ? value : null, span }
}

function pathOf(steps: readonly Step[], start: number): string {
  const parts: string[] = []
  for (let step = steps[start]; step !== undefined; step = steps[step.parent]) parts.push(step.text)
  return parts.toReversed().join('').replace(/^\./, '')
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : (JSON.stringify(value) ?? '')
}
