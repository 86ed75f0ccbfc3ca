// SPDX-License-Identifier: Apache-2.0
// Languages by Brzozowski's derivatives, for the proof only: shares nothing with the compiler but the parser of patterns. A language is a number; equal
// numbers are equal languages, and the derivative by a byte is the language of what may follow that byte.
import { parseGlob, setBytes, type GlobNode } from './glob.ts'
import { parseCidr } from './cidr.ts'
import { capabilityKey, domainKey, invokedKey, KEY, presetKey, syscallKey, WIDTH } from './keys.ts'
import { CAPABILITIES, LOCAL_SOCKETS, PRESETS, PROTOCOLS } from './names.ts'
import { SYSCALL_NUMBERS } from './syscalls.ts'
import { isPathMatch, type Match, type PathMatch, type Section } from './types.ts'

/** Nothing at all, and the empty string alone. */
export const NOTHING = 0
export const END = 1

const SLASH = 0x2f
const UTF8 = new TextEncoder()
/** Set b has the byte b alone. */
const SINGLE: readonly Uint8Array[] = Array.from({ length: 256 }, (_, byte) => flags(other => other === byte))

type Term =
  /** `end`: only the two above. */
  | { readonly kind: 'end' }
  | { readonly kind: 'byte'; readonly set: number; readonly next: number }
  /** Any run of bytes of the set, then `next`. */
  | { readonly kind: 'star'; readonly set: number; readonly next: number }
  | { readonly kind: 'union'; readonly members: readonly number[] }

export class Languages {
  /** Derivatives that were asked for: what the time of a proof depends on. */
  steps = 0
  private readonly terms: Term[] = [{ kind: 'end' }, { kind: 'end' }]
  private readonly ids = new Map<number | string, number>()
  private readonly nullables: boolean[] = [false, true]
  private readonly derivatives = new Map<number, number>()
  /** Sets of bytes: 256 flags. Set b below 256 has the byte b alone. */
  private readonly sets: Uint8Array[] = [...SINGLE]
  private readonly setIds = new Map<string, number>()
  /** Those that some language is made of. */
  private readonly used = new Set<number>()
  private parted: { readonly used: number; readonly classOf: Uint8Array; readonly bytes: readonly number[] } | undefined
  private readonly any = this.setOf(flags(byte => byte > 0))
  private readonly within = this.setOf(flags(byte => byte > 0 && byte !== SLASH))

  /** What a match covers, of paths or of keys. Throws where a pattern does not parse: the reader has refused such. */
  ofMatch(match: Match, section: Section): number {
    if (isPathMatch(match)) return this.ofPath(match)
    switch (match.kind) {
      case 'invoked':
        return this.literal(invokedKey(UTF8.encode(match.name), UTF8.encode(match.path)), END)
      case 'domain':
        return this.literal(domainKey(match.domain), this.star(this.any, END))
      case 'capability':
        return this.known(CAPABILITIES, match.capability, capabilityKey)
      case 'preset':
        return this.known(PRESETS, match.preset, presetKey)
      case 'syscall':
        return this.ofSyscall(match)
      case 'protocol':
        return this.ofProtocol(match.protocol)
      case 'device':
        return this.ofDevice(match)
      case 'flow':
        return this.byte(section === 'egress' ? KEY.egress : KEY.ingress, this.ofFlow(match))
    }
  }

  private ofPath(match: PathMatch, next = END): number {
    switch (match.kind) {
      case 'path':
        return this.literal(UTF8.encode(match.path), next)
      case 'name':
        return this.star(this.any, this.literal(UTF8.encode(`/${match.name}`), END))
      case 'dir': {
        const dir = UTF8.encode(match.dir)
        const below = this.star(match.recursive ? this.any : this.within, END)
        return this.union([this.literal(dir.subarray(0, -1), END), this.literal(dir, below)])
      }
      case 'pattern': {
        const parsed = parseGlob(match.pattern)
        if (!parsed.ok) throw new Error(`Pattern ${JSON.stringify(match.pattern)} was planned though it does not parse: ${parsed.problem}`)
        return this.sequence(parsed.nodes, END)
      }
    }
  }

