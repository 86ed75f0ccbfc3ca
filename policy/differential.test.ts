// SPDX-License-Identifier: Apache-2.0
// The table in TypeScript decides what the evaluator decides. MERLON_CASES sets how many questions are put (100,000).
import assert from 'node:assert/strict'
import test from 'node:test'
import fc from 'fast-check'
import { arbitraryCase, type Case } from '../test/support/generate.ts'
import { compile, LIMITS, type CompileOptions } from './compile.ts'
import { evaluate } from './evaluate.ts'
import { openTable } from './lookup.ts'
import { verifyTable } from './verify.ts'

const CASES = Number(process.env['MERLON_CASES'] ?? 100_000)
const SEED = Number(process.env['MERLON_SEED'] ?? 1)
const QUESTIONS = 50

function compare({ plan, questions }: Case, options: CompileOptions = {}): void {
  const compiled = compile(plan, options)
  assert.ok(compiled.ok)
  assert.deepEqual(verifyTable(compiled.table), { ok: true })
  const table = openTable(compiled.table)
  for (const question of questions) {
    assert.deepEqual(table.decide(question), evaluate(plan, question), `for ${question.operation} of ${JSON.stringify(Buffer.from(question.path).toString('latin1'))}`)
  }
}

test('decide() agrees with evaluate() on small plans', () => {
  fc.assert(fc.property(arbitraryCase(6, QUESTIONS), value => compare(value)), { numRuns: Math.ceil(CASES / QUESTIONS / 3), seed: SEED })
})

test('decide() agrees with evaluate() on plans with many clauses', () => {
  fc.assert(fc.property(arbitraryCase(30, QUESTIONS), value => compare(value)), { numRuns: Math.ceil(CASES / QUESTIONS / 3), seed: SEED })
})

test('decide() agrees with evaluate() on tables of as many automata as there can be', () => {
  const options = { limits: { ...LIMITS, apart: true } }
  fc.assert(fc.property(arbitraryCase(20, QUESTIONS), value => compare(value, options)), { numRuns: Math.ceil(CASES / QUESTIONS / 3), seed: SEED })
  const counts = fc.sample(arbitraryCase(20, 1), { numRuns: 100, seed: SEED }).map(({ plan }) => {
    const compiled = compile(plan, options)
    return compiled.ok ? compiled.stats.automata : 0
  })
  assert.deepEqual([...new Set(counts)].sort((a, b) => a - b), [1, 2, 3, 4])
})
