// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import test from 'node:test'
import fc from 'fast-check'
import { mutateTable, rehash } from '../test/support/corrupt.ts'
import { arbitraryCase, planOf } from '../test/support/generate.ts'
import { compile } from './compile.ts'
import { openTable } from './lookup.ts'
import { CELL, DECISION, HEADER, PAGE, VERSION } from './table.ts'
import type { Match, Plan } from './types.ts'
import { verifyTable } from './verify.ts'

type RuleParts = Parameters<typeof planOf>[0][number]

function rule(match: Match, sources: readonly string[] = [], parts: Partial<RuleParts> = {}): RuleParts {
  return { section: 'file', match, action: 'Block', readOnly: false, ownerOnly: false, sources, severity: 1, tags: [], message: '', ...parts }
}

function tableOf(plan: Plan): Uint8Array {
  const compiled = compile(plan)
  assert.ok(compiled.ok)
  return compiled.table
}

const TABLE = tableOf(
  planOf(
    [
      rule({ kind: 'path', path: '/a/b' }),
      rule({ kind: 'path', path: '/etc/x' }, ['/bin/a', '/bin/b']),
      rule({ kind: 'dir', dir: '/etc/', recursive: true }, ['/bin/b']),
      rule({ kind: 'path', path: '/srv' }, ['/bin/d', '/bin/e']),
      rule({ kind: 'path', path: '/opt' }, ['/bin/a']),
      rule({ kind: 'pattern', pattern: '/**/*.sh' }),
      rule({ kind: 'path', path: '/bin/c' }, [], { section: 'process', allowedArgs: ['-a', '-b'] }),
      rule({ kind: 'path', path: '/bin/c' }, [], { section: 'process', allowedArgs: ['-a'], pts: true }),
      rule({ kind: 'flow', cidrs: ['10.0.0.0/8'], ports: [], interfaces: [] }, [], { section: 'egress', quota: { limit: 5, seconds: 60, level: 'pod' } }),
    ],
    'audit',
  ),
)

function read(offset: number, table = TABLE): number {
  return new DataView(table.buffer).getUint32(offset, true)
}

/** The table with words replaced and a hash that fits. */
function withWords(...changes: readonly (readonly [offset: number, value: number])[]): Uint8Array {
  const copy = TABLE.slice()
  for (const [offset, value] of changes) new DataView(copy.buffer).setUint32(offset, value, true)
  return rehash(copy)
}

function problemOf(table: Uint8Array): string {
  const result = verifyTable(table)
  assert.equal(result.ok, false, 'was accepted')
  return result.ok ? '' : result.problem
}

const CELLS = PAGE
const ACCEPTS = read(HEADER.acceptsPage) * PAGE
const DECISIONS = read(HEADER.decisionsPage) * PAGE
const ROWS = read(HEADER.rowsPage) * PAGE
const CHOICES = read(HEADER.choicesPage) * PAGE
const CONDITIONS = read(HEADER.conditionsPage) * PAGE

/** The first cell for which `holds`. */
function cellWhere(holds: (word: number, cell: number) => boolean): number {
  for (let cell = 1; cell < read(HEADER.cells); cell++) if (holds(read(CELLS + cell * 4), cell)) return cell
  throw new Error('No such cell')
}

const isState = (word: number): boolean => word >= CELL.state && word < 1 << CELL.classShift
const STATE = cellWhere(isState)
const ACCEPTING = cellWhere(word => isState(word) && word >= CELL.accepting && word < CELL.absorbing)
const EDGE = cellWhere(word => word >= 1 << CELL.classShift)
const EMPTY = cellWhere((word, cell) => word === 0 && !isState(read(CELLS + cell * 4 - 4)))

/** Cells of rows that are not their first: no rows begin there. */
const FOREIGNS = Array.from({ length: read(HEADER.rows) }, (_, cell) => cell).filter(cell => ![0, cell + 1].includes(read(ROWS + cell * 8 + 4)))
const FOREIGN = FOREIGNS.at(-1) ?? 0
const NO_ROW = FOREIGNS[0] ?? 0
/** A row's cell that is nobody's. */
const GAP = Array.from({ length: read(HEADER.rows) }, (_, cell) => cell).find(cell => read(ROWS + cell * 8 + 4) === 0) ?? -1
/** Of rows: the last subject's of the last row. */
const LAST_CELL = read(HEADER.rows) - 1
/** An index word that says which sets an argument is in. */
const MEMBER = Array.from({ length: read(HEADER.objects) }, (_, object) => (TABLE[HEADER.columnOf + 21] ?? 0) * read(HEADER.objects) + object).find(at => read(DECISIONS + at * 4) > 0) ?? 0