  private ofProtocol(protocol: string): number {
    const sockets = protocol === 'local' ? LOCAL_SOCKETS : PROTOCOLS.get(protocol)
    if (sockets === undefined) return NOTHING
    return this.byte(KEY.network, this.numbers(sockets.families, WIDTH.family, this.numbers(sockets.types, WIDTH.type, this.numbers(sockets.protocols, WIDTH.protocol, END))))
  }

  private ofDevice(match: Extract<Match, { kind: 'device' }>): number {
    const parts = [[match.class, WIDTH.device], [match.subClass, WIDTH.device], [match.protocol, WIDTH.device], [match.level, WIDTH.level]] as const
    return this.byte(KEY.device, parts.reduceRight((rest, [value, width]) => this.numbers(value === undefined ? [] : [value], width, rest), END))
  }

  private known(names: readonly string[], name: string, keyOf: (number: number) => Uint8Array): number {
    return names.includes(name) ? this.literal(keyOf(names.indexOf(name)), END) : NOTHING
  }

  private ofSyscall({ syscall, path }: Extract<Match, { kind: 'syscall' }>): number {
    const number = SYSCALL_NUMBERS.get(syscall)
    if (number === undefined) return NOTHING
    return this.literal(syscallKey(number), path === undefined ? this.star(this.any, END) : this.ofPath(path))
  }

  /** A number of `width` digits, and `next`; of no values: any number. A value that has more digits is none. */
  private numbers(values: readonly number[], width: number, next: number): number {
    if (values.length === 0) return this.range(0, 16 ** width - 1, width, next)
    return this.union(values.map(value => this.range(value, value, width, next)))
  }

  /** The numbers from `low` to `high`, digit by digit. */
  private range(low: number, high: number, width: number, next: number): number {
    if (width === 0) return next
    const step = 16 ** (width - 1)
    if (low > high || low < 0 || high >= step * 16) return NOTHING
    const free = low === 0 && high === step * 16 - 1
    if (free) return this.byte(this.setOf(flags(byte => byte >> 4 === 4)), this.range(0, step - 1, width - 1, next))
    const parts: number[] = []
    for (let digit = 0; digit < 16; digit++) {
      const [from, to] = [Math.max(low, digit * step), Math.min(high, digit * step + step - 1)]
      if (from <= to) parts.push(this.byte(0x40 + digit, this.range(from - digit * step, to - digit * step, width - 1, next)))
    }
    return this.union(parts)
  }

  private ofFlow({ cidrs, ports, interfaces }: Extract<Match, { kind: 'flow' }>): number {
    const names = interfaces.length === 0 ? this.star(this.any, END) : this.union(interfaces.map(name => this.literal(UTF8.encode(name), END)))
    const addresses = this.union((cidrs.length === 0 ? ['0.0.0.0/0', '::/0'] : cidrs).map(cidr => this.network(cidr, names)))
    if (ports.length === 0) return this.numbers([], WIDTH.transport + WIDTH.port, addresses)
    const numbers = { TCP: 6, UDP: 17, SCTP: 132 } as const
    return this.union(
      ports.map(({ first, last, protocol }) => this.numbers(protocol === undefined ? Object.values(numbers) : [numbers[protocol]], WIDTH.transport, this.range(first, last, WIDTH.port, addresses))),
    )
  }

  /** Each half byte lies between what it is with the free bits clear and with them set. */
  private network(cidr: string, next: number): number {
    const network = parseCidr(cidr)
    if (network === undefined) return NOTHING
    let language = next
    for (let i = network.bytes.length * 2 - 1; i >= 0; i--) {
      const nibble = i % 2 === 0 ? network.bytes[i >> 1]! >> 4 : network.bytes[i >> 1]! & 0xf
      const free = Math.max(0, Math.min(4, i * 4 + 4 - network.prefix))
      language = this.range((nibble >> free) << free, nibble | ((1 << free) - 1), 1, language)
    }
    return this.byte(network.bytes.length === 4 ? 0x34 : 0x36, language)
  }

  private sequence(nodes: readonly GlobNode[], next: number): number {
    return nodes.reduceRight((rest, node) => this.node(node, rest), next)
  }

