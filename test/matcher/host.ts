// SPDX-License-Identifier: Apache-2.0
// bpf/match.h on the host (host.c), as a function: tables and questions in, answers out.
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { argumentKey, invokedKey } from '../../policy/keys.ts'
import { DECISION } from '../../policy/table.ts'
import { OPERATIONS, VERDICTS, type Answer, type Question } from '../../policy/types.ts'

const HERE = fileURLToPath(new URL('.', import.meta.url))
const BUILD = fileURLToPath(new URL('../../build/matcher', import.meta.url))

/** Builds the host matcher if it is out of date. Throws with the compiler's words. */
export function buildHost(): void {
  const made = spawnSync('make', ['-s', '-C', HERE, `BUILD=${BUILD}`], { encoding: 'utf8' })
  if (made.status !== 0) throw new Error(`Cannot build the host matcher: ${made.stderr || String(made.error)}`)
}

export interface Batch {
  readonly table: Uint8Array
  readonly questions: readonly Question[]
}

/** What the matcher says to a question; `bad` where the table led out of itself. */
export type HostAnswer = Answer | 'bad'

/** All answers of all batches, from one process. Throws where the process crashes, hangs or reports a sanitizer's finding. */
export function askHost(batches: readonly Batch[]): HostAnswer[] {
  const input = Buffer.concat(batches.flatMap(({ table, questions }) => [frame(table), table, ...questions.map(encodeQuestion)]))
  const run = spawnSync(`${BUILD}/host`, { input, maxBuffer: 1 << 28, timeout: 1_200_000, env: { ASAN_OPTIONS: 'detect_leaks=1' } })
  if (run.status !== 0) throw new Error(`The host matcher ended with ${run.signal ?? run.status}: ${run.stderr.toString().slice(0, 4000)}`)
  const count = batches.reduce((sum, batch) => sum + batch.questions.length, 0)
  if (run.stdout.length !== count * 4) throw new Error(`The host matcher gave ${run.stdout.length} bytes for ${count} questions`)
  return Array.from({ length: count }, (_, i) => answerOf(run.stdout.readUInt32LE(i * 4)))
}

function frame(table: Uint8Array): Uint8Array {
  const head = Buffer.alloc(5)
  head.write('T')
  head.writeUInt32LE(table.length, 1)
  return head
}

/** Flags of host.c. */
const FLAG = { owner: 1, tty: 2, overQuota: 4, invoked: 8, arguments: 16 } as const

function encodeQuestion({ operation, owner, tty, overQuota, invoked, args, path, sources }: Question): Uint8Array {
  const name = operation === 'exec' && invoked !== undefined ? [invokedKey(invoked, path)] : []
  const given = operation === 'exec' ? args : undefined
  const keys = (given ?? []).slice(1).map(argumentKey)
  const flags =
    (owner ? FLAG.owner : 0) | (tty === true ? FLAG.tty : 0) | (overQuota === true ? FLAG.overQuota : 0) | (name.length > 0 ? FLAG.invoked : 0) | (given === undefined ? 0 : FLAG.arguments)
  const texts = [path, ...name, ...sources, ...keys].flatMap(text => [Uint8Array.of(text.length & 0xff, text.length >> 8), text])
  return Buffer.concat([Uint8Array.of(0x51, OPERATIONS.indexOf(operation), flags, sources.length, keys.length), ...texts])
}

function answerOf(word: number): HostAnswer {
  const verdict = VERDICTS[(word >>> DECISION.verdictShift) & DECISION.verdictMask]
  return word === 0xffffffff || verdict === undefined ? 'bad' : { verdict, clause: word & DECISION.clause }
}
