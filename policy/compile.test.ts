// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import test from 'node:test'
import fc from 'fast-check'
import { arbitraryCase, planOf } from '../test/support/generate.ts'
import { step, type Automaton } from './automaton.ts'
import { compile, type CompileStats } from './compile.ts'
import { gatherInputs, makeDfa } from './dfa.ts'
import { openTable, type Table } from './lookup.ts'
import { minimise } from './minimise.ts'
import { Objects } from './objects.ts'
import { renumber } from './renumber.ts'
import { makeSubjects } from './subjects.ts'
import { FLAGS, HEADER, PAGE } from './table.ts'
import { SECTIONS, type Action, type Match, type Plan, type Section } from './types.ts'

type RuleParts = Parameters<typeof planOf>[0][number]

function rule(match: Match, parts: Partial<RuleParts> = {}): RuleParts {
  return { section: 'file', match, action: 'Block', readOnly: false, ownerOnly: false, sources: [], severity: 1, tags: [], message: '', ...parts }
}

function patternRules(...patterns: readonly string[]): RuleParts[] {
  return patterns.map(pattern => rule({ kind: 'pattern', pattern }))
}

function compiled(plan: Plan): { readonly bytes: Uint8Array; readonly table: Table; readonly stats: CompileStats; readonly hash: string } {
  const result = compile(plan)
  assert.ok(result.ok, 'was refused')
  return { bytes: result.table, table: openTable(result.table), stats: result.stats, hash: result.hash }
}

function blocked(table: Table, path: string, source?: string): boolean {
  const sources = source === undefined ? [] : [Buffer.from(source)]
  return table.decide({ operation: 'read', owner: false, path: Buffer.from(path), sources }).verdict === 'Block'
}

function rules(section: Section): number {
  return FLAGS.rules << SECTIONS.indexOf(section)
}

function subjects(section: Section): number {
  return FLAGS.subjects << SECTIONS.indexOf(section)
}

function flagsOf(bytes: Uint8Array): number {
  return new DataView(bytes.buffer).getUint32(HEADER.flags, true)
}

test('compile() makes four pages of a plan without rules', () => {
  const { bytes, table, stats } = compiled(planOf([], 'audit'))
  assert.equal(bytes.length, 4 * PAGE)
  assert.equal(stats.states, 1)
  assert.equal(flagsOf(bytes), 0)
  assert.deepEqual(table.decide({ operation: 'exec', owner: true, path: Buffer.from('/bin/sh'), sources: [] }), { verdict: 'Allow', clause: 0 })
})

test('compile() gives the same bytes for the same plan, and the hash that is in them', () => {
  fc.assert(
    fc.property(arbitraryCase(12, 1), ({ plan }) => {
      const [a, b] = [compiled(plan), compiled(structuredClone(plan))]
      assert.equal(Buffer.compare(a.bytes, b.bytes), 0)
      assert.equal(a.hash, Buffer.from(a.bytes.slice(HEADER.hash, HEADER.stamp)).toString('hex'))
    }),
    { numRuns: 200 },
  )
})

function reachable(automaton: Automaton, start: number): readonly number[] {
  const seen = new Set([start])
  for (const state of seen) for (let c = 0; c < automaton.classes; c++) seen.add(step(automaton, state, c))
  return [...seen]
}

test('compile() makes minimal automata: of several each is, and what ends in all of them is there once', () => {
  fc.assert(
    fc.property(arbitraryCase(15, 1), ({ plan }) => {
      const subjects = makeSubjects(plan)
      const built = makeDfa(gatherInputs(plan, subjects), new Objects(plan, subjects), { states: 1e6, work: 1e9 })
      assert.ok(built.ok)
      const { automaton, starts, keyStart } = renumber(built.dfa)
      const absorbing = Array.from({ length: automaton.states }, (_, i) => i).filter(i => automaton.fallback[i] === i && automaton.first[i] === automaton.first[i + 1])
      assert.equal(new Set(absorbing.map(i => automaton.accept[i])).size, absorbing.length)
      for (const start of [...starts, keyStart]) {
        const own = reachable(automaton, start)
        assert.equal(new Set(own.map(i => minimise(automaton).map[i])).size, own.length)
      }
    }),
    { numRuns: 300 },
  )
})

test('compile() folds paths that are decided alike into one object', () => {
  const rules = Array.from({ length: 20 }, (_, i) => rule({ kind: 'pattern', pattern: `/data/{a${i},b${i},c${i}}` }))
  // An object for each clause and one for all other paths, though each clause has three paths.
  assert.equal(compiled(planOf(rules, 'audit')).stats.objects, 21)
  // A rule that another one always beats adds nothing.
  const shadowed = [rule({ kind: 'dir', dir: '/data/x/', recursive: true }), rule({ kind: 'path', path: '/data/x/y' }), rule({ kind: 'path', path: '/data/x/y' }, { action: 'Audit' })]
  assert.equal(compiled(planOf(shadowed, 'audit')).stats.objects, 3)
})

test('compile() folds executables that the same rules name into one subject', () => {
  const sources = ['/opt/a', '/opt/b', '/opt/c']
  const { stats, table } = compiled(planOf([rule({ kind: 'path', path: '/x' }, { sources }), rule({ kind: 'path', path: '/y' }, { sources: ['/opt/c'] })], 'audit'))
  assert.equal(stats.subjects, 3)
  const subject = (path: string): number => table.classify(Buffer.from(path)).subject
  assert.equal(subject('/opt/a'), subject('/opt/b'))
  assert.notEqual(subject('/opt/a'), subject('/opt/c'))
  assert.equal(subject('/opt/d'), 0)
  assert.deepEqual(['/x', '/y'].map(path => ['/opt/a', '/opt/c', '/opt/d', undefined].map(source => blocked(table, path, source))), [
    [true, true, false, false],
    [false, true, false, false],
  ])
})

