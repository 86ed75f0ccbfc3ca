// SPDX-License-Identifier: Apache-2.0
// The raw AppArmor text of a policy: lines about files, capabilities and networks become rules; every other line is named and refused.
import { parseLine, statements, type FileLine, type Line } from './apparmor-line.ts'
import { PLAIN, type Attributes } from './attributes.ts'
import type { Node, Span } from './document.ts'
import type { Notes } from './notes.ts'
import { readPattern } from './path.ts'
import { stringOf } from './tree.ts'
import type { Action, PathMatch, Rule } from './types.ts'

type Kept = Omit<Attributes, 'action'>

export function apparmorRules(node: Node | undefined, spec: Attributes, notes: Notes): readonly Rule[] {
  const text = stringOf(node)
  if (node === undefined || text === undefined) return []
  const { action: _, ...kept } = spec
  const places = new Places(node, notes)
  const lines = statements(text).map((statement) => ({ span: places.find(statement.text), parsed: parseLine(statement.text) }))
  const opens = lines.filter(({ parsed }) => parsed.ok && parsed.line.kind === 'file').length
  return lines.flatMap(({ span, parsed }) => {
    if (parsed.ok) return new Translator(parsed.line, span, { kept, notes, isOnly: opens === 1 }).rules()
    notes.say('MERLON_POLICY_APPARMOR_LINE', span, { problem: parsed.problem })
    return []
  })
}

/** Where statements stand in the file: a scalar's value and its source differ by indentation and escapes, so each is looked up in turn. */
class Places {
  private readonly written: string
  private readonly span: Span
  private readonly notes: Notes
  private from = 0

  constructor(node: Node, notes: Notes) {
    this.span = node.span
    this.notes = notes
    this.written = notes.source.place(node.span).text
  }

  find(statement: string): Span {
    const first = statement.split('\n', 1)[0] ?? ''
    const at = this.written.indexOf(first, this.from)
    const span = { start: this.span.start + at, end: this.span.start + at + first.length }
    // A tree that comes from an API has no places within its strings.
    if (at === -1 || this.notes.source.place(span).text !== first) return this.span
    this.from = at + first.length
    return span
  }
}

interface Surroundings {
  readonly kept: Kept
  readonly notes: Notes
  /** The text has no other line about files. */
  readonly isOnly: boolean
}

class Translator {
  private readonly line: Line
  private readonly span: Span
  private readonly kept: Kept
  private readonly notes: Notes
  private readonly isOnly: boolean

  constructor(line: Line, span: Span, { kept, notes, isOnly }: Surroundings) {
    this.line = line
    this.span = span
    this.kept = kept
    this.notes = notes
    this.isOnly = isOnly
  }

  rules(): readonly Rule[] {
    const { line } = this
    if (line.kind === 'file') return this.file(line)
    if (line.kind === 'capability') return line.names.map((capability) => this.rule({ section: 'capabilities', match: { kind: 'capability', capability } }))
    if (line.family !== '') this.wider(`sockets of the other internet family too`)
    return [this.rule({ section: 'network', match: { kind: 'protocol', protocol: line.protocol } })]
  }

  private file(line: Line & FileLine): readonly Rule[] {
    const asks = { reads: /r/.test(line.permissions), writes: /[wal]/.test(line.permissions), executes: /x/.test(line.permissions) }
    if (!asks.reads && !asks.writes && !asks.executes) return this.refuse('locking and mapping alone cannot be ruled')
    if (line.owner && line.deny) return this.refuse('a rule that is against owners alone cannot be translated')
    const match = this.match(line)
    if (match === undefined) return []
    const opens = asks.reads || asks.writes ? [this.opening(match, line, asks)] : []
    return asks.executes ? [...opens, this.rule({ section: 'process', match, ownerOnly: line.owner })] : opens
  }

  /** Of opens a rule can be about all, or about those that write. */
  private opening(match: PathMatch, line: Line & FileLine, { reads, writes }: { readonly reads: boolean; readonly writes: boolean }): Rule {
    if (line.deny && !writes) this.wider('writing too')
    if (!line.deny && !reads) this.wider('reading too')
    if (line.deny && !reads && !this.isOnly) this.wider('reading, whatever the other lines say of it', 'permits')
    return this.rule({ section: 'file', match, ownerOnly: line.owner, readOnly: line.deny ? !reads : !writes })
  }

  /** Directories end with a slash in AppArmor's paths, and with none in the kernel's. */
  private match({ path }: FileLine): PathMatch | undefined {
    if (path === '') return { kind: 'dir', dir: '/', recursive: true }
    const written = path.length > 1 ? path.replace(/\/$/, '') : path
    // AppArmor's circumflex is our negation too.
    const read = readPattern(written)
    if (!read.ok) {
      this.refuse(`its path cannot be read: ${read.problem}`)
      return undefined
    }
    return /[*?[{\\]/.test(read.pattern) ? { kind: 'pattern', pattern: read.pattern } : { kind: 'path', path: read.pattern }
  }

  private rule(parts: Pick<Rule, 'section' | 'match'> & Partial<Pick<Rule, 'ownerOnly' | 'readOnly'>>): Rule {
    const action: Action = this.line.deny ? 'Block' : this.line.audit ? 'Audit' : 'Allow'
    return { ...PLAIN, ...this.kept, action, ...parts, position: this.notes.source.position(this.span) }
  }

  private wider(what: string, verb = this.line.deny ? 'denies' : 'permits'): void {
    this.notes.say('MERLON_POLICY_APPARMOR_WIDER', this.span, { verb, what })
  }

  private refuse(problem: string): readonly Rule[] {
    this.notes.say('MERLON_POLICY_APPARMOR_LINE', this.span, { problem })
    return []
  }
}
