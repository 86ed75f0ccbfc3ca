// SPDX-License-Identifier: Apache-2.0
// Operations as people name them, as questions.
import { parseCidr } from './cidr.ts'
import { capabilityKey, deviceKey, domainKey, flowKey, networkKey, presetKey, syscallKey, type Socket } from './keys.ts'
import { CAPABILITIES, PRESETS } from './names.ts'
import { normalisePath } from './path.ts'
import { SYSCALL_NUMBERS } from './syscalls.ts'
import type { Operation, Question } from './types.ts'

/** What a person says of an operation. `resource` is what it is done to, in the form that RESOURCES names. */
export interface Asked {
  readonly operation: string
  readonly resource: string
  readonly write?: boolean
  readonly owner?: boolean
  readonly tty?: boolean
  readonly overQuota?: boolean
  readonly invoked?: string
  /** Absent: not known. */
  readonly args?: readonly string[]
  /** Executables: of the process, and for an exec that of its parent. */
  readonly sources: readonly string[]
}

export type Asking = { readonly ok: true; readonly question: Question } | { readonly ok: false; readonly problem: string }

/** What file rules call a write, beside an open for writing: all that changes a file, its name or its attributes. */
export const WRITES: readonly string[] = ['create', 'mknod', 'mkdir', 'rmdir', 'unlink', 'rename', 'link', 'symlink', 'truncate', 'chmod', 'chown', 'setxattr']
const SOCKETS: readonly string[] = ['socket', 'connect', 'bind', 'listen', 'accept', 'network']
/** Of these policies know the system call. */
const CALLS: readonly string[] = ['mount', 'umount', 'ptrace']
const KEYS: readonly string[] = ['capability', 'syscall', 'dns', 'device', 'preset', 'ingress', 'egress']

/** Every word for an operation. */
export const WORDS: readonly string[] = ['exec', 'open', ...WRITES, ...SOCKETS, ...KEYS, ...CALLS]

/** How to write what an operation is done to. */
export const RESOURCES = `an absolute path (exec, open, create and the like); a protocol such as tcp, or FAMILY/TYPE/PROTOCOL
in numbers (socket, connect, bind, accept); a name (capability, dns, preset); a name and perhaps a
path, as in "unlink /etc/x" (syscall; mount, umount and ptrace take the path alone);
CLASS/SUBCLASS/PROTOCOL/LEVEL (device); PROTOCOL/ADDRESS/PORT[/INTERFACE] (ingress, egress)`

const UTF8 = new TextEncoder()

export function askingOf(asked: Asked): Asking {
  const object = objectOf(asked)
  if (typeof object === 'string') return { ok: false, problem: object }
  const relative = asked.sources.find((source) => !source.startsWith('/'))
  if (relative !== undefined) return { ok: false, problem: `the executable ${JSON.stringify(relative)} is no absolute path` }
  const { owner = true, tty, overQuota, invoked, args, sources } = asked
  const exec = object.operation === 'exec'
  return {
    ok: true,
    question: {
      ...object,
      owner,
      sources: sources.map((source) => UTF8.encode(normalisePath(source))),
      ...(tty === undefined ? {} : { tty }),
      ...(overQuota === undefined ? {} : { overQuota }),
      ...(exec && invoked !== undefined ? { invoked: UTF8.encode(invoked.slice(invoked.lastIndexOf('/') + 1)) } : {}),
      ...(exec && args !== undefined ? { args: args.map((argument) => UTF8.encode(argument)) } : {}),
    },
  }
}

type Thing = Pick<Question, 'operation' | 'path'>

/** Or what is wrong with it. */
function objectOf({ operation, resource, write }: Asked): Thing | string {
  if (operation === 'exec') return pathOf('exec', resource)
  if (operation === 'open') return pathOf(write === true ? 'write' : 'read', resource)
  if (WRITES.includes(operation)) return pathOf('write', resource)
  if (CALLS.includes(operation)) return callOf(operation, resource)
  const read = SOCKETS.includes(operation) ? READERS['network'] : READERS[operation]
  return read === undefined ? `${JSON.stringify(operation)} is no operation` : read(resource)
}

const READERS: Readonly<Record<string, (resource: string) => Thing | string>> = {
  network: (resource) => keyOf('network', socketOf(resource), networkKey) ?? `${JSON.stringify(resource)} is no protocol: write ${[...SAMPLES.keys()].join(', ')}, or FAMILY/TYPE/PROTOCOL in numbers`,
  capability: (resource) => keyOf('capability', indexIn(CAPABILITIES, resource.toLowerCase().replace(/^cap_/, '')), capabilityKey) ?? `${JSON.stringify(resource)} is no capability`,
  preset: (resource) => keyOf('preset', indexIn(PRESETS, resource), presetKey) ?? `${JSON.stringify(resource)} is no preset: there are ${PRESETS.join(', ')}`,
  dns: (resource) => ({ operation: 'dns', path: domainKey(resource) }),
  syscall: (resource) => callOf(...split(resource)),
  device: (resource) => deviceOf(resource) ?? `${JSON.stringify(resource)} is no device: write CLASS/SUBCLASS/PROTOCOL/LEVEL in numbers`,
  ingress: (resource) => packetOf('ingress', resource),
  egress: (resource) => packetOf('egress', resource),
}

