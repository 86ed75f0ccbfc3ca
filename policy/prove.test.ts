// SPDX-License-Identifier: Apache-2.0
// The proof holds for what the compiler makes, and finds what a compiler with a defect would make.
import assert from 'node:assert/strict'
import test from 'node:test'
import fc from 'fast-check'
import { mutateTable, rehash } from '../test/support/corrupt.ts'
import { arbitraryCase, planOf } from '../test/support/generate.ts'
import { compile, LIMITS } from './compile.ts'
import { evaluate } from './evaluate.ts'
import { openTable } from './lookup.ts'
import { prove, type Proof } from './prove.ts'
import type { Clause, Match, Plan } from './types.ts'
import { verifyTable } from './verify.ts'

type RuleParts = Parameters<typeof planOf>[0][number]

function rule(match: Match, parts: Partial<RuleParts> = {}): RuleParts {
  return { section: 'file', match, action: 'Block', readOnly: false, ownerOnly: false, sources: [], severity: 1, tags: [], message: '', ...parts }
}

function tableOf(plan: Plan, apart = false): Uint8Array {
  const compiled = compile(plan, { limits: { ...LIMITS, apart } })
  assert.ok(compiled.ok)
  return compiled.table
}

function textOf(proof: Proof): string {
  assert.ok('path' in proof, 'no difference was found')
  assert.notDeepEqual(proof.expected, proof.actual)
  return Buffer.from(proof.path).toString('latin1')
}

test('prove() shows that compiled tables say what their plans say', () => {
  fc.assert(
    fc.property(arbitraryCase(15, 1), fc.boolean(), ({ plan }, apart) => assert.equal(prove(plan, tableOf(plan, apart)).ok, true)),
    { numRuns: 80, seed: 5 },
  )
})

const PLAN = planOf(
  [
    rule({ kind: 'path', path: '/bin/cat' }, { section: 'process', sources: ['/bin/sh'] }),
    rule({ kind: 'path', path: '/etc/key' }, { ownerOnly: true }),
    rule({ kind: 'dir', dir: '/srv/', recursive: true }, { action: 'Audit' }),
    rule({ kind: 'dir', dir: '/opt/', recursive: false }, { action: 'Allow', readOnly: true }),
    rule({ kind: 'name', name: 'nc' }, { section: 'process' }),
    rule({ kind: 'pattern', pattern: '/home/x*' }),
    rule({ kind: 'pattern', pattern: '/run/[ab]?/{x,yy}' }),
  ],
  'audit',
)

/** What a compiler with a defect makes is what a sound one makes of another plan. */
function spoil(kind: Match['kind'], change: (clause: Clause) => Partial<Clause>): Uint8Array {
  return tableOf({ ...PLAN, clauses: PLAN.clauses.map(clause => (clause.match.kind === kind ? { ...clause, ...change(clause) } : clause)) })
}

function withPattern(from: string, to: string): Uint8Array {
  return spoil('pattern', ({ match }) => (match.kind === 'pattern' && match.pattern === from ? { matches: [{ kind: 'pattern', pattern: to }] } : {}))
}

