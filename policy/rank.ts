// SPDX-License-Identifier: Apache-2.0
// "Which rule decides" (docs/semantics.md) as numbers, for sorting. The evaluator has its own words for the same.
import { parseCidr } from './cidr.ts'
import { domainKey } from './keys.ts'
import { PROTOCOLS } from './names.ts'
import type { Clause, Match } from './types.ts'

const UTF8 = new TextEncoder()
const SHAPES: Readonly<Partial<Record<Match['kind'], number>>> = { name: 1, pattern: 2, dir: 3 }
const STRICTNESS = ['Block', 'Audit', 'Allow']
const KINDS = ['KubeArmorPolicy', 'KubeArmorClusterPolicy', 'KubeArmorHostPolicy', 'KubeArmorNetworkPolicy', '']

/** The clause with the smaller list decides. Lists of one section never tie unless the clauses are of one rule, or equal. */
export function rankOf({ match, matches, sources, sourceDirectories, verdict, origin }: Clause): readonly (string | number)[] {
  return [
    sources.length + sourceDirectories.length > 0 ? 0 : 1,
    shapeOf(match),
    -lengthOf(matches[0] ?? match),
    STRICTNESS.indexOf(verdict),
    KINDS.indexOf(origin.kind),
    origin.namespace,
    origin.policy,
    origin.position.file,
    origin.position.line,
    origin.position.column,
  ]
}

function shapeOf(match: Match): number {
  if (match.kind === 'protocol') return protocolShape(match.protocol)
  if (match.kind === 'syscall') return match.path === undefined ? 4 : shapeOf(match.path)
  return SHAPES[match.kind] ?? 0
}

function protocolShape(protocol: string): number {
  const sockets = PROTOCOLS.get(protocol)
  if (sockets === undefined) return 3
  if (sockets.protocols.length > 0) return 0
  return sockets.types.length + sockets.families.length > 0 ? 1 : 2
}

/** Of matches of one shape the longer decides. */
function lengthOf(match: Match): number {
  if (match.kind === 'dir') return UTF8.encode(match.dir).length
  if (match.kind === 'syscall') return match.path?.kind === 'dir' ? lengthOf(match.path) : 0
  if (match.kind === 'domain') return domainKey(match.domain).length
  if (match.kind === 'device') return scoreOf(match)
  return match.kind === 'flow' ? (match.cidrs.length === 0 ? 0 : 2 * (1 + (parseCidr(match.cidrs[0]!)?.prefix ?? -1))) + (match.ports.length > 0 ? 1 : 0) : 0
}

/** Numbers of a device, by how much they tell. */
function scoreOf({ class: type, subClass, protocol, level }: Extract<Match, { kind: 'device' }>): number {
  const scores = [[type, 100], [subClass, 10], [protocol, 1], [level, 100]] as const
  return scores.reduce((sum, [value, score]) => (value === undefined ? sum : sum + score), 0)
}
