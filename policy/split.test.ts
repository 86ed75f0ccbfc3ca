// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import test from 'node:test'
import { planOf } from '../test/support/generate.ts'
import { compile, LIMITS } from './compile.ts'
import { evaluate } from './evaluate.ts'
import { pathShapes } from './expression.ts'
import { openTable } from './lookup.ts'
import { kindOf } from './split.ts'
import { costOf } from './testing.ts'
import type { Match, Plan } from './types.ts'

function planFor(matches: readonly Match[], sources: readonly string[] = []): Plan {
  const rules = matches.map(match => ({ section: 'file', match, action: 'Block', readOnly: false, ownerOnly: false, sources, severity: 1, tags: [], message: '' }) as const)
  return planOf(rules, 'audit')
}

function patterns(...list: readonly string[]): Match[] {
  return list.map(pattern => ({ kind: 'pattern', pattern }))
}

function kindOfPattern(pattern: string): string {
  const [shape] = pathShapes({ kind: 'pattern', pattern })
  return shape?.kind === 'expression' ? kindOf(shape.expression) : 'none'
}

test('kindOf() tells shapes apart', () => {
  const kinds: readonly (readonly [string, string])[] = [
    ['/etc/*.conf', 'prefixed'],
    ['/home/**/.ssh/*', 'prefixed'],
    ['/*/nc', 'shallow'],
    ['/*.conf', 'shallow'],
    ['/[ab]/**', 'across'],
    ['/**/id_rsa', 'calm'],
    ['/**/*.key', 'calm'],
    ['/**/ssl/*.key', 'component'],
    ['/**/*telnet*', 'component'],
    ['/**/.git/**/*.*', 'across'],
    ['**x**', 'across'],
    ['/**/a{b,**/c}', 'across'],
  ]
  for (const [pattern, kind] of kinds) assert.equal(kindOfPattern(pattern), kind, pattern)
})

const MULTIPLYING = ['.git', 'WEB-INF', 'bin', 'crypto', 'vendor', 'cache', 'tmp', 'log'].map(name => `/**/${name}/**/*.${name}x`)
const DIRECTORIES = Array.from({ length: 100 }, (_, i): Match => ({ kind: 'dir', dir: `/srv/app-${i}/data/`, recursive: i % 2 === 0 }))
const NAMES = Array.from({ length: 60 }, (_, i): Match => ({ kind: 'pattern', pattern: `/**/secret-${i}.key` }))

test('few rules make one automaton', () => {
  const compiled = compile(planFor([...patterns('/**/.git/**/*.*', '/**/*.key', '/etc/*.conf', '/*/nc'), ...DIRECTORIES.slice(0, 5), { kind: 'name', name: 'apt' }]))
  assert.ok(compiled.ok)
  assert.equal(compiled.stats.automata, 1)
})

test('directories and patterns that multiply go apart, and what is decided stays the same', () => {
  const plan = planFor([...DIRECTORIES, ...NAMES, ...patterns('/**/.git/**/*.*', '/**/bin/**/*.so', '/**/*telnet*')], ['/bin/sh'])
  const compiled = compile(plan)
  assert.ok(compiled.ok)
  assert.ok(compiled.stats.automata > 1)
  assert.ok(compiled.stats.states < 8000, `${compiled.stats.states} states`)
  const table = openTable(compiled.table)
  const paths = ['/srv/app-3/data/x', '/srv/app-3/data/secret-7.key', '/srv/app-3/data/d/x', '/a/.git/b/c.d', '/a/.git/c.d', '/srv/app-2/data/.git/x/telnetd', '/bin/x.so', '/bin/b/x.so', '/']
  for (const path of paths) {
    for (const sources of [[], ['/bin/sh'], ['/bin/ls']]) {
      const question = { operation: 'read', owner: true, path: Buffer.from(path), sources: sources.map(source => Buffer.from(source)) } as const
      assert.deepEqual(table.decide(question), evaluate(plan, question), path)
    }
  }
})

test('patterns of one shape that multiply with each other are spread', () => {
  const compiled = compile(planFor(patterns(...MULTIPLYING)), { limits: { ...LIMITS, states: 1 << 12 } })
  assert.ok(compiled.ok)
  assert.ok(compiled.stats.automata > 1)
})

test('what four automata cannot hold is refused within bounds, by name', () => {
  const many = Array.from({ length: 60 }, (_, i) => `/**/a${i}*b${i}/**/c${i}/**/d`)
  let compiled: ReturnType<typeof compile> | undefined
  const cost = costOf(() => {
    compiled = compile(planFor(patterns(...many)), { limits: { states: 1 << 12, work: 1 << 22 } })
  })
  assert.ok(compiled?.ok === false)
  assert.ok(compiled.findings.every(({ code, text }) => code === 'MERLON_POLICY_TOO_MANY_STATES' && /a\d+\*b/.test(text)))
  assert.ok(cost < 20_000, `${cost} ms`)
})

test('the cost of finding no way to join groups grows with their number, not with that of their pairs', () => {
  // Each remembers ten bytes, so that two together have the product of their states.
  const remembering = (count: number): readonly string[] => Array.from({ length: count }, (_, i) => `/**${String.fromCharCode(97 + i)}${'?'.repeat(9)}${i}`)
  const cost = (count: number): number => costOf(() => assert.equal(compile(planFor(patterns(...remembering(count))), { limits: { states: 1 << 13, work: 1 << 20 } }).ok, false))
  const few = cost(6)
  // Of all pairs it would be ten times as much.
  assert.ok(cost(18) < 6 * few + 1000, `${few} ms for 6`)
})
