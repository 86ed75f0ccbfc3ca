// SPDX-License-Identifier: Apache-2.0
// Rules in one line, for people.
import type { Match, PortRange, Rule, Section } from './types.ts'

/** `file directory /etc/ recursive readOnly from /bin/cat, /bin/sh`. */
export function describe(rule: Omit<Rule, 'action' | 'severity' | 'tags' | 'message' | 'position'>): string {
  const { section, match, quota, allowedArgs = [], sources, sourceDirectories = [] } = rule
  if (isPlain(rule)) return `${section} ${describeMatch(match)}`
  const from = [...sources, ...sourceDirectories.map(({ dir, recursive }) => dir + (recursive ? '**' : ''))]
  return [
    section,
    describeMatch(match),
    ...(rule.readOnly ? ['readOnly'] : []),
    ...(rule.ownerOnly ? ['ownerOnly'] : []),
    ...(rule.pts === undefined ? [] : [`pts ${rule.pts}`]),
    ...(allowedArgs.length > 0 ? [`allowedArgs ${allowedArgs.join(', ')}`] : []),
    ...(quota === undefined ? [] : [`limit ${quota.limit} bytes in ${quota.seconds} s for each ${quota.level}`]),
    ...(from.length > 0 ? [`from ${from.join(', ')}`] : []),
  ].join(' ')
}

/** Most rules, of which there may be many. */
function isPlain({ readOnly, ownerOnly, pts, quota, allowedArgs, sources, sourceDirectories }: Parameters<typeof describe>[0]): boolean {
  return !readOnly && !ownerOnly && pts === undefined && quota === undefined && allowedArgs === undefined && sources.length === 0 && sourceDirectories === undefined
}

export function describeReserved(policy: 'DefaultPosture' | 'Undecidable', section: Section): string {
  return policy === 'DefaultPosture' ? `${section} default posture` : `${section} undecidable`
}

const WORDS: { readonly [K in Match['kind']]: (match: Extract<Match, { kind: K }>) => string } = {
  path: ({ path }) => `path ${path}`,
  name: ({ name }) => `execname ${name}`,
  pattern: ({ pattern }) => `pattern ${pattern}`,
  dir: ({ dir, recursive }) => `directory ${dir}${recursive ? ' recursive' : ''}`,
  invoked: ({ path, name }) => `path ${path} executed as ${name}`,
  protocol: ({ protocol }) => `protocol ${protocol}`,
  domain: ({ domain }) => `domain ${domain}`,
  capability: ({ capability }) => `capability ${capability}`,
  syscall: ({ syscall, path }) => `syscall ${syscall}${path === undefined ? '' : ` ${describeMatch(path)}`}`,
  preset: ({ preset }) => `preset ${preset}`,
  device: describeDevice,
  flow: describeFlow,
}

export function describeMatch(match: Match): string {
  return (WORDS[match.kind] as (match: Match) => string)(match)
}

function describeDevice(match: Extract<Match, { kind: 'device' }>): string {
  const parts = [['subClass', match.subClass], ['protocol', match.protocol], ['level', match.level]] as const
  return [`class ${match.class ?? 'ALL'}`, ...parts.flatMap(([name, value]) => (value === undefined ? [] : [`${name} ${value}`]))].join(' ')
}

function describeFlow({ cidrs, ports, interfaces }: Extract<Match, { kind: 'flow' }>): string {
  const parts = [cidrs.join(', ') || 'any address', ...(ports.length > 0 ? [`ports ${ports.map(describePorts).join(', ')}`] : []), ...(interfaces.length > 0 ? [`on ${interfaces.join(', ')}`] : [])]
  return parts.join(' ')
}

function describePorts({ first, last, protocol }: PortRange): string {
  return `${first === last ? first : `${first}-${last}`}${protocol === undefined ? '' : `/${protocol}`}`
}
