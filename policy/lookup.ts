// SPDX-License-Identifier: Apache-2.0
// The matcher in TypeScript: what bpf/match.h does, on the same bytes. Takes verified tables only (verify.ts).
import { DECISION, HEADER, INFO, PAGE } from './table.ts'
import { OPERATIONS, VERDICTS, type Answer, type Question } from './types.ts'

export interface Table {
  readonly decide: (question: Question) => Answer
  readonly classify: (path: Uint8Array) => { readonly object: number; readonly subject: number }
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
  private readonly classOf: Uint8Array
  private readonly cells: number
  private readonly accepts: number
  private readonly decisions: number

  constructor(words: Uint32Array, classOf: Uint8Array) {
    this.words = words
    this.classOf = classOf
    const section = (offset: number): number => this.word(offset) * (PAGE / 4)
    this.cells = section(HEADER.cellsPage)
    this.accepts = section(HEADER.acceptsPage)
    this.decisions = section(HEADER.decisionsPage)
  }

  private word(offset: number): number {
    return this.words[offset / 4]!
  }

  classify(path: Uint8Array): { readonly object: number; readonly subject: number } {
    const { words, classOf, cells } = this
    let state = this.word(HEADER.start)
    for (const byte of path) {
      const cell = cells + (state + 1 + classOf[byte]!) * 2
      state = words[cell + 1] === state ? words[cell]! : words[cells + state * 2]!
    }
    const accept = words[cells + state * 2 + 1]! & INFO.accept
    return { object: words[this.accepts + accept * 2]!, subject: words[this.accepts + accept * 2 + 1]! }
  }

  decide(question: Question): Answer {
    const exec = question.operation === 'exec'
    if (question.path.length > LONGEST_PATH) return answerOf(this.word(exec ? HEADER.undecidableExec : HEADER.undecidableFile))
    const plane = OPERATIONS.indexOf(question.operation) * 2 + (question.owner ? 1 : 0)
    const { object } = this.classify(question.path)
    const index = this.words[this.decisions + plane * this.word(HEADER.objects) + object]!
    if (index < DECISION.bySubject) return answerOf(index)
    const row = this.decisions + (index - DECISION.bySubject)
    let best = 0
    for (const source of question.sources) best = stronger(best, this.words[row + this.classify(source).subject]!)
    return answerOf(question.sources.length === 0 ? this.words[row]! : best)
  }
}

/** The word with the lower clause; none (0) comes last. */
function stronger(a: number, b: number): number {
  return ((a & DECISION.clause) - 1) >>> 0 <= ((b & DECISION.clause) - 1) >>> 0 ? a : b
}

function answerOf(word: number): Answer {
  return { verdict: VERDICTS[(word >>> DECISION.verdictShift) & DECISION.verdictMask]!, clause: word & DECISION.clause }
}
