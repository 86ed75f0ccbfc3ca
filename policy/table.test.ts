// SPDX-License-Identifier: Apache-2.0
// policy/table.ts, bpf/table.h and docs/table.md say the same numbers.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'node:test'
import { fileURLToPath } from 'node:url'
import { KEY } from './keys.ts'
import { CASES, PLANES } from './planes.ts'
import { CELL, CHOICES_PER_PAGE, DECISION, FLAGS, HEADER, MAGIC, MAX_AUTOMATA, MAX_SET_WORDS, PAGE, PAIRS_PER_PAGE, STAMP_BYTES, VERSION, WORDS_PER_PAGE } from './table.ts'
import { SECTIONS } from './types.ts'

const ROOT = fileURLToPath(new URL('..', import.meta.url))

/** Values of C expressions over bpf/table.h. */
function valuesInC(expressions: readonly string[]): number[] {
  const folder = mkdtempSync(join(tmpdir(), 'merlon-table-'))
  try {
    const prints = expressions.map(expression => `printf("%lu\\n", (unsigned long)(${expression}));`).join('\n')
    const source = `#include <stddef.h>\n#include <stdio.h>\n#include "table.h"\nint main(void) {\n${prints}\nreturn 0;\n}\n`
    execFileSync('cc', ['-I', join(ROOT, 'bpf'), '-x', 'c', '-', '-o', join(folder, 'values')], { input: source })
    return execFileSync(join(folder, 'values'), { encoding: 'utf8' }).trim().split('\n').map(Number)
  } finally {
    rmSync(folder, { recursive: true })
  }
}

/** Field of struct merlon_table for each offset that has one. */
const FIELDS: Partial<Record<keyof typeof HEADER, string>> = {
  magic: 'magic',
  version: 'version',
  pages: 'pages',
  flags: 'flags',
  classes: 'classes',
  cellsPage: 'cells_page',
  cells: 'cells',
  start: 'start',
  acceptsPage: 'accepts_page',
  accepts: 'accepts',
  decisionsPage: 'decisions_page',
  decisions: 'decisions',
  objects: 'objects',
  subjects: 'subjects',
  clauses: 'clauses',
  columns: 'columns',
  automata: 'automata',
  starts: 'starts',
  keyStart: 'key_start',
  rowsPage: 'rows_page',
  rows: 'rows',
  choicesPage: 'choices_page',
  choices: 'choices',
  conditionsPage: 'conditions_page',
  conditions: 'conditions',
  sets: 'sets',
  quotas: 'quotas',
  reserved: 'reserved',
  hash: 'hash',
  stamp: 'stamp',
  undecidable: 'undecidable',
  padding: 'pad',
  classOf: 'class_of',
  columnOf: 'column_of',
}

test('HEADER has the offsets of struct merlon_table', () => {
  const names = Object.keys(FIELDS) as (keyof typeof FIELDS)[]
  const offsets = valuesInC(names.map(name => `offsetof(struct merlon_table, ${FIELDS[name]})`))
  assert.deepEqual(Object.fromEntries(names.map((name, i) => [name, offsets[i]])), Object.fromEntries(names.map(name => [name, HEADER[name]])))
})

test('constants have the values of table.h', () => {
  const pairs: readonly (readonly [string, number])[] = [
    ['MERLON_TABLE_MAGIC', MAGIC],
    ['MERLON_TABLE_VERSION', VERSION],
    ['MERLON_PAGE', PAGE],
    ['MERLON_PAIRS_PER_PAGE', PAIRS_PER_PAGE],
    ['MERLON_WORDS_PER_PAGE', WORDS_PER_PAGE],
    ['MERLON_AUTOMATA', MAX_AUTOMATA],
    ['MERLON_PLANES', PLANES],
    ['MERLON_DECISION_CLAUSE', DECISION.clause],
    ['MERLON_DECISION_VERDICT_SHIFT', DECISION.verdictShift],
    ['MERLON_DECISION_VERDICT', DECISION.verdictMask],
    ['MERLON_DECISION_DEFAULT', DECISION.default],
    ['MERLON_DECISION_BY_SUBJECT', DECISION.bySubject],
    ['MERLON_CELL_CLASS_SHIFT', CELL.classShift],
    ['MERLON_CELL_TARGET', CELL.target],
    ['MERLON_CELL_STATE', CELL.state],
    ['MERLON_CELL_ACCEPTING', CELL.accepting],
    ['MERLON_CELL_ABSORBING', CELL.absorbing],
    ['MERLON_CELL_FALLBACK', CELL.fallback],
    ['MERLON_DECISION_CHOICE', DECISION.choice],
    ['MERLON_CHOICES_PER_PAGE', CHOICES_PER_PAGE],
    ['MERLON_SET_WORDS', MAX_SET_WORDS],
    ['MERLON_TABLE_TERMINAL', FLAGS.terminal],
    ['MERLON_TABLE_ARGUMENTS', FLAGS.arguments],
    ['MERLON_TABLE_INVOKED', FLAGS.invoked],
    ...SECTIONS.flatMap((section, number): (readonly [string, number])[] => [
      [`MERLON_SECTION_${section.toUpperCase()}`, number],
      [`MERLON_TABLE_RULES(MERLON_SECTION_${section.toUpperCase()})`, FLAGS.rules << number],
      [`MERLON_TABLE_SUBJECTS(MERLON_SECTION_${section.toUpperCase()})`, FLAGS.subjects << number],
    ]),
    ...CASES.filter(({ owner, tty }) => !owner && !tty).map(({ operation, plane }): readonly [string, number] => [`MERLON_PLANE_${operation.toUpperCase()}`, plane]),
    ...Object.entries(KEY).map(([name, value]): readonly [string, number] => [`MERLON_KEY_${name.toUpperCase()}`, value]),
    ['sizeof(struct merlon_choice)', PAGE / CHOICES_PER_PAGE],
    ['sizeof(struct merlon_row_cell)', PAGE / PAIRS_PER_PAGE],
    ['sizeof(struct merlon_table)', HEADER.end],
    ['sizeof(struct merlon_stamp)', STAMP_BYTES],
    ['sizeof(struct merlon_accept)', PAGE / PAIRS_PER_PAGE],
  ]
  assert.deepEqual(valuesInC(pairs.map(([expression]) => expression)), pairs.map(([, value]) => value))
})

test('HEADER has the offsets of docs/table.md', () => {
  const page = readFileSync(join(ROOT, 'docs/table.md'), 'utf8')
  const rows = [...page.matchAll(/^\| (\d+)(?:(?:, \d+)+|-\d+)? \| (\w+) \|/gm)].map(([, offset, word]) => `${word} ${offset}`)
  const expected = (Object.keys(FIELDS) as (keyof typeof FIELDS)[])
    .filter(name => name !== 'padding')
    .map(name => `${FIELDS[name]} ${HEADER[name]}`)
  const documented = rows.filter(row => row !== `reserved ${HEADER.padding}` && row !== `reserved ${HEADER.end}`)
  assert.deepEqual(documented.sort(), expected.sort())
  assert.equal(rows.length - documented.length, 2)
})
