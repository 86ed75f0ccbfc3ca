// SPDX-License-Identifier: Apache-2.0
// Policies that others wrote, and workloads for them.
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Policy, Workload } from '../policy/types.ts'

export interface File {
  readonly name: string
  readonly text: string
}

/** The manifests of a directory. */
export function corpus(directory: string): readonly File[] {
  return globSync('**/*.{yaml,yml}', { cwd: directory })
    .toSorted()
    .map(name => ({ name, text: readFileSync(join(directory, name), 'utf8') }))
}

/** Workloads that between them are selected by every policy: each has the labels that a run of neighbours asks for, where their namespaces agree. */
export function workloadsFor(policies: readonly Policy[], count: number): readonly Workload[] {
  const own = policies.filter(({ kind }) => kind === 'KubeArmorPolicy').toSorted((a, b) => (a.namespace < b.namespace ? -1 : a.namespace > b.namespace ? 1 : 0))
  return Array.from({ length: count }, (_, i) => {
    const [from, to] = [i, i + 1].map(n => Math.floor((n * own.length) / count))
    const run = own.slice(from, to).filter(({ namespace }) => namespace === own[from!]?.namespace)
    const labels: Record<string, string> = Object.assign({}, ...run.map(({ selector }) => selector.matchLabels))
    return { host: false, namespace: own[from!]?.namespace ?? 'default', pod: `pod-${i}`, container: 'main', labels }
  })
}
