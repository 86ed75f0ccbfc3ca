// SPDX-License-Identifier: Apache-2.0
// bpf/match.h, verified and compiled by this kernel, decides what the evaluator and the matcher in TypeScript decide. The host's copy
// of the same test has more cases, and shrinks. MERLON_KERNEL_CASES sets how many questions are put (10,000).
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import fc from 'fast-check'
import { compile } from '../../policy/compile.ts'
import { evaluate } from '../../policy/evaluate.ts'
import { KEY } from '../../policy/keys.ts'
import { openTable } from '../../policy/lookup.ts'
import type { Question } from '../../policy/types.ts'
import { arbitraryCase, type Case } from '../support/generate.ts'
import { BATCH, KernelMatcher } from './match.ts'

const CASES = Number(process.env['MERLON_KERNEL_CASES'] ?? 10_000)
const SEED = Number(process.env['MERLON_SEED'] ?? 3)

let matcher: KernelMatcher
before(() => { matcher = new KernelMatcher() })
after(() => matcher.close())

/** What the kernel knows of a question: no arguments, no quotas, and no names by which files were executed. */
function asKnown({ args: _args, invoked: _invoked, ...question }: Question): Question {
  return { ...question, overQuota: true, sources: question.sources.filter(([first]) => first !== KEY.invoked) }
}

/** Questions to one plan: compiling it is what takes the time under emulation. */
const QUESTIONS = 4 * BATCH

test(`the kernel agrees with evaluate() and decide() on ${CASES} questions`, () => {
  let verdicts = 0
  for (const { plan, questions: all } of fc.sample(arbitraryCase(16, QUESTIONS), { seed: SEED, numRuns: Math.ceil(CASES / QUESTIONS) })) {
    const compiled = compile(plan)
    assert.ok(compiled.ok)
    matcher.load(compiled.table)
    const questions = all.map(asKnown)
    const expected = questions.map((question) => evaluate(plan, question))
    const answers = Array.from({ length: QUESTIONS / BATCH }, (_, i) => matcher.ask(questions.slice(i * BATCH, (i + 1) * BATCH))).flat()
    assert.deepEqual(answers, expected)
    const table = openTable(compiled.table)
    assert.deepEqual(questions.map((question) => table.decide(question)), expected)
    verdicts += expected.filter((answer) => answer.clause > 0).length
  }
  assert.ok(verdicts > CASES / 10, `only ${verdicts} questions met a clause`)
})

test('and on paths up to the longest that is decided', () => {
  const [{ plan }] = fc.sample(arbitraryCase(20, 1), { seed: SEED, numRuns: 1 }) as [Case]
  const compiled = compile(plan)
  assert.ok(compiled.ok)
  matcher.load(compiled.table)
  const questions = [1, 2, 3, 4, 5, 2000, 4093, 4094, 4095].map((length): Question => {
    const path = new Uint8Array(length).fill(0x61)
    for (let i = 0; i < length; i += 7) path[i] = 0x2f
    return { operation: 'exec', owner: true, path, sources: [path, path.subarray(0, 3)] }
  })
  assert.deepEqual(matcher.ask(questions), questions.map((question) => evaluate(plan, question)))
})
