// SPDX-License-Identifier: Apache-2.0
// bpf/match.h decides what the evaluator and the matcher in TypeScript decide, and stays in its table whatever the table holds.
// MERLON_CASES sets how many questions are put (100,000).
import assert from 'node:assert/strict'
import test, { before } from 'node:test'
import fc from 'fast-check'
import { compile, LIMITS } from '../../policy/compile.ts'
import { evaluate } from '../../policy/evaluate.ts'
import { openTable } from '../../policy/lookup.ts'
import { verifyTable } from '../../policy/verify.ts'
import { HEADER } from '../../policy/table.ts'
import { isPathMatch, type Question } from '../../policy/types.ts'
import { mutateTable, rehash } from '../support/corrupt.ts'
import { arbitraryCase, planOf, realise, type Case } from '../support/generate.ts'
import { mixed } from '../support/policies.ts'
import { askHost, buildHost, type Batch } from './host.ts'

const CASES = Number(process.env['MERLON_CASES'] ?? 100_000)
const SEED = Number(process.env['MERLON_SEED'] ?? 2)
const QUESTIONS = 50
const RULE = { action: 'Block', readOnly: false, ownerOnly: false, sources: [], severity: 1, tags: [], message: '' } as const

before(buildHost)

/** As compiled for use, or in as many automata as there can be. */
function batchOf({ plan, questions }: Case, apart = false): Batch {
  const compiled = compile(plan, { limits: { ...LIMITS, apart } })
  assert.ok(compiled.ok)
  return { table: compiled.table, questions }
}

/** Index of the first case in which somebody disagrees, or -1. */
function firstDifference(cases: readonly Case[], apart: boolean): number {
  const batches = cases.map(value => batchOf(value, apart))
  const answers = askHost(batches)
  let at = 0
  return cases.findIndex(({ plan, questions }, i) => {
    const table = openTable(batches[i]!.table)
    return questions.some(question => {
      const answer = JSON.stringify(answers[at++])
      return answer !== JSON.stringify(evaluate(plan, question)) || answer !== JSON.stringify(table.decide(question))
    })
  })
}

for (const apart of [false, true]) {
  test(`match.h agrees with evaluate() and decide()${apart ? ' on tables of as many automata as there can be' : ''}`, () => {
    const cases = arbitraryCase(20, QUESTIONS)
    const parameters = { seed: SEED, numRuns: Math.ceil(CASES / QUESTIONS / 2) }
    if (firstDifference(fc.sample(cases, parameters), apart) < 0) return
    // One process for each case is slow, and shrinks: as far as it gets in that time.
    fc.assert(fc.property(cases, value => assert.equal(firstDifference([value], apart), -1)), { ...parameters, interruptAfterTimeLimit: 30_000, markInterruptAsFailure: true })
    assert.fail('A batch of cases disagrees, and none of them does alone')
  })
}

test('match.h agrees on paths up to the kernel\'s limit and beyond', () => {
  const [{ plan }] = fc.sample(arbitraryCase(20, 1), { seed: SEED, numRuns: 1 }) as [Case]
  const questions = [1, 23, 24, 25, 2000, 4094, 4095, 4096].flatMap((length): Question[] => {
    const path = new Uint8Array(length).fill(0x61)
    for (let i = 0; i < length; i += 7) path[i] = 0x2f
    return [
      { operation: 'exec', owner: true, path, sources: [path.subarray(0, 4000)] },
      { operation: 'write', owner: false, path, sources: [] },
    ]
  })
  const answers = askHost([{ table: batchOf({ plan, questions }).table, questions }])
  assert.deepEqual(answers, questions.map(question => evaluate(plan, question)))
})

test('match.h agrees on a table of many pages, where a state and its edges lie on different ones', () => {
  const rules = Array.from({ length: 6000 }, (_, i) => ({ ...RULE, section: i % 2 === 0 ? ('file' as const) : ('process' as const), match: mixed(i) }))
  const plan = planOf(rules, 'block')
  const questions = plan.clauses.flatMap(({ section, matches: [match] }, i): Question[] => {
    const path = match !== undefined && isPathMatch(match) ? realise(match, below => i % below) : new Uint8Array()
    // As it is, cut off and gone on: where edges end, defaults take over.
    return [path, path.subarray(0, -1), path.subarray(0, path.length >> 1), Uint8Array.from([...path, 0x2f, 0x78])].map(each => ({ operation: section === 'process' ? 'exec' : 'read', owner: false, path: each, sources: [] }))
  })
  const { table } = batchOf({ plan, questions })
  assert.ok(new DataView(table.buffer).getUint32(HEADER.cells, true) > 20 * 1024, 'there are not many pages of cells')
  const opened = openTable(table)
  const answers = askHost([{ table, questions }])
  // One by one: to show how two lists of that length differ takes gigabytes.
  for (const [i, question] of questions.entries()) assert.deepEqual(answers[i], opened.decide(question), Buffer.from(question.path).toString())
})

test('match.h stays in its table whatever is in it', () => {
  const numRuns = Math.ceil(CASES / 100)
  const seeds = fc.sample(fc.tuple(arbitraryCase(12, 20), fc.boolean(), fc.array(fc.tuple(fc.nat(), fc.nat()), { minLength: 1, maxLength: 6 })), { seed: SEED, numRuns })
  const batches = seeds.map(([value, apart, changes]): Batch => {
    const { table, questions } = batchOf(value, apart)
    return { table: rehash(changes.reduce(mutateTable, table)), questions }
  })
  const answers = askHost(batches)
  let accepted = 0
  for (const [i, { table, questions }] of batches.entries()) {
    if (!verifyTable(table).ok) continue
    accepted++
    const opened = openTable(table)
    assert.deepEqual(answers.slice(i * 20, i * 20 + 20), questions.map(opened.decide, opened))
  }
  assert.ok(accepted < batches.length, 'no change was refused')
})
