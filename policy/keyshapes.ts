// SPDX-License-Identifier: Apache-2.0
// What rules match that are about no paths, as expressions over keys (keys.ts).
import { ANY, byteSet } from './alphabet.ts'
import { parseCidr } from './cidr.ts'
import { byte, byteString, either, literal, normalise, pathShapes, shapeOf, star, type Expression, type Item, type Shape } from './expression.ts'
import { argumentKey, capabilityKey, digits, domainKey, invokedKey, KEY, presetKey, syscallKey, WIDTH } from './keys.ts'
import { CAPABILITIES, LOCAL_SOCKETS, PRESETS, PROTOCOLS } from './names.ts'
import { SYSCALL_NUMBERS } from './syscalls.ts'
import { isPathMatch, type Match, type PortRange, type Section } from './types.ts'

const UTF8 = new TextEncoder()
const DIGIT = byte(byteSet(...Array.from({ length: 16 }, (_, value) => 0x40 | value)))

/** The shapes whose union is what `match` covers. Matches of paths are run from the automata of paths, all others from that of keys. */
export function shapesOf(match: Match, section: Section): readonly Shape[] {
  if (isPathMatch(match)) return pathShapes(match)
  switch (match.kind) {
    case 'invoked':
      return invokedShapes(match)
    case 'protocol':
      return protocolShapes(match.protocol)
    case 'domain':
      return [{ kind: 'prefix', bytes: characters(domainKey(match.domain)), recursive: true }]
    case 'capability':
      return numbered(CAPABILITIES.indexOf(match.capability), capabilityKey)
    case 'preset':
      return numbered(PRESETS.indexOf(match.preset), presetKey)
    case 'syscall':
      return syscallShapes(match)
    case 'device':
      return deviceShapes(match)
    case 'flow':
      return flowShapes(match, section === 'egress' ? KEY.egress : KEY.ingress)
  }
}

/** An argument that a set holds. */
export function argumentShape(argument: string): Shape {
  return { kind: 'literal', bytes: characters(argumentKey(UTF8.encode(argument))) }
}

/** A key as a string of characters 0x01-0xff, one for each byte. */
export function characters(key: Uint8Array): string {
  return Array.from(key, (value) => String.fromCharCode(value)).join('')
}

/** A name that is not known names nothing. */
function numbered(number: number, keyOf: (number: number) => Uint8Array): readonly Shape[] {
  return number < 0 ? [] : [{ kind: 'literal', bytes: characters(keyOf(number)) }]
}

function invokedShapes({ name, path }: Extract<Match, { kind: 'invoked' }>): readonly Shape[] {
  return [{ kind: 'literal', bytes: characters(invokedKey(UTF8.encode(name), UTF8.encode(path))) }]
}

function protocolShapes(protocol: string): readonly Shape[] {
  const sockets = protocol === 'local' ? LOCAL_SOCKETS : PROTOCOLS.get(protocol)
  if (sockets === undefined) return []
  return shaped([...literal(String.fromCharCode(KEY.network)), ...numbers(sockets.families, WIDTH.family), ...numbers(sockets.types, WIDTH.type), ...numbers(sockets.protocols, WIDTH.protocol)])
}

/** One of these numbers; of none: any. */
function numbers(values: readonly number[], width: number): Expression {
  return values.length === 0 ? Array.from({ length: width }, () => DIGIT) : [either(values.map((value) => digitItems(value, width)))]
}

function digitItems(value: number, width: number): Item[] {
  return literal(String.fromCharCode(...digits(value, width)))
}

function syscallShapes({ syscall, path }: Extract<Match, { kind: 'syscall' }>): readonly Shape[] {
  const number = SYSCALL_NUMBERS.get(syscall)
  if (number === undefined) return []
  const bytes = characters(syscallKey(number))
  if (path === undefined) return [{ kind: 'prefix', bytes, recursive: true }]
  return pathShapes(path).flatMap((shape) => (shape.kind === 'expression' ? [] : [{ ...shape, bytes: bytes + shape.bytes }]))
}

function deviceShapes(match: Extract<Match, { kind: 'device' }>): readonly Shape[] {
  const parts = [[match.class, WIDTH.device], [match.subClass, WIDTH.device], [match.protocol, WIDTH.device], [match.level, WIDTH.level]] as const
  // No device has such a number, which the digits would cut.
  if (parts.some(([value, width]) => value !== undefined && (value < 0 || value >= 16 ** width))) return []
  return shaped([...literal(String.fromCharCode(KEY.device)), ...parts.flatMap(([value, width]) => numbers(value === undefined ? [] : [value], width))])
}

function flowShapes({ cidrs, ports, interfaces }: Extract<Match, { kind: 'flow' }>, key: number): readonly Shape[] {
  const addresses = cidrs.flatMap((cidr) => networkItems(cidr))
  if (cidrs.length > 0 && addresses.length === 0) return []
  const anyPort: Expression = Array.from({ length: WIDTH.transport + WIDTH.port }, () => DIGIT)
  const anyAddress = either(['0.0.0.0/0', '::/0'].flatMap(networkItems))
  return shaped([
    ...literal(String.fromCharCode(key)),
    ...(ports.length === 0 ? anyPort : [either(ports.flatMap(portItems))]),
    cidrs.length === 0 ? anyAddress : either(addresses),
    interfaces.length === 0 ? star(ANY) : either(interfaces.map((name) => literal(byteString(name)))),
  ])
}

const TRANSPORTS = { TCP: 6, UDP: 17, SCTP: 132 } as const

function portItems({ first, last, protocol }: PortRange): readonly Expression[] {
  const among = protocol === undefined ? Object.values(TRANSPORTS) : [TRANSPORTS[protocol]]
  const ports = between(digits(first, WIDTH.port), digits(last, WIDTH.port))
  return first > last ? [] : among.flatMap((transport) => ports.map((port) => [...digitItems(transport, WIDTH.transport), ...port]))
}

/** All numbers from one to another, of as many digits: those that share the first digit with an end, and those between. */
function between(low: readonly number[], high: readonly number[]): readonly Expression[] {
  const [first, ...lows] = low
  const [last, ...highs] = high
  if (first === undefined || last === undefined) return [[]]
  const one = (digit: number): Item => byte(byteSet(digit))
  if (first === last) return between(lows, highs).map((rest) => [one(first), ...rest])
  const least = lows.map(() => 0x40)
  const most = lows.map(() => 0x4f)
  const middle = Array.from({ length: last - first - 1 }, (_, index) => first + 1 + index)
  return [
    ...between(lows, most).map((rest) => [one(first), ...rest]),
    ...(middle.length === 0 ? [] : [[byte(byteSet(...middle)), ...lows.map(() => DIGIT)]]),
    ...between(least, highs).map((rest) => [one(last), ...rest]),
  ]
}

/** Whole digits of the prefix, a digit of which only some bits count, and any digits. */
function networkItems(cidr: string): readonly Expression[] {
  const network = parseCidr(cidr)
  if (network === undefined) return []
  const { bytes, prefix } = network
  const nibbles = [...bytes].flatMap((value) => [value >> 4, value & 0xf])
  const items = nibbles.map((nibble, index) => {
    const bits = Math.max(0, Math.min(4, prefix - index * 4))
    const free = 16 >> bits
    return byte(byteSet(...Array.from({ length: free }, (_, value) => 0x40 | (nibble & ~(free - 1)) | value)))
  })
  return [[...literal(bytes.length === 4 ? '4' : '6'), ...items]]
}

function shaped(expression: Expression): readonly Shape[] {
  return [shapeOf(normalise(expression))]
}
