// SPDX-License-Identifier: Apache-2.0
// The matcher in TypeScript: what bpf/match.h does, on the same bytes. Takes verified tables only (verify.ts).
import { acceptAt, nextState } from './cells.ts'
import { argumentKey, invokedKey, KEY } from './keys.ts'
import { ARGUMENTS, isOfPaths, planeOf, sectionOf } from './planes.ts'
import { DECISION, HEADER, PAGE, setWords } from './table.ts'
import { SECTIONS, VERDICTS, type Answer, type Question } from './types.ts'

export interface Table {
  readonly decide: (question: Question) => Answer
  /** What automaton `automaton` (0 without one) says of a path; only automaton 0 knows subjects. */
  readonly classify: (path: Uint8Array, automaton?: number) => { readonly object: number; readonly subject: number }
  /** For walks over all paths: the states of the automata at the beginning of a path, and after one byte more. */
  readonly start: readonly number[]
  /** The same for keys, which have one automaton. */
  readonly keyStart: readonly number[]
  readonly step: (states: readonly number[], byte: number) => readonly number[]
  /** What decide() says of a path, or key, that leads to these states; an invoked name apart. */
  readonly decideAt: (states: readonly number[], question: Omit<Question, 'path'>) => Answer
  /** Paths, or keys, that lead to the same objects get the same answers. */
  readonly objectsAt: (states: readonly number[]) => readonly number[]
  /** Class of a byte: bytes of one class lead to the same states from everywhere. */
  readonly classOf: Uint8Array
}

/** PATH_MAX of the kernel less its NUL: what is longer is undecidable. */
const LONGEST = 4095

/** A table that has been verified. The words are copied: later changes of `bytes` have no effect. */
export function openTable(bytes: Uint8Array): Table {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const words = Uint32Array.from({ length: bytes.length / 4 }, (_, i) => view.getUint32(i * 4, true))
  return new OpenTable(words, bytes.slice(HEADER.classOf, HEADER.end))
}

/** What the arguments or the quotas of a question say of each condition. */
type Holds = (condition: number) => boolean

class OpenTable implements Table {
  private readonly words: Uint32Array
  readonly classOf: Uint8Array
  private readonly columnOf: Uint8Array
  private readonly cells: number
  private readonly accepts: number
  private readonly decisions: number
  private readonly rows: number
  private readonly choices: number
  private readonly conditions: number
  readonly start: readonly number[]
  readonly keyStart: readonly number[]

  constructor(words: Uint32Array, bytes: Uint8Array) {
    this.words = words
    this.classOf = bytes.subarray(0, 256)
    this.columnOf = bytes.subarray(HEADER.columnOf - HEADER.classOf)
    const section = (offset: number): number => this.word(offset) * (PAGE / 4)
    this.cells = section(HEADER.cellsPage)
    this.accepts = section(HEADER.acceptsPage)
    this.decisions = section(HEADER.decisionsPage)
    this.rows = section(HEADER.rowsPage)
    this.choices = section(HEADER.choicesPage)
    this.conditions = section(HEADER.conditionsPage)
    const further = Array.from({ length: this.word(HEADER.automata) - 1 }, (_, i) => this.word(HEADER.starts + i * 4))
    this.start = [this.word(HEADER.start), ...further]
    this.keyStart = [this.word(HEADER.keyStart)]
  }

  private word(offset: number): number {
    return this.words[offset / 4]!
  }

  classify(path: Uint8Array, automaton = 0): { readonly object: number; readonly subject: number } {
    return this.acceptOf(this.run(path, this.start[automaton]!))
  }

  private run(text: Uint8Array, start: number): number {
    let state = start
    for (const byte of text) state = this.next(state, byte)
    return state
  }

  private next(state: number, byte: number): number {
    return nextState(this.words, this.cells, state, this.classOf[byte]!)
  }

