// SPDX-License-Identifier: Apache-2.0
// Languages by Brzozowski's derivatives, for the proof only: shares nothing with the compiler but the parser of patterns. A language is a number; equal
// numbers are equal languages, and the derivative by a byte is the language of what may follow that byte.
import { parseGlob, setBytes, type GlobNode } from './glob.ts'
import type { PathMatch } from './types.ts'

/** Nothing at all, and the empty string alone. */
export const NOTHING = 0
export const END = 1

const SLASH = 0x2f
const UTF8 = new TextEncoder()

type Term =
  /** `end`: only the two above. */
  | { readonly kind: 'end' }
  | { readonly kind: 'byte'; readonly set: number; readonly next: number }
  /** Any run of bytes of the set, then `next`. */
  | { readonly kind: 'star'; readonly set: number; readonly next: number }
  | { readonly kind: 'union'; readonly members: readonly number[] }

export class Languages {
  private readonly terms: Term[] = [{ kind: 'end' }, { kind: 'end' }]
  private readonly ids = new Map<number | string, number>()
  private readonly nullables: boolean[] = [false, true]
  private readonly derivatives = new Map<number, number>()
  /** Sets of bytes: 256 flags. Set b below 256 has the byte b alone. */
  private readonly sets: Uint8Array[] = Array.from({ length: 256 }, (_, byte) => flags(other => other === byte))
  private readonly setIds = new Map<string, number>()
  private readonly any = this.setOf(flags(byte => byte > 0))
  private readonly within = this.setOf(flags(byte => byte > 0 && byte !== SLASH))

  /** What a match covers. Throws where a pattern does not parse: the reader has refused such. */
  ofMatch(match: PathMatch): number {
    switch (match.kind) {
      case 'path':
        return this.literal(UTF8.encode(match.path), END)
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
    return this.intern(set * 2 ** 32 + next, () => [{ kind: 'byte', set, next }, false])
  }

  private star(set: number, next: number): number {
    if (next === NOTHING) return NOTHING
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
    const term = this.terms[language]!
    switch (term.kind) {
      case 'end':
        return NOTHING
      case 'byte':
        return this.sets[term.set]![byte] === 1 ? term.next : NOTHING
      case 'star': {
        const rest = this.derivative(term.next, byte)
        return this.sets[term.set]![byte] === 1 ? this.union([language, rest]) : rest
      }
      case 'union': {
        const key = language * 256 + byte
        let result = this.derivatives.get(key)
        if (result === undefined) {
          result = this.union(term.members.map(member => this.derivative(member, byte)))
          this.derivatives.set(key, result)
        }
        return result
      }
    }
  }

  /** One byte of each class: bytes that no language so far tells apart, nor `classOf`. NUL is in no path. */
  representatives(classOf: Uint8Array): readonly number[] {
    const used = new Set<number>()
    for (const term of this.terms) if (term.kind === 'byte' || term.kind === 'star') used.add(term.set)
    const sets = [...used].map(id => this.sets[id]!)
    const found = new Map<string, number>()
    for (let byte = 1; byte < 256; byte++) {
      const key = `${classOf[byte]}:${sets.map(set => set[byte]).join('')}`
      if (!found.has(key)) found.set(key, byte)
    }
    return [...found.values()]
  }
}

function flags(holds: (byte: number) => boolean): Uint8Array {
  return Uint8Array.from({ length: 256 }, (_, byte) => (holds(byte) ? 1 : 0))
}
