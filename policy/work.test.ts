// SPDX-License-Identifier: Apache-2.0
// How much work a compilation is, in counts that are the same on every machine: where speed is lost, these grow. bench/compile.ts measures the
// time. A bound that has to be raised wants a reason in the commit.
import assert from 'node:assert/strict'
import test from 'node:test'
import { mixed, paths, policyText, WORKLOAD, type Rules } from '../test/support/policies.ts'
import { compile, LIMITS, type CompileResult, type CompileStats } from './compile.ts'
import { makePlan } from './plan.ts'
import { readManifests } from './read.ts'

function compileText(text: string): CompileResult {
  const { policies, findings } = readManifests(text, 'x.yaml')
  assert.deepEqual(findings.filter(({ severity }) => severity === 'error'), [])
  return compile(makePlan(policies, WORKLOAD, { filePosture: 'audit' }))
}

function statsOf(count: number, rules: Rules): CompileStats {
  const result = compileText(policyText(count, rules))
  assert.ok(result.ok)
  return result.stats
}

/** The text of a policy with these patterns. */
function patternsText(patterns: readonly string[]): string {
  return [policyText(1, paths).replace(/ {2}action: Block\n$/, '').replace(/ {2}file:\n/, ''), '  file:', '    matchPatterns:', ...patterns.map(pattern => `    - pattern: '${pattern}'`), '  action: Block', ''].join('\n')
}

test('paths: states and cells grow with the rules, and packing looks at few places', () => {
  for (const count of [100, 1000, 4000]) {
    const { states, cells, probes, work, automata } = statsOf(count, paths)
    assert.equal(automata, 1)
    assert.ok(work < 1000, `${work} steps`)
    assert.ok(states < 13 * count, `${states} states`)
    assert.ok(cells < 2.2 * states + 512, `${cells} cells for ${states} states`)
    assert.ok(probes < 3 * states, `${probes} probes for ${states} states`)
  }
})

test('mixed rules: work grows little faster than the rules', () => {
  const [small, large] = [statsOf(1000, mixed), statsOf(4000, mixed)]
  assert.ok(small.automata <= 2 && large.automata <= 2)
  assert.ok(small.work < 500 * 1000, `${small.work} steps`)
  assert.ok(large.work < 500 * 4000, `${large.work} steps`)
  assert.ok(large.probes < 8 * small.probes && large.probes < 20 * large.states, `${small.probes} and ${large.probes} probes`)
  assert.ok(large.states < 4.5 * small.states, `${small.states} and ${large.states} states`)
  assert.ok(large.cells < 4 * large.states, `${large.cells} cells`)
})

const LETTERS = 'abcdefghijklmnopqrstuvwxyz'
const word = (i: number): string => `${LETTERS[i % 26]}${LETTERS[(i * 7 + Math.floor(i / 26)) % 26]}${i}`
const many = (count: number, pattern: (i: number) => string): readonly string[] => Array.from({ length: count }, (_, i) => pattern(i))

const COMPILED: readonly (readonly [string, readonly string[]])[] = [
  ['stars within one component', ['/a*a*a*a*b', '/a*a*a*a*a*a*a*a*b']],
  ['stars on both sides', ['**/*x*/**']],
  ['hundreds of stars', [`/${'**a*'.repeat(300)}`]],
  ['nested braces', [`/${'{a,'.repeat(15)}b${'}'.repeat(15)}`]],
  ['500 choices in a row', [`/${'{a,b}'.repeat(500)}`]],
  ['1,000 suffixes', many(1000, i => `/**/*.${word(i)}`)],
  ['2,000 names anywhere', many(2000, i => `/**/${word(i)}`)],
  ['letters beyond ASCII', many(30, i => `/**/[!${word(i)}]*é[α-ω]*`)],
]

for (const [what, patterns] of COMPILED) {
  test(`patterns with ${what} compile within bounds`, () => {
    const result = compileText(patternsText(patterns))
    assert.ok(result.ok, result.ok ? '' : result.findings[0]?.message)
    const { work, probes, states } = result.stats
    assert.ok(work < LIMITS.work, `${work} steps`)
    assert.ok(probes < 1 << 21, `${probes} probes`)
    assert.ok(states < 1 << 14, `${states} states`)
  })
}

const REFUSED: readonly (readonly [string, readonly string[], RegExp])[] = [
  ['a memory of 24 characters', [`/**a${'?'.repeat(24)}`], /a\?{24}/],
  ['a memory of 200 characters', ['/etc/*.conf', `/**a${'?'.repeat(200)}b`], /a\?{40}/],
  ['two memories', [`/**{${'?'.repeat(40)},x}**y${'[!q]'.repeat(30)}`], /\?{40}/],
  ['50 words, each with anything before and after', many(50, i => `**/*${word(i)}*/**`), /\*\*\/\*\w+\*\/\*\*/],
  ['500 such words', many(500, i => `**/*${word(i)}*/**`), /\*\*\/\*\w+\*\/\*\*/],
  ['2,000 words within a component', many(2000, i => `/**/*${word(i)}*`), /\*\*\/\*\w+\*/],
  ['200 pairs of directories', many(200, i => `/**/${word(i)}/**/${word(i + 1)}/**`), /\/\*\*\/\w+\/\*\*\/\w+\/\*\*/],
]

for (const [what, patterns, named] of REFUSED) {
  test(`patterns with ${what} are refused, and the error names those that multiply`, () => {
    const result = compileText(patternsText(patterns))
    assert.ok(!result.ok)
    assert.ok(result.findings.length > 0 && result.findings.length <= 5)
    for (const { code, text, position } of result.findings) {
      assert.equal(code, 'MERLON_POLICY_TOO_MANY_STATES')
      assert.match(text, named)
      assert.ok(position.line > 10)
    }
  })
}

test('10,000 braces are refused before they are compiled', () => {
  for (const pattern of ['{'.repeat(10_000), '{a,b}'.repeat(2000), `/${'{a,b}'.repeat(800)}`]) {
    const { policies, findings } = readManifests(patternsText([pattern]), 'x.yaml')
    assert.deepEqual(policies, [])
    assert.ok(findings.some(({ code }) => /^MERLON_POLICY_(TOO_LONG|INVALID_PATTERN)$/.test(code)))
  }
})