  private acceptOf(state: number): { readonly object: number; readonly subject: number } {
    const { words } = this
    const accept = acceptAt(words, this.cells, state)
    return { object: words[this.accepts + accept * 2]!, subject: words[this.accepts + accept * 2 + 1]! }
  }

  step(states: readonly number[], byte: number): readonly number[] {
    return states.map(state => this.next(state, byte))
  }

  decide(question: Question): Answer {
    const { operation, path, invoked } = question
    if (path.length > LONGEST) return answerOf(this.word(HEADER.undecidable + SECTIONS.indexOf(sectionOf(operation)) * 4))
    const states = (isOfPaths(operation) ? this.start : this.keyStart).map(start => this.run(path, start))
    if (operation === 'exec' && invoked !== undefined) {
      const key = invokedKey(invoked, path)
      if (key.length <= LONGEST) states.push(this.run(key, this.keyStart[0]!))
    }
    return this.decideAt(states, question)
  }

  decideAt(states: readonly number[], question: Omit<Question, 'path'>): Answer {
    const holds = this.conditionsOf(question)
    const subjects = question.sources.length === 0 ? [0] : question.sources.map(source => this.subjectOf(source))
    let best = 0
    for (const state of states) {
      const word = this.indexWord(planeOf(question), this.acceptOf(state).object)
      if (word < DECISION.bySubject) best = stronger(best, this.resolve(word, holds))
      else for (const subject of subjects) best = stronger(best, this.resolve(this.rowWord(word - DECISION.bySubject, subject), holds))
    }
    return answerOf(best)
  }

  objectsAt(states: readonly number[]): readonly number[] {
    return states.map(state => this.acceptOf(state).object)
  }

  private subjectOf(source: Uint8Array): number {
    return source[0] === KEY.invoked ? this.acceptOf(this.run(source, this.keyStart[0]!)).subject : this.classify(source).subject
  }

  private indexWord(plane: number, object: number): number {
    return this.words[this.decisions + this.columnOf[plane]! * this.word(HEADER.objects) + object]!
  }

  private rowWord(row: number, subject: number): number {
    const cell = this.rows + (row + subject) * 2
    return this.words[cell + 1] === row + 1 ? this.words[cell]! : this.words[this.rows + row * 2]!
  }

  /** Follows choices to a direct word. */
  private resolve(word: number, holds: Holds): number {
    let at = word
    while (at >= DECISION.choice) {
      const choice = this.choices + (at - DECISION.choice) * 4
      at = this.words[choice + (holds(this.words[choice]!) ? 1 : 2)]!
    }
    return at
  }

  private conditionsOf({ args, overQuota }: Omit<Question, 'path'>): Holds {
    const sets = this.word(HEADER.sets)
    let known: Uint32Array | undefined
    return condition => {
      if (condition >= sets) return overQuota !== true
      known ??= this.setsOf(args)
      return ((known[condition >> 5]! >>> (condition & 31)) & 1) === 1
    }
  }

  /** The sets that hold all arguments but argv[0]. */
  private setsOf(args: Question['args']): Uint32Array {
    const width = setWords(this.word(HEADER.sets))
    const all = new Uint32Array(width)
    if (args === undefined) return all
    all.fill(0xffffffff)
    for (const argument of args.slice(1)) {
      const member = argument.length < LONGEST ? this.indexWord(ARGUMENTS, this.acceptOf(this.run(argumentKey(argument), this.keyStart[0]!)).object) : 0
      for (let i = 0; i < width; i++) all[i]! &= member === 0 ? 0 : this.words[this.conditions + (member - 1) * width + i]!
    }
    return all
  }
}

/** The word with the lower clause; none (0) comes last. */
function stronger(a: number, b: number): number {
  return ((a & DECISION.clause) - 1) >>> 0 <= ((b & DECISION.clause) - 1) >>> 0 ? a : b
}

function answerOf(word: number): Answer {
  return { verdict: VERDICTS[(word >>> DECISION.verdictShift) & DECISION.verdictMask]!, clause: word & DECISION.clause }
}
