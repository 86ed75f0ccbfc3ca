// SPDX-License-Identifier: Apache-2.0
// bpf/match.h inside the kernel (match.bpf.c), as a function: a table and questions in, answers out.
import { readFileSync } from 'node:fs'
import { BPF_F_INNER_MAP, BPF_MAP_TYPE_ARRAY, PAGE, u32, u64 } from '../../agent/abi.ts'
import { loadBinding } from '../../native/index.ts'
import type { BpfMap, BpfObject } from '../../native/types.ts'
import { DECISION } from '../../policy/table.ts'
import { planeOf } from '../../policy/planes.ts'
import { VERDICTS, type Answer, type Question } from '../../policy/types.ts'

/** QUESTIONS of match.bpf.c. */
export const BATCH = 50
const PATH_MAX = 4096
const TEXT_SIZE = PATH_MAX + 256
/** Offsets in struct question. */
const AT = { plane: 0, key: 4, sources: 8, at: 12, answer: 24, text: 60 } as const

const native = loadBinding()

export class KernelMatcher {
  readonly #object: BpfObject
  readonly #questions: BpfMap
  readonly #table: BpfMap
  readonly #size: number

  constructor() {
    this.#object = native.openObject(readFileSync(new URL('../../build/test/match.bpf.o', import.meta.url)), { name: 'match' })
    this.#object.load()
    this.#questions = this.#object.map('questions')
    this.#table = this.#object.map('table')
    this.#size = this.#questions.info.valueSize
    if (this.#size !== AT.text + 3 * TEXT_SIZE) throw new Error(`struct question has ${this.#size} bytes`)
  }

  load(table: Uint8Array): void {
    const pages = table.length / PAGE
    const map = native.createMap({ type: BPF_MAP_TYPE_ARRAY, name: 'table', keySize: 4, valueSize: PAGE, maxEntries: pages, flags: BPF_F_INNER_MAP })
    map.updateBatch(new Uint8Array(new Uint32Array(pages).map((_, i) => i).buffer), table)
    this.#table.updateInner(u32(0), map)
    map.close()
  }

  /** At most BATCH questions, with paths that can be decided. */
  ask(questions: readonly Question[]): (Answer | 'bad')[] {
    questions.forEach((question, i) => this.#questions.update(u32(i), this.#encode(question)))
    const calls = this.#object.testRun('answer_all', u64(BigInt(questions.length)))
    if (calls !== questions.length) throw new Error(`The kernel asked ${calls} of ${questions.length} questions`)
    return questions.map((_, i) => answerOf(Buffer.from(this.#questions.lookup(u32(i)) ?? []).readUInt32LE(AT.answer)))
  }

  close(): void {
    this.#questions.close()
    this.#table.close()
    this.#object.close()
  }

  #encode(question: Question): Uint8Array {
    const { operation, path, sources } = question
    const bytes = Buffer.alloc(this.#size)
    bytes.writeUInt32LE(planeOf(question), AT.plane)
    bytes.writeUInt32LE(operation === 'exec' || operation === 'read' || operation === 'write' ? 0 : 1, AT.key)
    bytes.writeUInt32LE(sources.length, AT.sources)
    for (const [i, text] of [path, ...sources].entries()) {
      bytes.writeUInt32LE(PATH_MAX - text.length, AT.at + 4 * i)
      bytes.set(text, AT.text + i * TEXT_SIZE + PATH_MAX - text.length)
    }
    return bytes
  }
}

function answerOf(word: number): Answer | 'bad' {
  const verdict = VERDICTS[(word >>> DECISION.verdictShift) & DECISION.verdictMask]
  return word === 0xffffffff || verdict === undefined ? 'bad' : { verdict, clause: word & DECISION.clause }
}
