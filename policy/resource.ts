// SPDX-License-Identifier: Apache-2.0
// What an operation is about, as people write it on a command line or in a test, to what a question has: paths, or the keys of keys.ts.
import { parseCidr } from './cidr.ts'
import { USB_CLASSES } from './devices.ts'
import { capabilityKey, deviceKey, domainKey, flowKey, networkKey, presetKey, syscallKey, type Socket } from './keys.ts'
import { CAPABILITIES, PRESETS } from './names.ts'
import { normalisePath } from './path.ts'
import { nearest } from './spelling.ts'
import { SYSCALL_NUMBERS } from './syscalls.ts'
import type { Operation } from './types.ts'

export type Resource = { readonly ok: true; readonly path: Uint8Array } | { readonly ok: false; readonly problem: string }

const UTF8 = new TextEncoder()

/** How to write what each operation is about. */
export const RESOURCE_FORMS: Readonly<Record<Operation, string>> = {
  exec: 'an absolute path',
  read: 'an absolute path',
  write: 'an absolute path',
  network: 'tcp, udp, icmp, raw, unix, ..., or FAMILY/TYPE/PROTOCOL such as inet6/stream/tcp',
  dns: 'a name, such as www.example.com',
  capability: 'a name, such as net_raw',
  syscall: 'a name, such as unlink, and perhaps a path after a space',
  device: 'CLASS[/SUBCLASS[/PROTOCOL]][@LEVEL], such as MASS-STORAGE or 8/6/80@2',
  preset: `one of ${PRESETS.join(', ')}`,
  ingress: 'ADDRESS[:PORT][/TRANSPORT][%INTERFACE], such as 10.0.0.1:80/tcp or [fd00::1]:53/udp%eth0',
  egress: 'ADDRESS[:PORT][/TRANSPORT][%INTERFACE], such as 10.0.0.1:80/tcp or [fd00::1]:53/udp%eth0',
}

/** The object of an operation, as a question has it. Never throws. */
export function readResource(operation: Operation, written: string): Resource {
  const result = READERS[operation](written)
  // Not instanceof: in a browser's frames or Node's contexts the bytes of TextEncoder may be of another realm.
  if (typeof result === 'object') return { ok: true, path: result }
  return { ok: false, problem: `${JSON.stringify(written)} is no object of ${operation}: write ${RESOURCE_FORMS[operation]}${result === undefined ? '' : `; did you mean ${result}?`}` }
}

/** The bytes, or what was perhaps meant, or neither. */
type Read = Uint8Array | string | undefined

/** White space around paths is part of their names. */
const READERS: Readonly<Record<Operation, (text: string) => Read>> = {
  exec: pathOf,
  read: pathOf,
  write: pathOf,
  network: (text) => socketOf(text.trim()),
  dns: (text) => (/^[^\s.][^\s]*$/.test(text.trim()) ? domainKey(text.trim()) : undefined),
  capability: (text) => numbered(CAPABILITIES, text.trim().toLowerCase().replace(/^cap_/, ''), capabilityKey),
  preset: (text) => numbered(PRESETS, PRESETS.find((each) => each.toLowerCase() === text.trim().toLowerCase()) ?? text, presetKey),
  syscall: callOf,
  device: (text) => deviceOf(text.trim()),
  ingress: (text) => flowOf('ingress', text.trim()),
  egress: (text) => flowOf('egress', text.trim()),
}

function pathOf(text: string): Read {
  return text.startsWith('/') && !text.includes('\0') ? UTF8.encode(normalisePath(text)) : undefined
}

function numbered(names: readonly string[], name: string, key: (number: number) => Uint8Array): Read {
  const number = names.indexOf(name)
  return number < 0 ? nearest(name, names) : key(number)
}

function callOf(text: string): Read {
  const [name = '', path] = text.split(/\s+(.*)/s)
  const number = SYSCALL_NUMBERS.get(name)
  if (number === undefined) return nearest(name, [...SYSCALL_NUMBERS.keys()])
  if (path === undefined || path === '') return syscallKey(number)
  return path.startsWith('/') ? syscallKey(number, UTF8.encode(normalisePath(path))) : undefined
}

