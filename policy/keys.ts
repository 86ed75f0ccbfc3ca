// SPDX-License-Identifier: Apache-2.0
// Objects that are no paths, as the byte strings that tables match on (docs/table.md, "Keys"). A key begins with a byte that names its kind;
// numbers are written in digits of four bits, 0x40 to 0x4f, of a fixed count, the highest first: no byte is ever zero.

/** Must match enum merlon_key (bpf/table.h). */
export const KEY = { network: 1, capability: 2, syscall: 3, domain: 4, device: 5, preset: 6, ingress: 7, egress: 8, argument: 9, invoked: 10 } as const

/** How many digits each number has. */
export const WIDTH = { family: 2, type: 1, protocol: 3, capability: 2, syscall: 3, device: 2, level: 8, preset: 1, transport: 2, port: 4 } as const

const DIGIT = 0x40
const UTF8 = new TextEncoder()

export function digits(value: number, count: number): readonly number[] {
  return Array.from({ length: count }, (_, index) => DIGIT | ((value / 16 ** (count - 1 - index)) & 0xf))
}

/** The number of `count` digits at `at`; undefined where there are no such digits. */
export function readDigits(key: Uint8Array, at: number, count: number): number | undefined {
  let value = 0
  for (let i = at; i < at + count; i++) {
    const byte = key[i]
    if (byte === undefined || (byte & 0xf0) !== DIGIT) return undefined
    value = value * 16 + (byte & 0xf)
  }
  return value
}

/** A socket: family, type and protocol as the kernel has them, without SOCK_NONBLOCK and SOCK_CLOEXEC; the protocol that it gets where 0 was asked for. */
export interface Socket {
  readonly family: number
  readonly type: number
  readonly protocol: number
}

export function networkKey({ family, type, protocol }: Socket): Uint8Array {
  return Uint8Array.from([KEY.network, ...digits(family, WIDTH.family), ...digits(type, WIDTH.type), ...digits(protocol, WIDTH.protocol)])
}

export function readNetworkKey(key: Uint8Array): Socket | undefined {
  const [family, type, protocol] = [readDigits(key, 1, WIDTH.family), readDigits(key, 3, WIDTH.type), readDigits(key, 4, WIDTH.protocol)]
  if (key[0] !== KEY.network || key.length !== 7 || family === undefined || type === undefined || protocol === undefined) return undefined
  return { family, type, protocol }
}

export function capabilityKey(capability: number): Uint8Array {
  return Uint8Array.from([KEY.capability, ...digits(capability, WIDTH.capability)])
}

/** `path`: of the object that the call is about, where it has one. */
export function syscallKey(syscall: number, path: Uint8Array = new Uint8Array()): Uint8Array {
  return Uint8Array.from([KEY.syscall, ...digits(syscall, WIDTH.syscall), ...path])
}

/** Labels from the last to the first, each with a dot after it, in lower case: what lies under a domain begins with its key. */
export function domainKey(name: string): Uint8Array {
  const labels = name.split('.').filter((label) => label !== '').reverse()
  return Uint8Array.from([KEY.domain, ...labels.flatMap((label) => [...UTF8.encode(label).map(plainByte), 0x2e])])
}

/** What no name of a host has is one byte: a label with a dot in it is no two labels. */
function plainByte(byte: number): number {
  if (byte >= 0x41 && byte <= 0x5a) return byte + 0x20
  return byte <= 0x20 || byte === 0x2e || byte === 0x7f ? 1 : byte
}

export interface Device {
  readonly class: number
  readonly subClass: number
  readonly protocol: number
  /** How many hubs lie between it and the machine, plus one. */
  readonly level: number
}

export function deviceKey(device: Device): Uint8Array {
  const parts = [device.class, device.subClass, device.protocol].flatMap((part) => digits(part, WIDTH.device))
  return Uint8Array.from([KEY.device, ...parts, ...digits(device.level, WIDTH.level)])
}

export function readDeviceKey(key: Uint8Array): Device | undefined {
  const [type, subClass, protocol] = [1, 3, 5].map((at) => readDigits(key, at, WIDTH.device))
  const level = readDigits(key, 7, WIDTH.level)
  if (key[0] !== KEY.device || key.length !== 15 || type === undefined || subClass === undefined || protocol === undefined || level === undefined) return undefined
  return { class: type, subClass, protocol, level }
}

export function presetKey(preset: number): Uint8Array {
  return Uint8Array.from([KEY.preset, ...digits(preset, WIDTH.preset)])
}

/** A packet, seen from this side: the other's address; the local port of what comes in, the remote one of what goes out. */
export interface Flow {
  /** Of IP. */
  readonly transport: number
  /** 0 where the transport has none. */
  readonly port: number
  /** 4 or 16 bytes. */
  readonly address: Uint8Array
  readonly iface: string
}

export function flowKey(direction: 'ingress' | 'egress', { transport, port, address, iface }: Flow): Uint8Array {
  const family = address.length === 4 ? 0x34 : 0x36
  const nibbles = [...address].flatMap((byte) => digits(byte, 2))
  return Uint8Array.from([KEY[direction], ...digits(transport, WIDTH.transport), ...digits(port, WIDTH.port), family, ...nibbles, ...UTF8.encode(iface)])
}

export function readFlowKey(key: Uint8Array): (Omit<Flow, 'iface'> & { readonly direction: 'ingress' | 'egress'; readonly iface: Uint8Array }) | undefined {
  const direction = key[0] === KEY.ingress ? 'ingress' : key[0] === KEY.egress ? 'egress' : undefined
  const [transport, port] = [readDigits(key, 1, WIDTH.transport), readDigits(key, 3, WIDTH.port)]
  const length = key[7] === 0x34 ? 4 : key[7] === 0x36 ? 16 : 0
  const address = Array.from({ length }, (_, index) => readDigits(key, 8 + index * 2, 2))
  if (direction === undefined || transport === undefined || port === undefined || length === 0) return undefined
  if (!address.every((byte) => byte !== undefined)) return undefined
  return { direction, transport, port, address: Uint8Array.from(address), iface: key.slice(8 + length * 2) }
}

export function argumentKey(argument: Uint8Array): Uint8Array {
  return Uint8Array.from([KEY.argument, ...argument])
}

/** A file that is executed by a name: no name holds a slash, and every path begins with one. */
export function invokedKey(name: Uint8Array, path: Uint8Array): Uint8Array {
  return Uint8Array.from([KEY.invoked, ...name, ...path])
}
