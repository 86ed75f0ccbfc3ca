// SPDX-License-Identifier: Apache-2.0
// Complete verification of a table (docs/table.md, "Verification"): after it a reader needs no check but its page mask.
// Linear in the table's size, and nothing that it reads is trusted before it is checked.
import { sha256 } from '@noble/hashes/sha2.js'
import { PLANES } from './planes.ts'
import { CHOICES_PER_PAGE, COLUMN_BYTES, FLAGS, HASH_BYTES, HEADER, MAGIC, MAX_AUTOMATA, MAX_CELLS, MAX_CHOICES, MAX_CLASSES, MAX_INDEX, MAX_PAGES, MAX_SET_WORDS, MIN_PAGES, PAGE, PAIRS_PER_PAGE, QUOTA_WORDS, STAMP_BYTES, VERSION, WORDS_PER_PAGE, pagesFor, setWords } from './table.ts'
import { cellsProblem, isState } from './verify-cells.ts'
import { DecisionChecker } from './verify-decisions.ts'

export type Verification = { readonly ok: true } | { readonly ok: false; readonly problem: string }

export interface VerifyOptions {
  /** SHA-256 of some bytes; node:crypto's is several times as fast as the one that needs nothing from Node. */
  readonly sha256?: (bytes: Uint8Array) => Uint8Array
}

/** Never throws, whatever the bytes. A table at rest: one whose stamp is not zero is refused. */
export function verifyTable(bytes: Uint8Array, options: VerifyOptions = {}): Verification {
  const problem = lengthProblem(bytes) ?? new Checker(bytes, options.sha256 ?? sha256).problem()
  return problem === undefined ? { ok: true } : { ok: false, problem }
}

function lengthProblem(bytes: Uint8Array): string | undefined {
  const pages = bytes.length / PAGE
  if (!Number.isInteger(pages) || pages < MIN_PAGES || pages > MAX_PAGES) return `Length ${bytes.length} is not ${MIN_PAGES} to ${MAX_PAGES} pages of ${PAGE} bytes`
  return undefined
}

type Problem = string | undefined

const LITTLE_ENDIAN = new Uint8Array(new Uint32Array([1]).buffer)[0] === 1

/** The bytes as little-endian words, aligned; a copy only where needed. */
function wordsOf(bytes: Uint8Array): Uint32Array {
  const copy = bytes.byteOffset % 4 === 0 ? bytes : bytes.slice()
  if (LITTLE_ENDIAN) return new Uint32Array(copy.buffer, copy.byteOffset, copy.length / 4)
  const view = new DataView(copy.buffer, copy.byteOffset, copy.length)
  return Uint32Array.from({ length: copy.length / 4 }, (_, i) => view.getUint32(i * 4, true))
}

class Checker {
  private readonly bytes: Uint8Array
  private readonly words: Uint32Array
  private readonly sha256: (bytes: Uint8Array) => Uint8Array