test('flags say which decisions there are and which depend on the subject', () => {
  const path: Match = { kind: 'path', path: '/x' }
  const cases: readonly (readonly [RuleParts, number])[] = [
    [rule(path), rules('file')],
    [rule(path, { section: 'process' }), rules('process')],
    [rule(path, { sources: ['/a'] }), rules('file') | subjects('file')],
    [rule(path, { section: 'process', sources: ['/a'] }), rules('process') | subjects('process')],
    [rule(path, { pts: false }), rules('file') | FLAGS.terminal],
    [rule(path, { section: 'process', allowedArgs: ['-l'] }), rules('process') | FLAGS.arguments],
    [rule({ kind: 'protocol', protocol: 'tcp' }, { section: 'network' }), rules('network')],
    [rule({ kind: 'syscall', syscall: 'mount' }, { section: 'syscalls', sourceDirectories: [{ dir: '/a/', recursive: true }] }), rules('syscalls') | subjects('syscalls')],
  ]
  for (const [parts, flags] of cases) assert.equal(flagsOf(compiled(planOf([parts], 'audit')).bytes), flags)
})

test('a directory within directories is decided by the longest', () => {
  const dirs: readonly (readonly [string, boolean, Action])[] = [
    ['/', true, 'Audit'],
    ['/a/', false, 'Block'],
    ['/a/b/', true, 'Allow'],
    ['/a/b/c/', false, 'Block'],
  ]
  const { table } = compiled(planOf(dirs.map(([dir, recursive, action]) => rule({ kind: 'dir', dir, recursive }, { action })), 'block'))
  const verdicts = ['/', '/x', '/x/y', '/a', '/a/x', '/a/x/y', '/a/b', '/a/b/x/y/z', '/a/b/c', '/a/b/c/d', '/a/b/c/d/e', '/ab'].map(
    path => table.decide({ operation: 'write', owner: false, path: Buffer.from(path), sources: [] }).verdict,
  )
  assert.deepEqual(verdicts, ['Audit', 'Audit', 'Audit', 'Block', 'Block', 'Audit', 'Allow', 'Allow', 'Block', 'Block', 'Allow', 'Audit'])
})

test('patterns that would multiply are refused, and the worst are named first', () => {
  const bomb = `/**a${'?'.repeat(24)}`
  const result = compile(planOf([...patternRules('/tmp/*.sh', bomb, '/etc/x*y'), rule({ kind: 'path', path: '/a' })], 'audit'), { limits: { states: 5000, work: 1 << 24 } })
  assert.ok(!result.ok)
  assert.equal(result.findings[0]?.code, 'MERLON_POLICY_TOO_MANY_STATES')
  assert.equal(result.findings[0]?.text, `file pattern ${bomb}`.slice(0, 80))
  assert.equal(result.findings[0]?.position.line, 2)
})

test('what is named is the pattern that multiplies, not the one that the budget ended at', () => {
  const questions = Array.from({ length: 40 }, (_, i) => `/**a${'?'.repeat(i)}`)
  const result = compile(planOf(patternRules('/etc/*.conf', ...questions), 'audit'))
  assert.ok(!result.ok)
  assert.ok(result.findings[0]!.text.includes('?'.repeat(36)), result.findings[0]!.text)
})

test('many distinct sources make no large table', () => {
  const { stats, table } = compiled(planOf(Array.from({ length: 2200 }, (_, i) => rule({ kind: 'path', path: `/${i}` }, { sources: [`/s/${i}`] })), 'audit'))
  assert.equal(stats.subjects, 2201)
  assert.ok(stats.bytes < 512 * 1024, `${stats.bytes} bytes`)
  assert.deepEqual([blocked(table, '/7', '/s/7'), blocked(table, '/7', '/s/8'), blocked(table, '/2199', '/s/2199')], [true, false, true])
})

test('a table that would be too large is refused', () => {
  // Below a directory that is each source's own matter, every path has a row with all of them.
  const everywhere = Array.from({ length: 1500 }, (_, i) => rule({ kind: 'dir', dir: '/', recursive: true }, { sources: [`/s/${i}`] }))
  const result = compile(planOf([...everywhere, ...Array.from({ length: 1500 }, (_, i) => rule({ kind: 'path', path: `/${i}` }))], 'audit'))
  assert.ok(!result.ok)
  assert.deepEqual(result.findings.map(finding => finding.code), ['MERLON_POLICY_TABLE_TOO_LARGE'])
})

test('states grow with the rules, not with their product', () => {
  const names = Array.from({ length: 200 }, (_, i) => rule({ kind: 'name', name: `tool-${i}` }, { section: 'process' }))
  const paths = Array.from({ length: 200 }, (_, i) => rule({ kind: 'path', path: `/opt/app-${i}/data` }))
  const [a, b, both] = [names, paths, [...names, ...paths]].map(rules => compiled(planOf(rules, 'audit')).stats.states) as [number, number, number]
  assert.ok(both <= a + b + 10, `${both} states for ${a} and ${b}`)
})
