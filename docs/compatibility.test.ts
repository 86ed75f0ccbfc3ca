// SPDX-License-Identifier: Apache-2.0
// Every test that docs/compatibility.md names exists; and the differences that no other test pins.
import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { compile } from '../policy/compile.ts'
import { openTable } from '../policy/lookup.ts'
import { makePlan } from '../policy/plan.ts'
import { ask, policy, rule, WORKLOAD } from '../policy/testing.ts'
import type { Policy, Question, Rule, Verdict } from '../policy/types.ts'

const TREE = fileURLToPath(new URL('..', import.meta.url))
const page = readFileSync(`${TREE}/docs/compatibility.md`, 'utf8')

/** What the table that the kernel would get says. */
function verdictsOf(policies: readonly Policy[], questions: readonly Question[]): readonly Verdict[] {
  const compiled = compile(makePlan(policies, WORKLOAD, { filePosture: 'audit' }))
  assert.ok(compiled.ok)
  const table = openTable(compiled.table)
  return questions.map((question) => table.decide(question).verdict)
}

function verdicts(rules: readonly Rule[], questions: readonly Question[]): readonly Verdict[] {
  return verdictsOf([policy('p', rules)], questions)
}

test('every difference names a test, and every test that is named exists', () => {
  const differences = page.split(/^(?=\*\*)/m).slice(1)
  const unpinned = differences.filter((text) => !/^- `/m.test(text)).map((text) => text.slice(0, 40))
  assert.deepEqual(unpinned, [])
  const pins = [...page.matchAll(/^- `([^`]+)`: (.+)$/gm)].map(([, file = '', name = '']) => ({ file, name }))
  assert.ok(pins.length >= differences.length)
  const absent = pins.filter(({ file, name }) => !existsSync(`${TREE}/${file}`) || !readFileSync(`${TREE}/${file}`, 'utf8').replaceAll("\\'", "'").includes(name))
  assert.deepEqual(absent, [])
})

test('a path of 30 components and one of 4,000 bytes are decided by the directory that they begin with', () => {
  const rules = [rule({ match: { kind: 'dir', dir: '/secret/', recursive: true } })]
  const deep = `/secret${'/d'.repeat(30)}`
  const long = `/secret/${`${'x'.repeat(199)}/`.repeat(20)}`.slice(0, 4000)
  assert.deepEqual(verdicts(rules, [ask('read', deep), ask('read', long), ask('read', long.replace('secret', 'public'))]), ['Block', 'Block', 'Allow'])
})

test('a directory rule of more than 64 characters matches', () => {
  const dir = `/srv/${'long-name/'.repeat(12)}`
  assert.deepEqual(verdicts([rule({ match: { kind: 'dir', dir, recursive: true } })], [ask('read', `${dir}a/b`), ask('read', dir.replace('long', 'song'))]), ['Block', 'Allow'])
})

test('the last of 2,000 rules is enforced like the first', () => {
  const rules = Array.from({ length: 2000 }, (_, index) => rule({ match: { kind: 'path', path: `/opt/${index}/bin` } }))
  const paths = ['/opt/0/bin', '/opt/257/bin', '/opt/1999/bin', '/opt/2000/bin']
  assert.deepEqual(verdicts(rules, paths.map((path) => ask('read', path))), ['Block', 'Block', 'Block', 'Allow'])
})

test('an execname rule with a source holds for that source only', () => {
  const rules = [rule({ section: 'process', match: { kind: 'name', name: 'nc' }, sources: ['/opt/web'] })]
  const from = (source: string): Question => ask('exec', '/usr/bin/nc', { sources: [source] })
  assert.deepEqual(verdicts(rules, [from('/opt/web'), from('/opt/other')]), ['Block', 'Allow'])
})

test('policies of one name in different scopes both apply', () => {
  const blocking = (path: string): readonly Rule[] => [rule({ match: { kind: 'path', path } })]
  const both = [policy('same', blocking('/a')), policy('same', blocking('/b'), { kind: 'KubeArmorClusterPolicy', namespace: '' })]
  const questions = [ask('read', '/a'), ask('read', '/b'), ask('read', '/c')]
  assert.deepEqual(verdictsOf(both, questions), ['Block', 'Block', 'Allow'])
  assert.deepEqual(verdictsOf([...both].reverse(), questions), ['Block', 'Block', 'Allow'])
})