  constructor(bytes: Uint8Array, hash: (bytes: Uint8Array) => Uint8Array) {
    // Never a Buffer, which is what gRPC hands out: its slice() is a view, at the caller's alignment and into the caller's bytes.
    this.bytes = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length)
    this.words = wordsOf(this.bytes)
    this.sha256 = hash
  }

  /** Each check relies on those before it. The hash comes after the cheap ones. */
  problem(): Problem {
    return (
      this.identity() ??
      this.bounds() ??
      this.zeros() ??
      this.hash() ??
      this.classes() ??
      this.cells() ??
      this.accepts() ??
      new DecisionChecker(this.bytes, this.words).problem()
    )
  }

  private header(offset: number): number {
    return this.words[offset / 4]!
  }

  private identity(): Problem {
    if (this.header(HEADER.magic) !== MAGIC) return `Magic is 0x${this.header(HEADER.magic).toString(16)}: this is no table`
    if (this.header(HEADER.version) !== VERSION) return `Version is ${this.header(HEADER.version)}, and ${VERSION} is the only one known here`
    if (this.header(HEADER.pages) * PAGE !== this.bytes.length) return `Header says ${this.header(HEADER.pages)} pages, and there are ${this.bytes.length / PAGE}`
    return undefined
  }

  private bounds(): Problem {
    const limits: readonly (readonly [name: keyof typeof HEADER, low: number, high: number])[] = [
      ['flags', 0, FLAGS.all],
      ['classes', 1, MAX_CLASSES],
      ['cells', 1, MAX_CELLS],
      ['accepts', 1, MAX_CELLS],
      ['objects', 1, MAX_INDEX],
      ['subjects', 1, MAX_INDEX],
      ['clauses', 0, MAX_INDEX - 1],
      ['columns', 1, PLANES],
      ['decisions', 1, this.words.length],
      ['automata', 1, MAX_AUTOMATA],
      ['rows', 0, this.words.length / 2],
      ['choices', 0, Math.min(this.words.length / 4, MAX_CHOICES)],
      ['conditions', 0, this.words.length],
      ['sets', 0, MAX_SET_WORDS * 32],
      ['quotas', 0, this.words.length / QUOTA_WORDS],
    ]
    for (const [name, low, high] of limits) {
      const value = this.header(HEADER[name])
      if (value < low || value > high) return `Header word ${name} is ${value}, not ${low} to ${high}`
    }
    return this.layout()
  }

  private layout(): Problem {
    let page = 1
    for (const [name, pages] of this.sections()) {
      if (this.header(HEADER[`${name}Page`]) !== page) return `Section ${name} begins at page ${this.header(HEADER[`${name}Page`])}, not ${page}`
      page += pages
    }
    if (this.header(HEADER.pages) !== page) return `Sections end at page ${page}, and there are ${this.header(HEADER.pages)}`
    const index = this.header(HEADER.columns) * this.header(HEADER.objects)
    if (index !== this.header(HEADER.decisions)) return `Index has ${index} words, and ${this.header(HEADER.decisions)} are said`
    const [width, quotas] = [setWords(this.header(HEADER.sets)), this.header(HEADER.quotas) * QUOTA_WORDS]
    const members = this.header(HEADER.conditions) - quotas
    if (members < 0 || (width === 0 ? members !== 0 : members % width !== 0)) return `Conditions of ${this.header(HEADER.conditions)} words do not hold whole sets and ${this.header(HEADER.quotas)} quotas`
    return undefined
  }

  /** In their order, with the pages that each has. */
  private sections(): readonly (readonly [name: 'cells' | 'accepts' | 'decisions' | 'rows' | 'choices' | 'conditions', pages: number])[] {
    return [
      ['cells', pagesFor(this.header(HEADER.cells), WORDS_PER_PAGE)],
      ['accepts', pagesFor(this.header(HEADER.accepts), PAIRS_PER_PAGE)],
      ['decisions', pagesFor(this.header(HEADER.decisions), WORDS_PER_PAGE)],
      ['rows', pagesFor(this.header(HEADER.rows), PAIRS_PER_PAGE)],
      ['choices', pagesFor(this.header(HEADER.choices), CHOICES_PER_PAGE)],
      ['conditions', pagesFor(this.header(HEADER.conditions), WORDS_PER_PAGE)],
    ]
  }

  private zeros(): Problem {
    const { words } = this
    const page = WORDS_PER_PAGE
    const ranges: readonly (readonly [name: string, from: number, to: number])[] = [
      ['starts of further automata', HEADER.starts / 4 + this.header(HEADER.automata) - 1, HEADER.keyStart / 4],
      ['reserved header words', HEADER.reserved / 4, HEADER.hash / 4],
      ['stamp', HEADER.stamp / 4, HEADER.undecidable / 4],
      ['padding before the classes', HEADER.padding / 4, HEADER.classOf / 4],
      ['rest of page 0', HEADER.end / 4, page],
      ['rest of the cells', page + this.header(HEADER.cells), this.header(HEADER.acceptsPage) * page],
      ['rest of the accepts', this.header(HEADER.acceptsPage) * page + this.header(HEADER.accepts) * 2, this.header(HEADER.decisionsPage) * page],
      ['rest of the decisions', this.header(HEADER.decisionsPage) * page + this.header(HEADER.decisions), this.header(HEADER.rowsPage) * page],
      ['rest of the rows', this.header(HEADER.rowsPage) * page + this.header(HEADER.rows) * 2, this.header(HEADER.choicesPage) * page],
      ['rest of the choices', this.header(HEADER.choicesPage) * page + this.header(HEADER.choices) * 4, this.header(HEADER.conditionsPage) * page],
      ['rest of the conditions', this.header(HEADER.conditionsPage) * page + this.header(HEADER.conditions), words.length],
    ]
    for (const [name, from, to] of ranges) {
      for (let i = from; i < to; i++) if (words[i] !== 0) return `Word ${i} in the ${name} is not zero`
    }
    return undefined
  }

  private hash(): Problem {
    const stored = this.bytes.slice(HEADER.hash, HEADER.hash + HASH_BYTES)
    const copy = this.bytes.slice()
    copy.fill(0, HEADER.hash, HEADER.stamp + STAMP_BYTES)
    const actual = this.sha256(copy)
    return stored.every((byte, i) => byte === actual[i]) ? undefined : 'Hash does not fit the content'
  }

  private classes(): Problem {
    const count = this.header(HEADER.classes)
    for (let byte = 0; byte < 256; byte++) {
      const c = this.bytes[HEADER.classOf + byte]!
      if (c < 1 || c > count) return `Byte ${byte} has class ${c}, which is not 1 to ${count}`
    }
    for (let plane = 0; plane < COLUMN_BYTES; plane++) {
      const column = this.bytes[HEADER.columnOf + plane]!
      if (column >= (plane < PLANES ? this.header(HEADER.columns) : 1)) return `Plane ${plane} has column ${column}, and there are ${this.header(HEADER.columns)}`
    }
    return undefined
  }

  private cells(): Problem {
    const cells = this.words.subarray(WORDS_PER_PAGE, WORDS_PER_PAGE + this.header(HEADER.cells))
    const problem = cellsProblem(cells, this.header(HEADER.classes), this.header(HEADER.accepts))
    if (problem !== undefined) return problem
    for (let i = 0; i < this.header(HEADER.automata); i++) {
      const start = this.header(i === 0 ? HEADER.start : HEADER.starts + (i - 1) * 4)
      if (!isState(cells, start)) return `Start ${start} of automaton ${i} is no state`
    }
    const start = this.header(HEADER.keyStart)
    return isState(cells, start) ? undefined : `Start ${start} of the keys is no state`
  }

  private accepts(): Problem {
    const { words } = this
    const base = this.header(HEADER.acceptsPage) * WORDS_PER_PAGE
    const objects = this.header(HEADER.objects)
    const subjects = this.header(HEADER.subjects)
    if (words[base] !== 0 || words[base + 1] !== 0) return 'Accept 0 is not object 0, subject 0'
    for (let i = 0; i < this.header(HEADER.accepts); i++) {
      const [object, subject] = [words[base + i * 2]!, words[base + i * 2 + 1]!]
      if (object >= objects || subject >= subjects) return `Accept ${i} is object ${object}, subject ${subject}, and there are ${objects} and ${subjects}`
    }
    return undefined
  }
}
