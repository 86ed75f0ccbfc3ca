// SPDX-License-Identifier: Apache-2.0
// Random matches of what is no path, and keys near the edges of what they match.
import fc from 'fast-check'
import { parseCidr } from '../../policy/cidr.ts'
import { capabilityKey, deviceKey, domainKey, flowKey, networkKey, presetKey, syscallKey } from '../../policy/keys.ts'
import { CAPABILITIES, PRESETS, PROTOCOLS } from '../../policy/names.ts'
import { SYSCALL_NUMBERS } from '../../policy/syscalls.ts'
import { isPathMatch, type Match, type Operation, type PortRange, type Section } from '../../policy/types.ts'
import type { Draw } from './generate.ts'

const UTF8 = new TextEncoder()
const DOMAINS = ['a.b', 'b', 'A.b.', 'x.a.b', 'aa.b', 'é.b', 'svc.cluster.local'] as const
const CIDRS = ['10.0.0.0/8', '10.1.0.0/15', '10.1.2.3', '0.0.0.0/0', '192.168.77.0/27', '::/0', 'fd00::/9', '2001:db8::1/128', 'fe80::1:2:3/70'] as const
const INTERFACES = ['eth0', 'eth', 'é'] as const

const ports: fc.Arbitrary<PortRange> = fc
  .record({ first: fc.constantFrom(0, 1, 53, 80, 255, 256, 8080, 65535), size: fc.constantFrom(0, 1, 15, 16, 300, 70000), protocol: fc.constantFrom<(PortRange['protocol'] | undefined)[]>(undefined, 'TCP', 'UDP', 'SCTP') })
  .map(({ first, size, protocol }) => ({ first, last: Math.min(65535, first + size), ...(protocol === undefined ? {} : { protocol }) }))

const flow = fc
  .record({ cidrs: fc.uniqueArray(fc.constantFrom(...CIDRS), { maxLength: 2 }), ports: fc.array(ports, { maxLength: 2 }), interfaces: fc.uniqueArray(fc.constantFrom(...INTERFACES), { maxLength: 2 }) })
  .map((value): Match => ({ kind: 'flow', ...value }))

const numbers = fc.constantFrom(0, 1, 3, 8, 255)
const device = fc
  .record({ class: numbers, subClass: numbers, protocol: numbers, level: fc.constantFrom(1, 2, 0x7fffffff) }, { requiredKeys: [] })
  .map((value): Match => ({ kind: 'device', ...value }))

const syscall = fc
  .record({ syscall: fc.constantFrom('unlink', 'unlinkat', 'mount', 'umount', 'nonsense'), path: fc.constantFrom<Extract<Match, { kind: 'path' | 'dir' }>[]>({ kind: 'path', path: '/bin/a' }, { kind: 'dir', dir: '/usr/', recursive: false }, { kind: 'dir', dir: '/usr/bin/', recursive: true }) }, { requiredKeys: ['syscall'] })
  .map((value): Match => ({ kind: 'syscall', ...value }))

export const keyMatch: fc.Arbitrary<{ readonly section: Section; readonly match: Match }> = fc.oneof(
  fc.constantFrom(...PROTOCOLS.keys()).map((protocol) => ({ section: 'network' as const, match: { kind: 'protocol' as const, protocol } })),
  fc.constantFrom(...DOMAINS).map((domain) => ({ section: 'dns' as const, match: { kind: 'domain' as const, domain } })),
  fc.constantFrom('net_raw', 'chown', 'bpf', 'unknown').map((capability) => ({ section: 'capabilities' as const, match: { kind: 'capability' as const, capability } })),
  syscall.map((match) => ({ section: 'syscalls' as const, match })),
  device.map((match) => ({ section: 'device' as const, match })),
  fc.constantFrom(...PRESETS).map((preset) => ({ section: 'preset' as const, match: { kind: 'preset' as const, preset } })),
  fc.tuple(fc.constantFrom('ingress' as const, 'egress' as const), flow).map(([section, match]) => ({ section, match })),
)

