// SPDX-License-Identifier: Apache-2.0
// Short ways to write policies and questions in tests.
import type { Policy, Question, Rule, Workload } from './types.ts'

export const NOWHERE = { file: '', line: 0, column: 0 } as const
export const WORKLOAD: Workload = { host: false, namespace: 'shop', pod: 'web-1', container: 'web', labels: { app: 'web' } }

const UTF8 = new TextEncoder()

/** A Block rule for files, unless `parts` says otherwise. */
export function rule(parts: Partial<Rule> & Pick<Rule, 'match'>): Rule {
  const defaults = { section: 'file', action: 'Block', readOnly: false, ownerOnly: false, sources: [], severity: 1, tags: [], message: '' } as const
  return { ...defaults, position: NOWHERE, ...parts }
}

/** A policy that selects every container of WORKLOAD's namespace. */
export function policy(name: string, rules: readonly Rule[], parts: Partial<Policy> = {}): Policy {
  const selector = { matchLabels: {}, matchExpressions: [], containers: [] }
  return { kind: 'KubeArmorPolicy', name, namespace: WORKLOAD.namespace, selector, rules, position: NOWHERE, ...parts }
}

/** A question about a path, by the owner unless `parts` says otherwise. */
export function ask(operation: Question['operation'], path: string, parts: { readonly owner?: boolean; readonly sources?: readonly string[] } = {}): Question {
  return { operation, owner: parts.owner ?? true, path: UTF8.encode(path), sources: (parts.sources ?? []).map((source) => UTF8.encode(source)) }
}

/** Milliseconds of processor time that `run` takes: unlike the clock it does not count what other processes do. */
export function costOf(run: () => void): number {
  const before = process.cpuUsage()
  run()
  const { user, system } = process.cpuUsage(before)
  return (user + system) / 1000
}
