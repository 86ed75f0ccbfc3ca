// SPDX-License-Identifier: Apache-2.0
// The specification: docs/semantics.md as code. Written to be read and believed, not to be fast. It finds the winner by comparing the
// clauses that match, by the written rules, and so takes nothing on trust from the order that plan.ts puts them in.
import { parseCidr } from './cidr.ts'
import { parseGlob, type GlobNode } from './glob.ts'
import { capabilityKey, domainKey, invokedKey, presetKey, readDeviceKey, readFlowKey, readNetworkKey, syscallKey } from './keys.ts'
import { CAPABILITIES, LOCAL_SOCKETS, PRESETS, PROTOCOLS } from './names.ts'
import { planeOf, sectionOf } from './planes.ts'
import { SYSCALL_NUMBERS } from './syscalls.ts'
import { isPathMatch, SECTIONS, type Answer, type Clause, type Match, type PathMatch, type Plan, type PortRange, type Question } from './types.ts'

/** Linux's PATH_MAX counts the final NUL. Keys and arguments have the same limit. */
const LONGEST = 4095
const SLASH = 0x2f

/** What a plan says to one operation. `question.sources` may be empty: then only clauses without sources match. */
export function evaluate(plan: Plan, question: Question): Answer {
  const section = sectionOf(question.operation)
  const reserved = plan.clauses.length + SECTIONS.indexOf(section) + 1
  if (question.path.length > LONGEST) return { verdict: plan.undecidable[section].verdict, clause: reserved + SECTIONS.length }

  const matching = plan.clauses.filter((clause) => clauseMatches(plan, clause, question))
  const winner = matching.reduce<Clause | undefined>((best, clause) => (best === undefined || precedes(clause, best) ? clause : best), undefined)
  if (winner !== undefined) return { verdict: winner.verdict, clause: plan.clauses.indexOf(winner) + 1 }

  const fallback = plan.defaults[section]
  return fallback === undefined ? { verdict: 'Allow', clause: 0 } : { verdict: fallback.verdict, clause: reserved }
}

export function clauseMatches(plan: Plan, clause: Clause, question: Question): boolean {
  return (
    clause.section === sectionOf(question.operation) &&
    planeMatches(clause, question) &&
    conditionMatches(plan, clause, question) &&
    sourceMatches(clause, question) &&
    objectMatches(clause, question)
  )
}

/** The operation, owner and terminal. */
export function planeMatches(clause: Clause, question: Question): boolean {
  return ((clause.planes >> planeOf(question)) & 1) === 1
}

export function conditionMatches(plan: Plan, { condition }: Clause, question: Question): boolean {
  if (condition === undefined) return true
  const wanted = plan.conditions[condition.index]
  if (wanted === undefined) return false
  const holds = wanted.kind === 'quota' ? question.overQuota !== true : argumentsAllowed(wanted.allowed, question.args)
  return holds === condition.holds
}

/** All but argv[0]. What is not known is not allowed. */
function argumentsAllowed(allowed: readonly string[], args: Question['args']): boolean {
  return args !== undefined && args.slice(1).every((argument) => argument.length < LONGEST && allowed.some((each) => equal(bytesOf(each), argument)))
}

export function sourceMatches({ sources, sourceDirectories }: Clause, question: Question): boolean {
  if (sources.length === 0 && sourceDirectories.length === 0) return true
  return question.sources.some((given) => sources.some((source) => equal(bytesOf(source), given)) || sourceDirectories.some(({ dir, recursive }) => dirMatches(bytesOf(dir), recursive, given)))
}

export function objectMatches(clause: Clause, question: Question): boolean {
  return clause.matches.some((match) => matches(match, question))
}

/* ---- Which rule decides ---- */

const STRICTNESS = ['Block', 'Audit', 'Allow']
const KINDS = ['KubeArmorPolicy', 'KubeArmorClusterPolicy', 'KubeArmorHostPolicy', 'KubeArmorNetworkPolicy', '']

/** What settles which of two clauses decides, in the order of "Which rule decides"; `equal`: nothing does. */
export const PRECEDENCE = ['source', 'shape', 'length', 'verdict', 'credit', 'credit', 'credit', 'credit', 'credit', 'credit'] as const
export type Precedence = (typeof PRECEDENCE)[number] | 'equal'

/** True when `a` decides rather than `b`. */
function precedes(a: Clause, b: Clause): boolean {
  return compare(a, b).first
}

/** Whether `a` decides rather than `b`, and by which rule. */
export function compare(a: Clause, b: Clause): { readonly first: boolean; readonly by: Precedence } {
  const left = rank(a)
  const right = rank(b)
  for (const [index, value] of left.entries()) {
    const other = right[index] ?? value
    if (value !== other) return { first: value < other, by: PRECEDENCE[index] ?? 'equal' }
  }
  return { first: false, by: 'equal' }
}

