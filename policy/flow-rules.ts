// SPDX-License-Identifier: Apache-2.0
// Rules of network policies: who may be reached by whom, and how much may pass.
import { attributes, PLAIN, type Attributes } from './attributes.ts'
import { parseCidr } from './cidr.ts'
import type { Node } from './document.ts'
import type { Notes } from './notes.ts'
import { noteWildcard } from './path-rules.ts'
import { bytesOf, portOf, secondsOf, SERVICE_NAMES } from './ports.ts'
import { nearest } from './spelling.ts'
import { field, integer, items, stringOf, text } from './tree.ts'
import type { PortRange, Quota, Rule } from './types.ts'

type Level = Quota['level']
const TRANSPORTS = ['TCP', 'UDP', 'SCTP'] as const
/** A network interface's name has 15 bytes at most. */
const LONGEST_INTERFACE = 15

/** `level`: what quotas are counted for. */
export function flowRules(section: 'ingress' | 'egress', spec: Node | undefined, level: Level, context: { readonly inherited: Attributes; readonly notes: Notes }): readonly Rule[] {
  const { inherited, notes } = context
  return items(field(spec, section)).flatMap((rule) => {
    const first = notes.findings.length
    const cidrs = items(field(rule, section === 'ingress' ? 'from' : 'to')).map((peer) => cidrOf(peer, notes))
    const ports = items(field(rule, 'ports')).flatMap((port) => portRange(port, notes) ?? [])
    const interfaces = items(field(rule, 'iface')).map((each) => interfaceOf(each, notes))
    const quota = quotaOf(rule, level, notes)
    // A flow whose conditions could not all be read would be about more than was written.
    if (notes.anyError(first)) return []
    const match = { kind: 'flow', cidrs, ports, interfaces } as const
    return [{ section, match, ...PLAIN, ...attributes(rule, inherited), ...(quota === undefined ? {} : { quota }), position: notes.position(rule) }]
  })
}

function cidrOf(peer: Node, notes: Notes): string {
  const node = field(field(peer, 'ipBlock'), 'cidr')
  const cidr = (stringOf(node) ?? '').trim()
  if (parseCidr(cidr) === undefined) notes.say('MERLON_POLICY_INVALID_CIDR', node ?? peer)
  return cidr
}

function portRange(node: Node, notes: Notes): PortRange | undefined {
  const written = (text(node, 'port') ?? '').trim()
  const first = portOf(written)
  if (first === undefined) {
    const near = nearest(written, SERVICE_NAMES)
    const suggestion = near === undefined ? `write a number from 1 to 65535, or one of ${SERVICE_NAMES.join(', ')}` : `did you mean ${near}?`
    notes.say('MERLON_POLICY_UNKNOWN_NAME', field(node, 'port') ?? node, { name: written, suggestion })
    return undefined
  }
  const last = integer(node, 'endPort') ?? first
  if (last < first) {
    notes.say('MERLON_POLICY_OUT_OF_RANGE', field(node, 'endPort') ?? node, { path: 'endPort', expected: `at least the port, ${first}` })
    return undefined
  }
  const protocol = TRANSPORTS.find((each) => each === text(node, 'protocol')?.toUpperCase())
  return { first, last, ...(protocol === undefined ? {} : { protocol }) }
}

function interfaceOf(node: Node, notes: Notes): string {
  const name = stringOf(node) ?? ''
  if (name === '' || new TextEncoder().encode(name).length > LONGEST_INTERFACE || /[\s/:]/.test(name)) notes.say('MERLON_POLICY_INVALID_INTERFACE', node)
  else noteWildcard('iface', name, node, { notes })
  return name
}

/** Limit and duration make a quota together. */
function quotaOf(rule: Node, level: Level, notes: Notes): Quota | undefined {
  const written = { limit: field(rule, 'limit'), duration: field(rule, 'duration') }
  if (written.limit === undefined && written.duration === undefined) return undefined
  const limit = bytesOf(stringOf(written.limit) ?? '')
  const seconds = secondsOf(stringOf(written.duration) ?? '')
  const problem = (at: Node | undefined, words: string): undefined => notes.say('MERLON_POLICY_INVALID_QUOTA', at ?? rule, { problem: words }) as undefined
  if (written.limit === undefined) return problem(written.duration, 'a duration without a limit')
  if (written.duration === undefined) return problem(written.limit, 'a limit without a duration')
  if (limit === undefined) return problem(written.limit, 'the limit is too large')
  if (seconds === undefined) return problem(written.duration, 'the duration is none')
  return { limit, seconds, level }
}
