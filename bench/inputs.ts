// SPDX-License-Identifier: Apache-2.0
// What the compiler is measured with: policies as text, of any number of rules, and those that others wrote.
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Match, Policy, Workload } from '../policy/types.ts'

export const WORKLOAD: Workload = { host: false, namespace: 'default', pod: 'pod', container: 'main', labels: { app: 'web' } }

export type Rules = (i: number) => Match

/** As in a policy of an application that lists its files. */
export function paths(i: number): Match {
  return { kind: 'path', path: `/usr/lib/app-${String(i).padStart(5, '0')}/bin/tool-${i % 17}` }
}

/** All shapes: mostly paths and directories, some patterns, and 4 names and one pattern that begins with `**` however many rules there are. */
export function mixed(i: number): Match {
  if (i % 10 < 6) return { kind: 'path', path: `/opt/service-${i % 97}/bin/command-${i}` }
  if (i % 10 < 8) return { kind: 'dir', dir: `/var/lib/service-${i}/`, recursive: i % 20 < 10 }
  if (i % 100 === 8) return { kind: 'pattern', pattern: `/srv/**/data-${i % 100}/*.key` }
  return i % 10 === 8 ? { kind: 'name', name: `tool-${i % 40}` } : { kind: 'pattern', pattern: `/etc/service-${i}/*.conf` }
}

const LISTS = { path: 'matchPaths', name: 'matchPaths', dir: 'matchDirectories', pattern: 'matchPatterns' } as const

/** The text of one policy for WORKLOAD with `count` rules, every other one for processes. */
export function policyText(count: number, rules: Rules): string {
  const lines = ['apiVersion: security.kubearmor.com/v1', 'kind: KubeArmorPolicy', 'metadata:', '  name: bench', '  namespace: default', 'spec:', '  severity: 5', '  selector:', '    matchLabels:', '      app: web']
  for (const [parity, section] of ['process', 'file'].entries()) {
    lines.push(`  ${section}:`)
    const own = Array.from({ length: Math.ceil((count - parity) / 2) }, (_, k) => rules(k * 2 + parity))
    for (const list of ['matchPaths', 'matchDirectories', 'matchPatterns']) {
      const rulesOfList = own.filter(match => LISTS[match.kind as keyof typeof LISTS] === list)
      if (rulesOfList.length > 0) lines.push(`    ${list}:`, ...rulesOfList.flatMap(ruleLines))
    }
  }
  return [...lines, '  action: Block', ''].join('\n')
}

function ruleLines(match: Match): readonly string[] {
  if (match.kind === 'path') return [`    - path: ${match.path}`]
  if (match.kind === 'name') return [`    - execname: ${match.name}`]
  if (match.kind === 'dir') return [`    - dir: ${match.dir}`, `      recursive: ${match.recursive}`]
  if (match.kind === 'pattern') return [`    - pattern: '${match.pattern}'`]
  throw new Error(`No rules of kind ${match.kind} are measured`)
}

/** The same text with the path of rule `i` changed: another file, at the same place. */
export function edited(text: string, i: number): string {
  const path = `/app-${String(i).padStart(5, '0')}/`
  return text.replace(path, path.replace('app', 'new'))
}

export interface File {
  readonly name: string
  readonly text: string
}

/** The policies that others wrote: MERLON_CORPUS, or where it lies beside the project. */
export function corpus(): readonly File[] {
  const directory = process.env['MERLON_CORPUS'] ?? join(import.meta.dirname, '../../shared/corpus')
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
