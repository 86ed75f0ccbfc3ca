// SPDX-License-Identifier: Apache-2.0
// Every way in which the kernel may see what a rule names.
import { expand } from './alias.ts'
import { isPathMatch, type Links, type Match, type Rule } from './types.ts'

export interface Names {
  readonly links: Links | undefined
  readonly searchDomains: readonly string[]
}

/** One list for each clause: of two directories, domains or networks the longer one decides, so a clause holds one length of them. */
export function matchesOf({ section, match }: Pick<Rule, 'section' | 'match'>, { links, searchDomains }: Names): readonly (readonly Match[])[] {
  if (match.kind === 'dir') return expand(match, section, links).map((each) => [each])
  if (isPathMatch(match)) return [expand(match, section, links)]
  if (match.kind === 'domain') return ['', ...searchDomains].map((suffix) => [{ kind: 'domain', domain: `${match.domain}.${suffix}` }])
  if (match.kind === 'flow' && match.cidrs.length > 0) return match.cidrs.map((cidr) => [{ ...match, cidrs: [cidr] }])
  if (match.kind !== 'syscall' || match.path === undefined) return [[match]]
  return expand(match.path, section, links).map((path) => [{ ...match, path: path as NonNullable<typeof match.path> }])
}