  private node(node: GlobNode, next: number): number {
    switch (node.kind) {
      case 'literal':
        return this.literal(node.bytes, next)
      case 'component':
        return this.star(this.within, next)
      case 'across':
        return this.star(this.any, next)
      case 'either':
        return this.union(node.branches.map(branch => this.sequence(branch, next)))
      case 'set':
        return this.union(
          setBytes(node).map(ranges => ranges.reduceRight((rest, [first, last]) => this.byte(this.setOf(flags(byte => first <= byte && byte <= last)), rest), next)),
        )
    }
  }

  literal(bytes: Uint8Array, next: number): number {
    let language = next
    for (let i = bytes.length - 1; i >= 0; i--) language = this.byte(bytes[i]!, language)
    return language
  }

  /** In any order, each once. */
  union(languages: readonly number[]): number {
    const members = new Set<number>()
    for (const language of languages) {
      const term = this.terms[language]!
      if (term.kind === 'union') for (const member of term.members) members.add(member)
      else if (language !== NOTHING) members.add(language)
    }
    if (members.size < 2) return [...members][0] ?? NOTHING
    const sorted = [...members].sort((a, b) => a - b)
    return this.intern(sorted.join(), () => [{ kind: 'union', members: sorted }, sorted.some(member => this.nullables[member]!)])
  }

  private byte(set: number, next: number): number {
    if (next === NOTHING) return NOTHING
    this.used.add(set)
    return this.intern(set * 2 ** 32 + next, () => [{ kind: 'byte', set, next }, false])
  }

  private star(set: number, next: number): number {
    if (next === NOTHING) return NOTHING
    this.used.add(set)
    return this.intern(-(set * 2 ** 32 + next), () => [{ kind: 'star', set, next }, this.nullables[next]!])
  }

  private intern(key: number | string, make: () => readonly [Term, boolean]): number {
    let id = this.ids.get(key)
    if (id === undefined) {
      const [term, nullable] = make()
      id = this.terms.push(term) - 1
      this.nullables.push(nullable)
      this.ids.set(key, id)
    }
    return id
  }

  private setOf(set: Uint8Array): number {
    const only = set.indexOf(1)
    if (set.lastIndexOf(1) === only) return only
    const key = set.join('')
    let id = this.setIds.get(key)
    if (id === undefined) {
      id = this.sets.push(set) - 1
      this.setIds.set(key, id)
    }
    return id
  }

  hasEmpty(language: number): boolean {
    return this.nullables[language]!
  }

  derivative(language: number, byte: number): number {
    this.steps++
    const term = this.terms[language]!
    switch (term.kind) {
      case 'end':
        return NOTHING
      case 'byte':
        return this.sets[term.set]![byte] === 1 ? term.next : NOTHING
      case 'star':
      case 'union': {
        const key = language * 256 + byte
        let result = this.derivatives.get(key)
        if (result === undefined) this.derivatives.set(key, (result = this.union(this.parts(language, term, byte))))
        return result
      }
    }
  }

  private parts(language: number, term: Extract<Term, { kind: 'star' | 'union' }>, byte: number): readonly number[] {
    if (term.kind === 'union') return term.members.map(member => this.derivative(member, byte))
    const rest = this.derivative(term.next, byte)
    return this.sets[term.set]![byte] === 1 ? [language, rest] : [rest]
  }

  /** One byte of each class: bytes that no language so far tells apart, nor `classOf`. NUL is in no path. */
  representatives(classOf: Uint8Array): readonly number[] {
    const known = this.parted
    if (known !== undefined && known.used === this.used.size && known.classOf === classOf) return known.bytes
    const sets = [...this.used].map(id => this.sets[id]!)
    const found = new Map<string, number>()
    for (let byte = 1; byte < 256; byte++) {
      const key = `${classOf[byte]}:${sets.map(set => set[byte]).join('')}`
      if (!found.has(key)) found.set(key, byte)
    }
    const bytes = [...found.values()]
    this.parted = { used: this.used.size, classOf, bytes }
    return bytes
  }
}

function flags(holds: (byte: number) => boolean): Uint8Array {
  return Uint8Array.from({ length: 256 }, (_, byte) => (holds(byte) ? 1 : 0))
}