/** The rules of "Which rule decides" from the first to the last; the smaller one wins. */
function rank({ match, matches, sources, sourceDirectories, verdict, origin }: Clause): readonly (string | number)[] {
  return [
    sources.length > 0 || sourceDirectories.length > 0 ? 0 : 1,
    shape(match),
    -length(matches[0] ?? match),
    STRICTNESS.indexOf(verdict),
    KINDS.indexOf(origin.kind),
    origin.namespace,
    origin.policy,
    origin.position.file,
    origin.position.line,
    origin.position.column,
  ]
}

/** Exact, name, pattern, directory, everything; a protocol, a type or family of sockets, all sockets. */
function shape(match: Match): number {
  if (match.kind === 'name') return 1
  if (match.kind === 'pattern') return 2
  if (match.kind === 'dir') return 3
  if (match.kind === 'syscall') return match.path === undefined ? 4 : shape(match.path)
  if (match.kind !== 'protocol') return 0
  if (match.protocol === 'local') return 3
  if (match.protocol === 'all') return 2
  return ['stream', 'dgram', 'raw', 'rdm', 'seqpacket', 'packet'].includes(match.protocol) ? 1 : 0
}

/** Of directories and domains the longer, of networks the smaller, of devices the one with more (and more telling) numbers. */
function length(match: Match): number {
  if (match.kind === 'dir') return bytesOf(match.dir).length
  if (match.kind === 'syscall') return match.path?.kind === 'dir' ? length(match.path) : 0
  if (match.kind === 'domain') return domainKey(match.domain).length
  if (match.kind === 'device') return numbersOf(match)
  if (match.kind !== 'flow') return 0
  const [cidr] = match.cidrs
  const network = cidr === undefined ? 0 : 1 + (parseCidr(cidr)?.prefix ?? -1)
  return network * 2 + (match.ports.length > 0 ? 1 : 0)
}

function numbersOf(device: Extract<Match, { kind: 'device' }>): number {
  const named = (number: number | undefined, worth: number): number => (number === undefined ? 0 : worth)
  return named(device.class, 100) + named(device.level, 100) + named(device.subClass, 10) + named(device.protocol, 1)
}

/* ---- What a rule matches ---- */

/** True when a match, aliases aside, covers what the question is about. */
function matches(match: Match, question: Question): boolean {
  const { path } = question
  if (isPathMatch(match)) return pathMatches(match, path)
  switch (match.kind) {
    case 'invoked':
      return question.invoked !== undefined && invokedMatches(match, invokedKey(question.invoked, path))
    case 'protocol':
      return protocolMatches(match.protocol, path)
    case 'domain':
      return startsWith(path, domainKey(match.domain))
    case 'capability':
      return nameMatches(CAPABILITIES, match.capability, capabilityKey, path)
    case 'syscall':
      return syscallMatches(match, path)
    case 'preset':
      return nameMatches(PRESETS, match.preset, presetKey, path)
    case 'device':
      return deviceMatches(match, path)
    case 'flow':
      return flowMatches(match, question)
  }
}

/** True when a match of paths, aliases aside, covers a path. */
export function pathMatches(match: PathMatch, path: Uint8Array): boolean {
  switch (match.kind) {
    case 'path':
      return equal(path, bytesOf(match.path))
    case 'name':
      return endsWith(path, bytesOf(`/${match.name}`))
    case 'dir':
      return dirMatches(bytesOf(match.dir), match.recursive, path)
    case 'pattern':
      return patternMatches(match.pattern, path)
  }
}

/** A name that is not known names nothing. */
function nameMatches(names: readonly string[], name: string, keyOf: (number: number) => Uint8Array, key: Uint8Array): boolean {
  return names.includes(name) && equal(key, keyOf(names.indexOf(name)))
}

/** A name and a path that are too long together are not looked at. */
function invokedMatches({ name, path }: Extract<Match, { kind: 'invoked' }>, key: Uint8Array): boolean {
  return key.length <= LONGEST && equal(key, invokedKey(bytesOf(name), bytesOf(path)))
}

function protocolMatches(protocol: string, key: Uint8Array): boolean {
  const socket = readNetworkKey(key)
  const wanted = protocol === 'local' ? LOCAL_SOCKETS : PROTOCOLS.get(protocol)
  if (socket === undefined || wanted === undefined) return false
  const among = (values: readonly number[], value: number): boolean => values.length === 0 || values.includes(value)
  return among(wanted.families, socket.family) && among(wanted.types, socket.type) && among(wanted.protocols, socket.protocol)
}

function syscallMatches({ syscall, path }: Extract<Match, { kind: 'syscall' }>, key: Uint8Array): boolean {
  const number = SYSCALL_NUMBERS.get(syscall)
  if (number === undefined || !startsWith(key, syscallKey(number))) return false
  return path === undefined || pathMatches(path, key.subarray(syscallKey(number).length))
}

function deviceMatches(match: Extract<Match, { kind: 'device' }>, key: Uint8Array): boolean {
  const device = readDeviceKey(key)
  if (device === undefined) return false
  const same = (wanted: number | undefined, actual: number): boolean => wanted === undefined || wanted === actual
  return same(match.class, device.class) && same(match.subClass, device.subClass) && same(match.protocol, device.protocol) && same(match.level, device.level)
}

