// SPDX-License-Identifier: Apache-2.0
// The operator's status file, as far as people and `merlon up` need it. What is missing in it reads as nothing, so that an older or newer
// operator's file can still be shown.
import { readFile, stat } from 'node:fs/promises'

export interface StatusFinding {
  readonly code: string
  readonly severity: string
  readonly message: string
  readonly file: string
  readonly line: number
  readonly column: number
  readonly text: string
  readonly hint: string
}

export interface StatusPolicy {
  readonly kind: string
  readonly namespace: string
  readonly name: string
  readonly file: string
  readonly workloads: number
}

export interface StatusNode {
  readonly name: string
  readonly connected: boolean
  /** Of the last message that the node has acknowledged; 0: none yet. */
  readonly generation: number
  readonly acknowledged: boolean
  readonly errors: readonly string[]
  /** undefined: it did not run. */
  readonly canaryRefused: boolean | undefined
  readonly reasons: readonly string[]
}

export interface Status {
  /** When the file was written, milliseconds since 1970. */
  readonly writtenMs: number
  readonly generation: number
  readonly workloads: number
  readonly policies: readonly StatusPolicy[]
  readonly findings: readonly StatusFinding[]
  readonly nodes: readonly StatusNode[]
  /** The file's content as it is. */
  readonly raw: unknown
}

/** undefined where there is no status file, or not a whole one. */
export async function readStatus(path: string): Promise<Status | undefined> {
  try {
    const [text, { mtimeMs }] = await Promise.all([readFile(path, 'utf8'), stat(path)])
    return parseStatus(JSON.parse(text), mtimeMs)
  } catch (error) {
    if (error instanceof SyntaxError || ['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '')) return undefined
    throw error
  }
}

type Json = Readonly<Record<string, unknown>>

export function parseStatus(raw: unknown, writtenMs: number): Status {
  const top = object(raw)
  const generation = number(top['generation'])
  return {
    writtenMs,
    generation,
    workloads: Array.isArray(top['workloads']) ? top['workloads'].length : number(top['workloads']),
    policies: list(top['policies']).map(policy),
    findings: list(top['findings']).map(finding),
    nodes: list(top['nodes']).map((node) => nodeStatus(node, generation)),
    raw,
  }
}

function policy(from: Json): StatusPolicy {
  const workloads = from['workloads']
  return {
    kind: text(from['kind']),
    namespace: text(from['namespace']),
    name: text(from['name']),
    file: text(from['file'] ?? object(from['position'])['file']),
    workloads: Array.isArray(workloads) ? workloads.length : number(workloads),
  }
}

function finding(from: Json): StatusFinding {
  const position = object(from['position'])
  return {
    code: text(from['code']),
    severity: text(from['severity']),
    message: text(from['message']),
    file: text(from['file'] ?? position['file']),
    line: number(from['line'] ?? position['line']),
    column: number(from['column'] ?? position['column']),
    text: text(from['text']),
    hint: text(from['hint']),
  }
}

function nodeStatus(from: Json, current: number): StatusNode {
  const generation = number(from['acknowledged'] ?? from['generation'])
  const canary = object(from['canary'])
  return {
    name: text(from['name'] ?? from['node']),
    connected: from['connected'] !== false,
    generation,
    acknowledged: generation > 0 && generation >= current,
    errors: list(from['errors']).map((error) => [text(error['code']), text(error['message'])].filter((part) => part !== '').join(': ')),
    canaryRefused: canary['ran'] === true ? canary['refused'] === true : undefined,
    reasons: strings(from['reasons'] ?? object(from['abilities'])['reasons']),
  }
}

/** In half a sentence: what is enforced. */
export function summarise(status: Status | undefined): string {
  if (status === undefined) return 'no status yet'
  const errors = status.findings.filter(({ severity }) => severity === 'error').length
  const parts = [count(status.policies.length, 'policy', 'policies'), count(status.workloads, 'workload', 'workloads'), count(errors, 'error', 'errors')]
  const refused = status.nodes.some((node) => node.canaryRefused === true)
  return `${parts.join(', ')}${refused ? ', a forbidden probe was refused by the kernel' : ''}`
}

export function count(number: number, one: string, many: string): string {
  return `${number} ${number === 1 ? one : many}`
}

function object(value: unknown): Json {
  return typeof value === 'object' && value !== null ? (value as Json) : {}
}

function list(value: unknown): readonly Json[] {
  return Array.isArray(value) ? value.map(object) : []
}

function strings(value: unknown): readonly string[] {
  return Array.isArray(value) ? value.map(text) : []
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : ''
}

function number(value: unknown): number {
  return typeof value === 'number' ? value : 0
}
