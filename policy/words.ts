// SPDX-License-Identifier: Apache-2.0
// What a question is about, in words: keys are for machines.
import { readDeviceKey, readDigits, readFlowKey, readNetworkKey, WIDTH } from './keys.ts'
import { CAPABILITIES, PRESETS } from './names.ts'
import { SYSCALL_NUMBERS } from './syscalls.ts'
import type { Operation, Question } from './types.ts'

const TEXT = new TextDecoder()
const FAMILIES = new Map([[1, 'unix'], [2, 'inet'], [10, 'inet6'], [16, 'netlink'], [17, 'packet'], [40, 'vsock']])
const TYPES = ['', 'stream', 'dgram', 'raw', 'rdm', 'seqpacket', 'dccp', '', '', '', 'packet']
const TRANSPORTS = new Map([[1, 'icmp'], [6, 'tcp'], [17, 'udp'], [33, 'dccp'], [58, 'icmpv6'], [132, 'sctp']])

/** `/bin/ls`, `an inet stream socket of protocol tcp`, `capability net_raw`. */
export function wordsFor({ operation, path, invoked }: Pick<Question, 'operation' | 'path' | 'invoked'>): string {
  return invoked !== undefined && operation === 'exec' ? `${TEXT.decode(path)} as ${TEXT.decode(invoked)}` : WORDS[operation](path)
}

const WORDS: Readonly<Record<Operation, (key: Uint8Array) => string>> = {
  exec: (path) => TEXT.decode(path),
  read: (path) => TEXT.decode(path),
  write: (path) => TEXT.decode(path),
  dns: (key) => `the name ${RESOURCES.dns(key)}`,
  capability: (key) => `capability ${RESOURCES.capability(key)}`,
  preset: (key) => `preset ${RESOURCES.preset(key)}`,
  syscall: syscallWords,
  network: socketWords,
  device: deviceWords,
  ingress: flowWords,
  egress: flowWords,
}

/** The same as `merlon why` and a test of policies take it (resource.ts): `/bin/ls`, `inet/stream/tcp`, `net_raw`. */
export function resourceFor({ operation, path }: Pick<Question, 'operation' | 'path'>): string {
  return RESOURCES[operation](path)
}

const RESOURCES: Readonly<Record<Operation, (key: Uint8Array) => string>> = {
  exec: (path) => TEXT.decode(path),
  read: (path) => TEXT.decode(path),
  write: (path) => TEXT.decode(path),
  dns: domainOf,
  capability: (key) => nameOf(CAPABILITIES, readDigits(key, 1, WIDTH.capability)),
  preset: (key) => nameOf(PRESETS, readDigits(key, 1, WIDTH.preset)),
  syscall: (key) => (pathOfCall(key) === '' ? callOf(key) : `${callOf(key)} ${pathOfCall(key)}`),
  network: (key) => {
    const { family, type, protocol } = readNetworkKey(key) ?? { family: 0, type: 0, protocol: 0 }
    return [FAMILIES.get(family) ?? family, TYPES[type] || type, TRANSPORTS.get(protocol) ?? protocol].join('/')
  },
  device: (key) => {
    const device = readDeviceKey(key)
    return device === undefined ? '' : `${device.class}/${device.subClass}/${device.protocol}@${device.level}`
  },
  ingress: flowResource,
  egress: flowResource,
}

function flowResource(key: Uint8Array): string {
  const flow = readFlowKey(key)
  if (flow === undefined) return ''
  const { transport, port, address, iface } = flow
  const host = address.length === 4 ? addressWords(address) : `[${addressWords(address)}]`
  return `${host}:${port}/${TRANSPORTS.get(transport) ?? transport}${iface.length === 0 ? '' : `%${TEXT.decode(iface)}`}`
}

function domainOf(key: Uint8Array): string {
  return TEXT.decode(key.slice(1)).split('.').filter((label) => label !== '').reverse().join('.')
}

function nameOf(names: readonly string[], number: number | undefined): string {
  return (number === undefined ? undefined : names[number]) ?? `number ${number ?? 'unknown'}`
}

function callOf(key: Uint8Array): string {
  const number = readDigits(key, 1, WIDTH.syscall)
  return [...SYSCALL_NUMBERS].find(([, value]) => value === number)?.[0] ?? `number ${number ?? 'unknown'}`
}

function pathOfCall(key: Uint8Array): string {
  return TEXT.decode(key.slice(1 + WIDTH.syscall))
}

function syscallWords(key: Uint8Array): string {
  const path = pathOfCall(key)
  return `system call ${callOf(key)}${path === '' ? '' : ` on ${path}`}`
}

function socketWords(key: Uint8Array): string {
  const socket = readNetworkKey(key)
  if (socket === undefined) return 'a socket'
  const { family, type, protocol } = socket
  return `a socket of family ${FAMILIES.get(family) ?? family}, type ${TYPES[type] || type}, protocol ${TRANSPORTS.get(protocol) ?? protocol}`
}

function deviceWords(key: Uint8Array): string {
  const device = readDeviceKey(key)
  return device === undefined ? 'a device' : `a device of class ${device.class}, subclass ${device.subClass}, protocol ${device.protocol} at level ${device.level}`
}

function flowWords(key: Uint8Array): string {
  const flow = readFlowKey(key)
  if (flow === undefined) return 'a packet'
  const { direction, transport, port, address, iface } = flow
  const name = TEXT.decode(iface)
  return `${TRANSPORTS.get(transport) ?? `protocol ${transport}`} ${direction === 'ingress' ? 'from' : 'to'} ${addressWords(address)}, port ${port}${name === '' ? '' : `, on ${name}`}`
}

function addressWords(address: Uint8Array): string {
  if (address.length === 4) return address.join('.')
  return Array.from({ length: 8 }, (_, i) => ((address[i * 2]! << 8) | address[i * 2 + 1]!).toString(16)).join(':')
}