const DEFECTS: readonly (readonly [what: string, table: () => Uint8Array, shortest: string])[] = [
  ['loses an alias', () => spoil('path', ({ matches }) => ({ matches: matches.slice(0, 1) })), '/usr/bin/cat'],
  ['loses a literal', () => spoil('path', ({ match, matches }) => ({ matches: match.kind === 'path' && match.path === '/etc/key' ? [{ kind: 'path', path: '/etc/kez' }] : matches })), '/etc/kez'],
  ['takes a directory for recursive', () => spoil('dir', () => ({ matches: [{ kind: 'dir', dir: '/opt/', recursive: true }] })), '/opt'],
  ['takes a recursive directory for a plain one', () => spoil('dir', ({ match, matches }) => (match.kind === 'dir' && match.recursive ? { matches: [{ ...match, recursive: false }] } : { matches })), '/srv//'],
  ['forgets the slash before a name', () => spoil('name', () => ({ matches: [{ kind: 'pattern', pattern: '**nc' }] })), 'nc'],
  ['lets a component star cross', () => withPattern('/home/x*', '/home/x**'), '/home/x/'],
  ['ends a set too early', () => withPattern('/run/[ab]?/{x,yy}', '/run/[a]?/{x,yy}'), '/run/b\u0001/x'],
  ['loses an alternative', () => withPattern('/run/[ab]?/{x,yy}', '/run/[ab]?/x'), '/run/a\u0001/yy'],
  ['lets a question mark match nothing', () => withPattern('/run/[ab]?/{x,yy}', '/run/[ab]{?,}/{x,yy}'), '/run/a/x'],
  ['forgets sources', () => spoil('path', () => ({ sources: [] })), '/bin/cat'],
  ['swaps sources', () => spoil('path', ({ sources }) => ({ sources: sources.length > 0 ? ['/bin/ls'] : [] })), '/bin/ls'],
  ['forgets the owner', () => spoil('path', ({ planes, section }) => ({ planes: section === 'file' ? 0xff0 : planes })), '/etc/key'],
  ['swaps verdicts', () => spoil('dir', ({ verdict }) => ({ verdict: verdict === 'Audit' ? 'Block' : verdict })), '/srv'],
  ['gives paths of one rule to another rule too', () => spoil('name', ({ matches }) => ({ matches: [...matches, { kind: 'pattern', pattern: '/home/x*' }] })), '/home/x'],
  ['swaps sections', () => spoil('name', () => ({ section: 'file', planes: 0xff0 })), '/nc'],
]

for (const [what, table, shortest] of DEFECTS) {
  test(`prove() finds a compiler that ${what}`, () => {
    assert.equal(textOf(prove(PLAN, table())), shortest)
  })
}

test('prove() finds a default or an undecidable verdict that is another', () => {
  const changed = tableOf({ ...PLAN, defaults: { ...PLAN.defaults, file: { ...PLAN.defaults.file!, verdict: 'Block' } } })
  assert.equal(textOf(prove(PLAN, changed)), '')
  const undecidable = tableOf({ ...PLAN, undecidable: { ...PLAN.undecidable, file: { ...PLAN.undecidable.file, verdict: 'Allow' } } })
  assert.equal(textOf(prove(PLAN, undecidable)).length, 4096)
})

test('prove() finds a wrong order of precedence', () => {
  const both = [rule({ kind: 'dir', dir: '/a/', recursive: true }), rule({ kind: 'dir', dir: '/a/b/', recursive: true }, { action: 'Audit' })]
  const plan = planOf(both, 'audit')
  const [first, second] = [...plan.clauses].sort((a, b) => a.origin.position.line - b.origin.position.line)
  assert.notEqual(first, second)
  const swapped = { ...plan, clauses: plan.clauses.toReversed() }
  assert.equal(prove(plan, tableOf(plan)).ok, true)
  assert.ok('path' in prove(plan, tableOf(swapped)))
})

test('prove() says of spoilt tables what questions say', () => {
  let [refuted, held, unknown] = [0, 0, 0]
  const changes = fc.array(fc.tuple(fc.nat(), fc.nat()), { minLength: 1, maxLength: 2 })
  fc.assert(
    fc.property(arbitraryCase(8, 60), fc.boolean(), changes, ({ plan, questions }, apart, list) => {
      const spoilt = rehash(list.reduce(mutateTable, tableOf(plan, apart)))
      if (!verifyTable(spoilt).ok) return
      const proof = prove(plan, spoilt)
      const opened = openTable(spoilt)
      if (proof.ok) {
        held++
        for (const question of questions) assert.deepEqual(opened.decide(question), evaluate(plan, question))
      } else if ('unknown' in proof) unknown++
      else {
        refuted++
        assert.deepEqual(opened.decide(proof.question), proof.actual)
        assert.deepEqual(evaluate(plan, proof.question), proof.expected)
        assert.notDeepEqual(proof.expected, proof.actual)
      }
    }),
    { numRuns: 400, seed: 6, endOnFailure: true },
  )
  assert.ok(refuted > 20 && held > 0 && unknown * 3 < refuted, `${refuted} refuted, ${held} held, ${unknown} unknown`)
})

test('prove() gives up at its limit', () => {
  const proof = prove(PLAN, tableOf(PLAN), { limit: 10 })
  assert.ok('unknown' in proof)
  assert.match(proof.unknown, /more than 10 pairs/)
  const tired = prove(PLAN, tableOf(PLAN), { work: 10 })
  assert.ok('unknown' in tired)
  assert.match(tired.unknown, /more than 10 derivatives/)
})
