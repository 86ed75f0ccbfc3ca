// SPDX-License-Identifier: Apache-2.0
// policy/table.ts, bpf/table.h and docs/table.md say the same numbers.
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import test from 'node:test'
import { fileURLToPath } from 'node:url'
import { CELL, DECISION, FLAGS, HEADER, MAGIC, MAX_AUTOMATA, PAGE, PAIRS_PER_PAGE, PLANES, VERSION, WORDS_PER_PAGE } from './table.ts'

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
  undecidableExec: 'undecidable',
  automata: 'automata',
  starts: 'starts',
  reserved: 'reserved',
  hash: 'hash',
  stamp: 'stamp',
  padding: 'pad',
  classOf: 'class_of',
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
    ['MERLON_ACCEPTS_PER_PAGE', PAIRS_PER_PAGE],
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
    ['MERLON_TABLE_FILE_SUBJECTS', FLAGS.fileSubjects],
    ['MERLON_TABLE_EXEC_SUBJECTS', FLAGS.execSubjects],
    ['MERLON_TABLE_FILE_RULES', FLAGS.fileRules],
    ['MERLON_TABLE_EXEC_RULES', FLAGS.execRules],
    ['sizeof(struct merlon_table)', HEADER.end],
    ['sizeof(struct merlon_stamp)', HEADER.padding - HEADER.stamp],
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