/* ---- Sockets and packets ---- */

const FAMILIES: Readonly<Record<string, number>> = { unix: 1, inet: 2, inet6: 10, netlink: 16, packet: 17, vsock: 40 }
const TYPES: Readonly<Record<string, number>> = { stream: 1, dgram: 2, raw: 3, rdm: 4, seqpacket: 5, dccp: 6, packet: 10 }
const TRANSPORTS: Readonly<Record<string, number>> = { icmp: 1, tcp: 6, udp: 17, dccp: 33, icmpv6: 58, sctp: 132 }

/** The socket that a program makes who says no more. */
const USUAL: Readonly<Record<string, Socket>> = {
  tcp: { family: 2, type: 1, protocol: 6 }, udp: { family: 2, type: 2, protocol: 17 }, icmp: { family: 2, type: 3, protocol: 1 }, icmpv6: { family: 10, type: 3, protocol: 58 },
  sctp: { family: 2, type: 1, protocol: 132 }, dccp: { family: 2, type: 6, protocol: 33 }, raw: { family: 2, type: 3, protocol: 255 },
  unix: { family: 1, type: 1, protocol: 0 }, netlink: { family: 16, type: 3, protocol: 0 }, packet: { family: 17, type: 3, protocol: 0 },
}

function socketOf(text: string): Read {
  const name = text.toLowerCase()
  if (!name.includes('/')) return Object.hasOwn(USUAL, name) ? networkKey(USUAL[name]!) : nearest(name, Object.keys(USUAL))
  const [family, type, protocol, more] = name.split('/')
  const [a, b, c] = [numberOf(family, FAMILIES, 0xff), numberOf(type, TYPES, 0xf), numberOf(protocol, TRANSPORTS, 0xfff)]
  return a === undefined || b === undefined || c === undefined || more !== undefined ? undefined : networkKey({ family: a, type: b, protocol: c })
}

/** By name, or a decimal or hexadecimal number up to `most`. */
function numberOf(text: string | undefined, names: Readonly<Record<string, number>>, most: number): number | undefined {
  if (text === undefined) return undefined
  if (Object.hasOwn(names, text)) return names[text]
  const number = /^(\d+|0x[0-9a-f]+)$/i.test(text) ? Number(text) : Infinity
  return number <= most ? number : undefined
}

function flowOf(direction: 'ingress' | 'egress', text: string): Read {
  // An address of IPv6 has a port only in brackets.
  const [, bracketed, v6, v4, portText, transportText, iface] = /^(?:(?:\[([^\]]+)\])|([^/%[\]:]*:[^/%[\]]*:[^/%[\]]*)|([^/%[\]:]+))(?::(\d{1,5}))?(?:\/(\w+))?(?:%([^\s/]{1,15}))?$/.exec(text) ?? []
  const address = bracketed ?? v6 ?? v4 ?? ''
  const network = address.includes('/') ? undefined : parseCidr(address)
  const port = Number(portText ?? 0)
  const transport = numberOf(transportText ?? 'tcp', TRANSPORTS, 0xff)
  if (network === undefined || port > 0xffff || transport === undefined) return undefined
  return flowKey(direction, { address: network.bytes, port, transport, iface: iface ?? '' })
}

/* ---- Devices ---- */

function deviceOf(text: string): Read {
  const [numbers = '', level = '1', more] = text.toUpperCase().split('@')
  const classes = Object.fromEntries(USB_CLASSES)
  // One class has a slash in its name.
  const parts = Object.hasOwn(classes, numbers) ? [numbers] : numbers.split('/')
  const [type, subClass, protocol] = [parts[0], parts[1] ?? '0', parts[2] ?? '0'].map((part, index) => numberOf(part, index === 0 ? classes : {}, 0xff))
  const depth = numberOf(level, {}, 0xffffffff)
  if (parts.length > 3 || more !== undefined) return undefined
  if (type === undefined || subClass === undefined || protocol === undefined || depth === undefined) return nearest(numbers, Object.keys(classes))
  return deviceKey({ class: type, subClass, protocol, level: depth })
}
