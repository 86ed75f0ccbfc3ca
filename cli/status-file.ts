// SPDX-License-Identifier: Apache-2.0
// The operator's status file, as far as people and `merlon up` need it. Must match OperatorStatus in operator/status.ts.
import { readFile } from 'node:fs/promises'

const VERSION = 1

export interface StatusFinding {
  readonly code: string
  readonly severity: string
  readonly message: string
  readonly position: { readonly file: string; readonly line: number; readonly column: number }
  readonly text: string
  readonly hint: string
}

export interface StatusFailure {
  readonly node: string
  readonly workload: string
  readonly code: string
  readonly message: string
}

export interface StatusPolicy {
  readonly kind: string
  readonly namespace: string
  readonly name: string
  readonly file: string
  readonly line: number
  readonly state: 'refused' | 'pending' | 'failed' | 'programmed' | 'idle'
  /** An earlier version of its file is in force. */
  readonly stale: boolean
  readonly workloads: { readonly selected: number; readonly programmed: number }
  readonly failures: readonly StatusFailure[]
}

export interface StatusNode {
  readonly node: string
  readonly connected: boolean
  readonly bpfLsm: boolean
  /** What the node lacks, in sentences. */
  readonly reasons: readonly string[]
  readonly workloads: number
  readonly generation: { readonly sent: number; readonly acknowledged: number }
  readonly errors: readonly StatusFailure[]
  readonly canary: { readonly ran: boolean; readonly refused: boolean; readonly message: string } | null
  /** RFC 3339; empty: never. */
  readonly acknowledgedAt: string
}

export interface Status {
  readonly version: number
  /** RFC 3339, when the file was written. */
  readonly time: string
  readonly directory: string
  readonly policies: readonly StatusPolicy[]
  readonly nodes: readonly StatusNode[]
  readonly findings: readonly StatusFinding[]
}

export type StatusRead =
  | { readonly ok: true; readonly value: Status }
  | { readonly ok: false; readonly why: 'absent' | 'unreadable'; readonly message: string }

export async function readStatus(path: string): Promise<StatusRead> {
  let text
  try {
    text = await readFile(path, 'utf8')
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    return { ok: false, why: code === 'ENOENT' || code === 'ENOTDIR' ? 'absent' : 'unreadable', message }
  }
  try {
    const status = JSON.parse(text) as Status
    if (status.version === VERSION) return { ok: true, value: status }
    return { ok: false, why: 'unreadable', message: `it has version ${JSON.stringify(status.version)}, this merlon reads version ${VERSION}` }
  } catch (error) {
    return { ok: false, why: 'unreadable', message: (error as Error).message }
  }
}

/** Whether the node has confirmed everything that it was sent. */
export function isCurrent({ connected, acknowledgedAt, generation }: StatusNode): boolean {
  return connected && acknowledgedAt !== '' && generation.acknowledged >= generation.sent
}

/** undefined: it did not run. */
export function isProbeRefused({ canary }: StatusNode): boolean | undefined {
  return canary?.ran === true ? canary.refused : undefined
}

/** In half a sentence: what is enforced. */
export function summarise(status: Status): string {
  const states = Map.groupBy(status.policies, ({ state }) => state)
  const policies = [...states].map(([state, { length }]) => `${length} ${state}`).join(', ')
  const workloads = status.nodes.reduce((sum, node) => sum + node.workloads, 0)
  const errors = status.findings.filter(({ severity }) => severity === 'error').length
  const parts = [
    `${count(status.policies.length, 'policy', 'policies')}${policies === '' ? '' : ` (${policies})`}`,
    count(workloads, 'workload', 'workloads'),
    count(errors, 'error', 'errors'),
    probe(status.nodes),
  ]
  return parts.join(', ')
}

function probe(nodes: readonly StatusNode[]): string {
  const answers = nodes.map(isProbeRefused)
  if (answers.includes(false)) return 'the probe was NOT refused: nothing is enforced'
  return answers.includes(true) ? 'a forbidden probe was refused' : 'no probe was run: enforcement is not proven'
}

export function count(number: number, one: string, many: string): string {
  return `${number} ${number === 1 ? one : many}`
}