test('verifyTable() accepts what compile() makes', () => {
  assert.ok(GAP >= 0 && FOREIGN > 0 && MEMBER > 0 && read(HEADER.choices) > 1 && read(HEADER.sets) === 2 && read(HEADER.quotas) === 1)

  assert.deepEqual(verifyTable(TABLE), { ok: true })
  assert.deepEqual(verifyTable(withWords()), { ok: true })
})

test('verifyTable() accepts a table at any alignment, and takes another SHA-256', () => {
  const shifted = new Uint8Array(TABLE.length + 3)
  shifted.set(TABLE, 3)
  assert.deepEqual(verifyTable(shifted.subarray(3)), { ok: true })
  const sha256 = (bytes: Uint8Array): Uint8Array => createHash('sha256').update(bytes).digest()
  assert.deepEqual(verifyTable(TABLE, { sha256 }), { ok: true })
})

test('verifyTable() takes a Buffer, at any alignment, and leaves it as it is', () => {
  for (let offset = 0; offset < 4; offset++) {
    const place = Buffer.alloc(TABLE.length + 4)
    place.set(TABLE, offset)
    const before = Buffer.from(place)
    assert.deepEqual(verifyTable(place.subarray(offset, offset + TABLE.length)), { ok: true })
    assert.deepEqual(place, before)
  }
})