function flowMatches({ cidrs, ports, interfaces }: Extract<Match, { kind: 'flow' }>, { operation, path }: Question): boolean {
  const flow = readFlowKey(path)
  if (flow === undefined || flow.direction !== operation) return false
  return (
    (cidrs.length === 0 || cidrs.some((cidr) => cidrMatches(cidr, flow.address))) &&
    (ports.length === 0 || ports.some((range) => portMatches(range, flow))) &&
    (interfaces.length === 0 || interfaces.some((name) => equal(bytesOf(name), flow.iface)))
  )
}

function cidrMatches(cidr: string, address: Uint8Array): boolean {
  const network = parseCidr(cidr)
  if (network === undefined || network.bytes.length !== address.length) return false
  const bits = (bytes: Uint8Array): string => Array.from(bytes, (byte) => byte.toString(2).padStart(8, '0')).join('').slice(0, network.prefix)
  return bits(network.bytes) === bits(address)
}

/** A range without a protocol is of every protocol that has ports. */
function portMatches({ first, last, protocol }: PortRange, { transport, port }: { readonly transport: number; readonly port: number }): boolean {
  const numbers = { TCP: 6, UDP: 17, SCTP: 132 } as const
  const among = protocol === undefined ? Object.values(numbers) : [numbers[protocol]]
  return among.some((number) => number === transport) && first <= port && port <= last
}

function dirMatches(dir: Uint8Array, recursive: boolean, path: Uint8Array): boolean {
  if (equal(path, dir.subarray(0, -1))) return true
  return startsWith(path, dir) && (recursive || !path.subarray(dir.length).includes(SLASH))
}

function patternMatches(pattern: string, path: Uint8Array): boolean {
  const parsed = parseGlob(pattern)
  // The reader refuses such patterns; a plan that holds one is a defect.
  if (!parsed.ok) throw new Error(`pattern ${pattern}: ${parsed.problem}`)
  return ends(parsed.nodes, path, new Set([0])).has(path.length)
}

/** Where a match of these pieces can end in `path`, when it may begin at any of `starts`: work is pieces times length, never exponential. */
function ends(nodes: readonly GlobNode[], path: Uint8Array, starts: ReadonlySet<number>): ReadonlySet<number> {
  let reached = starts
  for (const node of nodes) {
    const from = reached
    reached = node.kind === 'either' ? new Set(node.branches.flatMap((branch) => [...ends(branch, path, from)])) : pieceEnds(node, path, reached)
  }
  return reached
}

function pieceEnds(node: Exclude<GlobNode, { kind: 'either' }>, path: Uint8Array, starts: ReadonlySet<number>): ReadonlySet<number> {
  const reached = new Set<number>()
  for (const start of starts) for (const end of nodeEnds(node, path, start, reached)) reached.add(end)
  return reached
}

/** `known` are ends already found: a run that reaches one of them goes on as that one did. */
function* nodeEnds(node: Exclude<GlobNode, { kind: 'either' }>, path: Uint8Array, start: number, known: ReadonlySet<number>): Generator<number> {
  if (node.kind === 'literal') {
    if (startsWith(path.subarray(start), node.bytes)) yield start + node.bytes.length
  } else if (node.kind === 'set') {
    yield* setEnds(node, path, start)
  } else {
    for (let end = start; end <= path.length && !known.has(end); end += 1) {
      yield end
      if (node.kind === 'component' && path[end] === SLASH) return
    }
  }
}

function* setEnds(set: Extract<GlobNode, { kind: 'set' }>, path: Uint8Array, start: number): Generator<number> {
  const byte = path[start]
  if (byte === undefined) return
  const character = characterAt(path, start)
  if (character !== undefined && character.code !== SLASH) {
    const listed = set.ranges.some(([first, last]) => first <= character.code && character.code <= last)
    if (listed !== set.negated) yield start + character.length
  }
  if (byte >= 0x80 && set.negated) yield start + 1
}

const UTF8 = new TextEncoder()
const STRICT_UTF8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** The well-formed UTF-8 sequence at `start`, if there is one. */
function characterAt(path: Uint8Array, start: number): { readonly code: number; readonly length: number } | undefined {
  const lead = path[start] ?? 0
  const length = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4
  try {
    const text = STRICT_UTF8.decode(path.subarray(start, start + length))
    const code = text.codePointAt(0)
    return code === undefined ? undefined : { code, length }
  } catch {
    return undefined
  }
}

function bytesOf(text: string): Uint8Array {
  return UTF8.encode(text)
}

function equal(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && startsWith(a, b)
}

function startsWith(bytes: Uint8Array, prefix: Uint8Array): boolean {
  return prefix.every((byte, index) => bytes[index] === byte)
}

function endsWith(bytes: Uint8Array, suffix: Uint8Array): boolean {
  return bytes.length >= suffix.length && equal(bytes.subarray(bytes.length - suffix.length), suffix)
}