function pathOf(operation: Operation, resource: string): Thing | string {
  return resource.startsWith('/') ? { operation, path: UTF8.encode(normalisePath(resource)) } : `${JSON.stringify(resource)} is no absolute path`
}

function keyOf<T>(operation: Operation, value: T | undefined, encode: (value: T) => Uint8Array): Thing | undefined {
  return value === undefined ? undefined : { operation, path: encode(value) }
}

function indexIn(names: readonly string[], name: string): number | undefined {
  return names.includes(name) ? names.indexOf(name) : undefined
}

/** A socket that people mean by a word. */
const SAMPLES: ReadonlyMap<string, Socket> = new Map([
  ['tcp', { family: 2, type: 1, protocol: 6 }],
  ['udp', { family: 2, type: 2, protocol: 17 }],
  ['icmp', { family: 2, type: 2, protocol: 1 }],
  ['icmpv6', { family: 10, type: 2, protocol: 58 }],
  ['sctp', { family: 2, type: 1, protocol: 132 }],
  ['dccp', { family: 2, type: 6, protocol: 33 }],
  ['raw', { family: 2, type: 3, protocol: 255 }],
  ['packet', { family: 17, type: 3, protocol: 0x300 }],
  ['unix', { family: 1, type: 1, protocol: 0 }],
  ['netlink', { family: 16, type: 3, protocol: 0 }],
])

function socketOf(resource: string): Socket | undefined {
  const sample = SAMPLES.get(resource.toLowerCase())
  if (sample !== undefined) return sample
  const [family, type, protocol] = numbersIn(resource, [0xff, 0xf, 0xfff]) ?? []
  return family === undefined || type === undefined || protocol === undefined ? undefined : { family, type, protocol }
}

/** Numbers between slashes, none above its limit. */
function numbersIn(text: string, limits: readonly number[]): readonly number[] | undefined {
  const parts = text.split('/')
  const numbers = parts.map(Number)
  const fits = parts.length === limits.length && parts.every((part, index) => /^\d{1,10}$/.test(part) && numbers[index]! <= limits[index]!)
  return fits ? numbers : undefined
}

function split(resource: string): readonly [name: string, path: string] {
  const [name = '', ...path] = resource.split(' ')
  return [name, path.join(' ')]
}

function callOf(name: string, path: string): Thing | string {
  const number = SYSCALL_NUMBERS.get(name)
  if (number === undefined) return `${JSON.stringify(name)} is no system call`
  if (path !== '' && !path.startsWith('/')) return `${JSON.stringify(path)} is no absolute path`
  return { operation: 'syscall', path: syscallKey(number, UTF8.encode(path === '' ? '' : normalisePath(path))) }
}

function deviceOf(resource: string): Thing | undefined {
  const [type, subClass, protocol, level] = numbersIn(resource, [0xff, 0xff, 0xff, 0x7fffffff]) ?? []
  if (type === undefined || subClass === undefined || protocol === undefined || level === undefined) return undefined
  return { operation: 'device', path: deviceKey({ class: type, subClass, protocol, level }) }
}

const TRANSPORTS: ReadonlyMap<string, number> = new Map([['tcp', 6], ['udp', 17], ['sctp', 132], ['icmp', 1], ['icmpv6', 58]])

function packetOf(operation: 'ingress' | 'egress', resource: string): Thing | string {
  const key = packetKey(operation, resource)
  const problem = `${JSON.stringify(resource)} is no packet: write PROTOCOL/ADDRESS/PORT or PROTOCOL/ADDRESS/PORT/INTERFACE, as in tcp/10.0.0.1/443`
  return key === undefined ? problem : { operation, path: key }
}

function packetKey(operation: 'ingress' | 'egress', resource: string): Uint8Array | undefined {
  const [protocol = '', address = '', port = '', iface = '', ...more] = resource.split('/')
  const transport = TRANSPORTS.get(protocol.toLowerCase())
  const network = parseCidr(address)
  if (transport === undefined || network === undefined || !/^\d{1,5}$/.test(port) || Number(port) > 0xffff || more.length > 0) return undefined
  return flowKey(operation, { transport, port: Number(port), address: network.bytes, iface })
}