const REFUSED: readonly (readonly [what: string, table: () => Uint8Array, problem: RegExp])[] = [
  ['nothing', () => new Uint8Array(0), /^Length 0 /],
  ['one page', () => TABLE.slice(0, PAGE), /^Length 4096 /],
  ['half a page more', () => new Uint8Array(PAGE * 2.5), /^Length 10240 /],
  ['more than 4,096 pages', () => new Uint8Array(PAGE * 4097), /^Length /],
  ['zeros', () => new Uint8Array(PAGE * 4), /^Magic is 0x0/],
  ['a page less', () => TABLE.slice(0, -PAGE), /^Header says \d+ pages/],
  ['a page more', () => rehash(new Uint8Array([...TABLE, ...new Uint8Array(PAGE)])), /^Header says/],
  ['another version', () => withWords([HEADER.version, VERSION + 1]), /^Version is 3/],
  ['an unknown flag', () => withWords([HEADER.flags, 1 << 23]), /flags is 8388608/],
  ['flags that are not so', () => withWords([HEADER.flags, read(HEADER.flags) ^ 2]), /^Flags are/],
  ['no classes', () => withWords([HEADER.classes, 0]), /classes is 0/],
  ['too many classes', () => withWords([HEADER.classes, 256]), /classes is 256/],
  ['no cells', () => withWords([HEADER.cells, 0]), /cells is 0/],
  ['too many cells', () => withWords([HEADER.cells, 0xffffffff]), /cells is 4294967295/],
  ['too many objects', () => withWords([HEADER.objects, 0x40000000]), /objects is/],
  ['no subjects', () => withWords([HEADER.subjects, 0]), /subjects is 0/],
  ['fewer clauses than it uses', () => withWords([HEADER.clauses, 1]), /has clause \d+, and 1 is the highest/],
  ['one clause less than it uses', () => withWords([HEADER.clauses, read(HEADER.clauses) - 1]), /has clause (\d+), and \d+ is the highest/],
  ['cells elsewhere', () => withWords([HEADER.cellsPage, 2]), /^Section cells begins/],
  ['accepts elsewhere', () => withWords([HEADER.acceptsPage, read(HEADER.acceptsPage) + 1]), /^Section accepts begins/],
  ['decisions elsewhere', () => withWords([HEADER.decisionsPage, 0]), /^Section decisions begins/],
  ['decisions beyond the end', () => withWords([HEADER.decisions, 0x1000000]), /decisions is 16777216/],
  ['an index of another size', () => withWords([HEADER.objects, read(HEADER.objects) + 1]), /^Index has/],
  ['rows elsewhere', () => withWords([HEADER.rowsPage, read(HEADER.rowsPage) + 1]), /^Section rows begins/],
  ['conditions of half a quota', () => withWords([HEADER.conditions, read(HEADER.conditions) - 1], [CONDITIONS + (read(HEADER.conditions) - 1) * 4, 0], [HEADER.quotas, 2]), /^Conditions of/],
  ['a column that is not there', () => withWords([HEADER.columnOf, 0xff]), /^Plane 0 has column 255/],
  ['a column of no plane', () => withWords([HEADER.columnOf + 28, 1]), /^Plane 28 has column 1/],
  ['a key start that is no state', () => withWords([HEADER.keyStart, EDGE]), /of the keys is no state/],
  ['a reserved word', () => withWords([HEADER.hash - 4, 1]), /in the reserved header words/],
  ['a stamp', () => withWords([HEADER.stamp, 0], [HEADER.padding, 1]), /in the padding before the classes/],
  ['something after class_of', () => withWords([HEADER.end, 1]), /in the rest of page 0/],
  ['something after the cells', () => withWords([ACCEPTS - 4, 1]), /in the rest of the cells/],
  ['something after the accepts', () => withWords([DECISIONS - 4, 1]), /in the rest of the accepts/],
  ['something after the decisions', () => withWords([ROWS - 4, 1]), /in the rest of the decisions/],
  ['something after the rows', () => withWords([CHOICES - 4, 1]), /in the rest of the rows/],
  ['something after the choices', () => withWords([CONDITIONS - 4, 1]), /in the rest of the choices/],
  ['something after the conditions', () => withWords([TABLE.length - 4, 1]), /in the rest of the conditions/],
  ['a class that is not there', () => withWords([HEADER.classOf + 4, 0xff]), /^Byte 4 has class 255/],
  ['a start that is no state', () => withWords([HEADER.start, EDGE]), /^Start \d+ of automaton 0 is no state/],
  ['a start outside', () => withWords([HEADER.start, 0xfffffff0]), /^Start 4294967280 of automaton 0 is no state/],
  ['no automaton', () => withWords([HEADER.automata, 0]), /automata is 0/],
  ['too many automata', () => withWords([HEADER.automata, 5]), /automata is 5/],
  ['a start of an automaton that is not there', () => withWords([HEADER.automata, 2], [HEADER.starts + 4, STATE]), /in the starts of further automata/],
  ['a further start that is no state', () => withWords([HEADER.automata, 4], [HEADER.starts + 8, EDGE]), /^Start \d+ of automaton 3 is no state/],
  ['class 0', () => withWords([HEADER.classOf + 4, 0]), /^Byte 4 has class 0/],
  ['a default that is no state', () => withWords([CELLS + STATE * 4, CELL.state + EDGE]), /leads to \d+, which is no state/],
  ['a default outside', () => withWords([CELLS + STATE * 4, CELL.state + CELL.fallback]), /leads to 4194303/],
  ['an edge outside', () => withWords([CELLS + EDGE * 4, read(CELLS + EDGE * 4) | CELL.target]), /leads to 16777215/],
  ['an edge to no state', () => withWords([CELLS + EDGE * 4, (read(CELLS + EDGE * 4) & ~CELL.target) | EDGE]), /leads to \d+, which is no state/],
  ['an accept that is not there', () => withWords([CELLS + ACCEPTING * 4 + 4, CELL.fallback]), /has accept 4194303/],
  ['a state where an accept should be', () => withWords([CELLS + ACCEPTING * 4 + 4, CELL.state]), /has accept|belongs to nobody|edges outside/],
  ['an accept of nobody', () => withWords([CELLS + EMPTY * 4, 1]), /belongs to nobody and is not zero/],
  ['an edge of no state', () => withWords([CELLS + EMPTY * 4, 1 << CELL.classShift]), /is an edge of/],
  ['an edge of a class that is not there', () => withWords([CELLS + EDGE * 4, 0xff000000]), /is an edge of/],
  ['a dead state that lives', () => withWords([CELLS, CELL.accepting]), /^State 0 is absorbing and says otherwise/],
  ['a dead state with an accept', () => withWords([CELLS + 4, 1]), /^Cell 0 is not the dead state/],
  ['accept 0 with an object', () => withWords([ACCEPTS, 1]), /^Accept 0 is not/],
  ['an object that is not there', () => withWords([ACCEPTS + 8, read(HEADER.objects)]), /^Accept 1 is object/],
  ['a subject that is not there', () => withWords([ACCEPTS + 12, read(HEADER.subjects)]), /^Accept 1 is object/],
  ['a row that is not there', () => withWords([DECISIONS, 0x80000000 + read(HEADER.rows)]), /names a row/],
  ['a row that is a cell of another', () => withWords([DECISIONS, 0x80000000 + FOREIGN]), /names a row/],
  ['a last row that reaches one cell beyond the rows', () => withWords([HEADER.rows, LAST_CELL], [ROWS + LAST_CELL * 8, 0], [ROWS + LAST_CELL * 8 + 4, 0]), /names a row|of row \d+, which cannot be/],
  ['a row within a row', () => withWords([ROWS, 0x80000000]), /has a row where none can be/],
  ['a row cell of a row that is not there', () => withWords([ROWS + FOREIGN * 8 + 4, NO_ROW + 1]), /^Row cell \d+ is a subject of row/],
  ['an empty row cell that says something', () => withWords([ROWS + GAP * 8, 1]), /belongs to nobody and is not zero/],
  ['a verdict that is none', () => withWords([ROWS, 0x03000001]), /has verdict 3/],
  ['a verdict of no clause', () => withWords([ROWS, 0x01000000]), /has a verdict and no clause/],
  ['a choice that is not there', () => withWords([ROWS, DECISION.choice + read(HEADER.choices)]), /has choice \d+, and \d+ come before it/],
  ['a choice that leads to itself', () => withWords([CHOICES + 4, DECISION.choice]), /^Choice 0 has choice 0, and 0 come before it/],
  ['a choice of a condition that is not there', () => withWords([CHOICES, 99]), /^Choice 0 asks for condition 99/],
  ['a choice that forgets what it does not know', () => withWords([CHOICES + 12, read(CHOICES + 12) ^ (3 << 24)]), /^Choice 0 gives/],
  ['a set beyond the last', () => withWords([CONDITIONS, read(CONDITIONS) | (1 << 2)]), /bits of sets that do not exist/],
  ['a quota of an unknown level', () => withWords([CONDITIONS + (read(HEADER.conditions) - 1) * 4, 2]), /^Quota 0 is counted/],
  ['an argument in sets that are not there', () => withWords([DECISIONS + MEMBER * 4, 99]), /names the sets 99 of an argument/],
  ['a decision in the column of arguments', () => withWords([HEADER.columnOf, (TABLE[HEADER.columnOf + 21] ?? 0) * 0x01010101]), /^Plane 0 has the column of arguments/],
  ['a bad undecidable word', () => withWords([HEADER.undecidable + 4, 0x08000001]), /^Undecidable word of file/],
]