/** A key that the match covers, or just does not. */
export function realiseKey(match: Match, operation: Operation, draw: Draw): Uint8Array {
  if (isPathMatch(match) || match.kind === 'invoked') return wildKey(operation, draw)
  switch (match.kind) {
    case 'protocol':
      return socket(match.protocol, draw)
    case 'domain':
      return domainKey(`${['', 'www.', 'a.', 'x'][draw(4)]}${match.domain}${['', '.svc.cluster.local', '.b'][draw(3)]}`)
    case 'capability':
      return capabilityKey(Math.max(0, CAPABILITIES.indexOf(match.capability)) + near(draw))
    case 'preset':
      return presetKey(PRESETS.indexOf(match.preset) + near(draw))
    case 'syscall':
      return call(match, draw)
    case 'device':
      return usb(match, draw)
    case 'flow':
      return packet(match, operation === 'egress' ? 'egress' : 'ingress', draw)
  }
}

/** Usually 0, at times the next number. */
function near(draw: Draw): number {
  return draw(4) === 0 ? 1 : 0
}

function call({ syscall: name, path }: Extract<Match, { kind: 'syscall' }>, draw: Draw): Uint8Array {
  const paths = path === undefined ? ['', '/x'] : path.kind === 'path' ? [path.path] : [path.dir.slice(0, -1), path.dir, `${path.dir}a`, `${path.dir}a/b`]
  return syscallKey(SYSCALL_NUMBERS.get(name) ?? 87, UTF8.encode(paths[draw(paths.length)]))
}

function usb(match: Extract<Match, { kind: 'device' }>, draw: Draw): Uint8Array {
  return deviceKey({ class: match.class ?? draw(256), subClass: match.subClass ?? draw(256), protocol: match.protocol ?? draw(256), level: match.level ?? 1 + draw(3) })
}

function socket(protocol: string, draw: Draw): Uint8Array {
  const { families, types, protocols } = PROTOCOLS.get(protocol) ?? { families: [1, 16], types: [], protocols: [] }
  const one = (values: readonly number[], below: number): number => (values.length === 0 || draw(6) === 0 ? draw(below) : values[draw(values.length)]!)
  return networkKey({ family: one(families, 46), type: one(types, 11), protocol: one(protocols, 263) })
}

function packet({ cidrs, ports: ranges, interfaces }: Extract<Match, { kind: 'flow' }>, direction: 'ingress' | 'egress', draw: Draw): Uint8Array {
  const range = ranges[draw(Math.max(1, ranges.length))]
  const transport = range?.protocol === undefined ? [6, 17, 132, 1][draw(4)]! : { TCP: 6, UDP: 17, SCTP: 132 }[range.protocol]
  const port = range === undefined ? draw(65536) : [range.first, range.last, Math.max(0, range.first - 1), Math.min(65535, range.last + 1)][draw(4)]!
  return flowKey(direction, { transport, port, address: address(cidrs[draw(Math.max(1, cidrs.length))] ?? '::/0', draw), iface: interfaces[draw(Math.max(1, interfaces.length))] ?? ['', 'lo'][draw(2)]! })
}

/** In the network, but for one bit that may be changed. */
function address(cidr: string, draw: Draw): Uint8Array {
  const { bytes, prefix } = parseCidr(cidr)!
  const result = bytes.slice()
  for (let bit = prefix; bit < bytes.length * 8; bit++) if (draw(2) === 0) result[bit >> 3]! ^= 0x80 >> (bit & 7)
  const flip = draw(4) === 0 && prefix > 0 ? draw(prefix) : -1
  if (flip >= 0) result[flip >> 3]! ^= 0x80 >> (flip & 7)
  return result
}

/** Some key of an operation. */
export function wildKey(operation: Operation, draw: Draw): Uint8Array {
  if (operation === 'exec' || operation === 'read' || operation === 'write') return domainKey('')
  if (operation === 'ingress' || operation === 'egress') return packet({ kind: 'flow', cidrs: [], ports: [], interfaces: [] }, operation, draw)
  switch (operation) {
    case 'network':
      return socket(['tcp', 'udp', 'stream', 'raw', 'all', 'local'][draw(6)]!, draw)
    case 'dns':
      return domainKey(['a.b', 'b', 'c', ''][draw(4)]!)
    case 'capability':
      return capabilityKey(draw(45))
    case 'syscall':
      return syscallKey(draw(500), UTF8.encode(['', '/usr/bin/a'][draw(2)]))
    case 'device':
      return deviceKey({ class: draw(256), subClass: draw(4), protocol: draw(4), level: 1 + draw(3) })
    case 'preset':
      return presetKey(draw(8))
  }
}
