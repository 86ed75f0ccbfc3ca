// SPDX-License-Identifier: Apache-2.0
// The matcher in TypeScript: what bpf/match.h does, on the same bytes. Takes verified tables only (verify.ts).
import { acceptAt, nextState } from './cells.ts'
import { DECISION, HEADER, PAGE } from './table.ts'
import { OPERATIONS, VERDICTS, type Answer, type Question } from './types.ts'

export interface Table {
  readonly decide: (question: Question) => Answer
  /** What automaton `automaton` (0 without one) says of a path; only automaton 0 knows subjects. */
  readonly classify: (path: Uint8Array, automaton?: number) => { readonly object: number; readonly subject: number }
  /** For walks over all paths: the states of the automata at the beginning of a path, and after one byte more. */
  readonly start: readonly number[]
  readonly step: (states: readonly number[], byte: number) => readonly number[]
  /** What decide() says of a path that leads to these states. */
  readonly decideAt: (states: readonly number[], question: Omit<Question, 'path'>) => Answer
  /** Class of a byte: bytes of one class lead to the same states from everywhere. */
  readonly classOf: Uint8Array
}

/** PATH_MAX of the kernel less its NUL: a longer path is undecidable. */
const LONGEST_PATH = 4095

/** A table that has been verified. The words are copied: later changes of `bytes` have no effect. */
export function openTable(bytes: Uint8Array): Table {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const words = Uint32Array.from({ length: bytes.length / 4 }, (_, i) => view.getUint32(i * 4, true))
  return new OpenTable(words, bytes.slice(HEADER.classOf, HEADER.classOf + 256))
}

class OpenTable implements Table {
  private readonly words: Uint32Array
  readonly classOf: Uint8Array
  private readonly cells: number
  private readonly accepts: number
  private readonly decisions: number
  readonly start: readonly number[]

  constructor(words: Uint32Array, classOf: Uint8Array) {
    this.words = words
    this.classOf = classOf
    const section = (offset: number): number => this.word(offset) * (PAGE / 4)
    this.cells = section(HEADER.cellsPage)
    this.accepts = section(HEADER.acceptsPage)
    this.decisions = section(HEADER.decisionsPage)
    const further = Array.from({ length: this.word(HEADER.automata) - 1 }, (_, i) => this.word(HEADER.starts + i * 4))
    this.start = [this.word(HEADER.start), ...further]
  }

  private word(offset: number): number {
    return this.words[offset / 4]!
  }

  classify(path: Uint8Array, automaton = 0): { readonly object: number; readonly subject: number } {
    let state = this.start[automaton]!
    for (const byte of path) state = this.next(state, byte)
    return this.acceptOf(state)
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
    const exec = question.operation === 'exec'
    if (question.path.length > LONGEST_PATH) return answerOf(this.word(exec ? HEADER.undecidableExec : HEADER.undecidableFile))
    const states = this.start.map(start => question.path.reduce((state, byte) => this.next(state, byte), start))
    return this.decideAt(states, question)
  }

  decideAt(states: readonly number[], question: Omit<Question, 'path'>): Answer {
    const plane = OPERATIONS.indexOf(question.operation) * 2 + (question.owner ? 1 : 0)
    const subjects = question.sources.length === 0 ? [0] : question.sources.map(source => this.classify(source).subject)
    let best = 0
    for (const state of states) {
      const { object } = this.acceptOf(state)
      const index = this.words[this.decisions + plane * this.word(HEADER.objects) + object]!
      if (index < DECISION.bySubject) best = stronger(best, index)
      else for (const subject of subjects) best = stronger(best, this.words[this.decisions + (index - DECISION.bySubject) + subject]!)
    }
    return answerOf(best)
  }
}

/** The word with the lower clause; none (0) comes last. */
function stronger(a: number, b: number): number {
  return ((a & DECISION.clause) - 1) >>> 0 <= ((b & DECISION.clause) - 1) >>> 0 ? a : b
}

function answerOf(word: number): Answer {
  return { verdict: VERDICTS[(word >>> DECISION.verdictShift) & DECISION.verdictMask]!, clause: word & DECISION.clause }
}