for (const [what, table, problem] of REFUSED) {
  test(`verifyTable() refuses ${what}`, () => assert.match(problemOf(table()), problem))
}

test('verifyTable() refuses a stamped table', () => {
  const copy = TABLE.slice()
  copy[HEADER.stamp] = 1
  assert.match(problemOf(copy), /in the stamp/)
})

test('verifyTable() refuses a state whose edges would lie outside the cells', () => {
  const last = cellWhere((word, cell) => isState(word) && cell + 2 + read(HEADER.classes) >= read(HEADER.cells))
  assert.match(problemOf(withWords([HEADER.cells, last + read(HEADER.classes)])), /edges outside the cells|is not zero|no state/)
})

test('verifyTable() refuses every single flipped bit by the hash', () => {
  fc.assert(
    fc.property(fc.nat(TABLE.length * 8 - 1), bit => {
      const copy = TABLE.slice()
      copy[bit >> 3]! ^= 1 << (bit & 7)
      assert.equal(verifyTable(copy).ok, false)
    }),
    { numRuns: 2000 },
  )
})

test('a spoilt table with a fitting hash is refused, or decides without leaving itself', () => {
  let accepted = 0
  const changes = fc.array(fc.tuple(fc.nat(), fc.nat()), { minLength: 1, maxLength: 4 })
  fc.assert(
    fc.property(arbitraryCase(8, 10), changes, ({ plan, questions }, list) => {
      const spoilt = rehash(list.reduce(mutateTable, tableOf(plan)))
      if (!verifyTable(spoilt).ok) return
      accepted++
      const table = openTable(spoilt)
      for (const question of questions) {
        const { verdict, clause } = table.decide(question)
        assert.ok(['Allow', 'Audit', 'Block'].includes(verdict))
        assert.ok(clause <= read(HEADER.clauses, spoilt))
      }
    }),
    { numRuns: 500, seed: 4 },
  )
  assert.ok(accepted > 0, 'no change left a valid table: the test tests nothing')
})

test('verifyTable() gives an answer to any bytes', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 3 }), fc.uint8Array({ minLength: 0, maxLength: 600 }), fc.nat(), (pages, noise, at) => {
      const bytes = TABLE.slice(0, pages * PAGE + (at % 7 === 0 ? at % PAGE : 0))
      for (const [i, byte] of noise.entries()) if (bytes.length > 0) bytes[(at + i) % bytes.length] = byte
      assert.equal(typeof verifyTable(bytes).ok, 'boolean')
      assert.equal(typeof verifyTable(rehash(bytes.length >= 256 ? bytes : TABLE)).ok, 'boolean')
    }),
    { numRuns: 1000 },
  )
})
