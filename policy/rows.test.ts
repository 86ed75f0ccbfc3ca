// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import type { Row } from './objects.ts'
import { placeRows } from './rows.ts'
import { DECISION } from './table.ts'

const SUBJECTS = 40
const anyRow: fc.Arbitrary<Row> = fc
  .record({ base: fc.nat(5), others: fc.uniqueArray(fc.tuple(fc.integer({ min: 1, max: SUBJECTS - 1 }), fc.integer({ min: 6, max: 99 })), { minLength: 1, maxLength: 8, selector: ([subject]) => subject }) })
  .map(({ base, others }) => ({ base, others: others.sort((a, b) => a[0] - b[0]) }))

test('every subject of every row has its word, equal rows are one, and there is room behind the last', () => {
  fc.assert(
    fc.property(fc.array(anyRow, { maxLength: 60 }), (rows) => {
      const placed = placeRows([rows], [], SUBJECTS)
      for (const row of rows) {
        const at = placed.wordOf(row) - DECISION.bySubject
        for (let subject = 0; subject < SUBJECTS; subject++) {
          const cell = placed.words[(at + subject) * 2 + 1] === at + 1 ? at + subject : at
          assert.ok((at + subject) * 2 + 1 < placed.words.length)
          assert.equal(placed.words[cell * 2], row.others.find(([other]) => other === subject)?.[1] ?? row.base)
        }
      }
    }),
  )
})

test('rows that say little interleave: the section is not much larger than what they say', () => {
  const rows = Array.from({ length: 2000 }, (_, i): Row => ({ base: i, others: [[1 + ((i * 7) % 39), 5000 + i]] }))
  const { words } = placeRows(rows.map((row) => [row]), [], SUBJECTS)
  assert.ok(words.length / 2 < 2000 * 2 * 1.3, `${words.length / 2} cells for 4000 words`)
})

test('of choices only those that some decision needs are placed, each after what it refers to', () => {
  const choices = [
    { condition: 0, yes: 1, no: 2, unknown: 2 },
    { condition: 1, yes: 3, no: 4, unknown: 4 },
    { condition: 2, yes: DECISION.choice + 1, no: 5, unknown: 5 },
  ]
  const placed = placeRows([[DECISION.choice + 2]], choices, 1)
  assert.deepEqual(placed.choices.map(({ condition }) => condition), [1, 2])
  assert.equal(placed.wordOf(DECISION.choice + 2), DECISION.choice + 1)
  assert.equal(placed.choices[1]?.yes, DECISION.choice)
})
