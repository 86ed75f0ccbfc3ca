// SPDX-License-Identifier: Apache-2.0
// Policies as text, of any number of rules: what the work of the compiler is bounded with (policy/work.test.ts) and measured with (bench/compile.ts).
import type { Match, Workload } from '../../policy/types.ts'

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
