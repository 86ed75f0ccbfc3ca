// SPDX-License-Identifier: Apache-2.0
// One test for each sentence of docs/semantics.md that says what a rule pathMatches, what it says, and which one decides.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { evaluate, pathMatches } from './evaluate.ts'
import { makePlan } from './plan.ts'
import { ask, costOf, policy, rule, WORKLOAD } from './testing.ts'
import type { Action, PathMatch, Operation, Plan, Posture, Rule, Verdict } from './types.ts'

const path = (name: string): PathMatch => ({ kind: 'path', path: name })
const dir = (name: string, recursive = false): PathMatch => ({ kind: 'dir', dir: name, recursive })
const pattern = (text: string): PathMatch => ({ kind: 'pattern', pattern: text })
const planOf = (rules: readonly Rule[], filePosture: Posture = 'audit'): Plan => makePlan([policy('p', rules)], WORKLOAD, { filePosture })
const covers = (match: PathMatch, name: string): boolean => pathMatches(match, new TextEncoder().encode(name))
const verdictOf = (rules: readonly Rule[], ...question: Parameters<typeof ask>): Verdict => evaluate(planOf(rules), ask(...question)).verdict

describe('What a rule matches', () => {
  test("path: the object's path is this one", () => {
    assert.ok(covers(path('/etc/passwd'), '/etc/passwd'))
    assert.ok(!covers(path('/etc/passwd'), '/etc/passwd-'))
    assert.ok(!covers(path('/etc/passwd'), '/etc/passw'))
    assert.ok(!covers(path('/etc'), '/etc/passwd'))
  })

  test('execname: its last component is this one, wherever it lies', () => {
    const apt: PathMatch = { kind: 'name', name: 'apt' }
    assert.ok(covers(apt, '/usr/bin/apt') && covers(apt, '/apt'))
    assert.ok(!covers(apt, '/usr/bin/xapt') && !covers(apt, '/apt/get') && !covers(apt, '/usr/bin/apt-get'))
  })

  test('directory: the directory itself and its direct children; all descendants when recursive', () => {
    for (const recursive of [false, true]) {
      assert.ok(covers(dir('/a/b/', recursive), '/a/b') && covers(dir('/a/b/', recursive), '/a/b/c'))
      assert.ok(!covers(dir('/a/b/', recursive), '/a/bc') && !covers(dir('/a/b/', recursive), '/a'))
      assert.ok(covers(dir('/', recursive), '/') && covers(dir('/', recursive), '/a'))
      assert.equal(covers(dir('/a/b/', recursive), '/a/b/c/d'), recursive)
      assert.equal(covers(dir('/', recursive), '/a/b'), recursive)
    }
  })

  test('`*` is any run of characters within a component', () => {
    assert.ok(covers(pattern('/etc/*hado?'), '/etc/shadow') && covers(pattern('/etc/*hado?'), '/etc/gshadow'))
    assert.ok(covers(pattern('/a/*'), '/a/') && !covers(pattern('/a/*'), '/a/b/c') && !covers(pattern('/a*'), '/a/b'))
  })

  test('`**` any run across components', () => {
    assert.ok(covers(pattern('/a/**'), '/a/b/c') && covers(pattern('/a**'), '/a/b/c') && covers(pattern('/a**'), '/a'))
    assert.ok(!covers(pattern('/a/**'), '/a') && !covers(pattern('/a/**x'), '/a/b/c'))
  })

  test('`?` one character other than `/`, in UTF-8 or not', () => {
    assert.ok(covers(pattern('/?'), '/a') && covers(pattern('/?'), '/é') && covers(pattern('/?'), '/😀'))
    assert.ok(!covers(pattern('/?'), '/') && !covers(pattern('/?'), '/ab') && !covers(pattern('/a?b'), '/a/b'))
    assert.ok(pathMatches(pattern('/caf?'), Uint8Array.of(0x2f, 0x63, 0x61, 0x66, 0xe9)))
  })

  test('`[a-z]` and `[!a-z]` one character of a set, never `/`', () => {
    assert.ok(covers(pattern('/[a-z]'), '/q') && !covers(pattern('/[a-z]'), '/Q') && covers(pattern('/[à-ü]'), '/é'))
    assert.ok(covers(pattern('/[!a-z]'), '/Q') && !covers(pattern('/[!a-z]'), '/q') && covers(pattern('/[^a-z]'), '/é'))
    assert.ok(!covers(pattern('/a[!b]c'), '/a/c') && !covers(pattern('/a[--9]c'), '/a/c'))
    assert.ok(covers(pattern('/[]x]'), '/]') && covers(pattern('/[x-]'), '/-') && covers(pattern('/[\\]]'), '/]'))
  })

  test('`{a,b}` either; `\\` takes the next character literally', () => {
    assert.ok(covers(pattern('/{bin,sbin}/x'), '/sbin/x') && !covers(pattern('/{bin,sbin}/x'), '/xbin/x'))
    assert.ok(covers(pattern('/a{,.bak}'), '/a') && covers(pattern('/a{,.bak}'), '/a.bak') && covers(pattern('/{a,{b,c}d}e'), '/cde'))
    assert.ok(covers(pattern('/\\*\\{'), '/*{') && !covers(pattern('/\\*'), '/a'))
  })

  test('`/**/` also pathMatches a single `/`', () => {
    assert.ok(covers(pattern('/a/**/b'), '/a/b') && covers(pattern('/a/**/b'), '/a/x/y/b') && covers(pattern('/**/b'), '/b'))
    assert.ok(!covers(pattern('/a/**/b'), '/ab') && covers(pattern('/a/**/**/b'), '/a/b') && !covers(pattern('/a/**/b'), '/a/xb'))
  })

  test('the whole path must match', () => {
    assert.ok(!covers(pattern('/etc'), '/etc/passwd') && !covers(pattern('etc'), '/etc'))
  })

  test('a pattern that makes backtracking matchers explode takes no time', () => {
    const cost = costOf(() => {
      assert.ok(!covers(pattern(`/${'a*'.repeat(30)}b`), `/${'a'.repeat(1000)}`))
      assert.ok(!covers(pattern(`/${'{a,a,**}'.repeat(20)}b`), `/${'a'.repeat(300)}`))
    })
    assert.ok(cost < 5000, `${cost} ms`)
  })

  test('a rule with fromSource pathMatches only operations of these executables', () => {
    const rules = [rule({ match: path('/secret'), sources: ['/opt/cat'] })]
    assert.equal(verdictOf(rules, 'read', '/secret', { sources: ['/opt/cat'] }), 'Block')
    assert.equal(verdictOf(rules, 'read', '/secret', { sources: ['/opt/dog'] }), 'Allow')
    assert.equal(verdictOf(rules, 'read', '/secret'), 'Allow')
  })

  test('for an exec, the caller or its parent, either', () => {
    const rules = [rule({ section: 'process', match: path('/x/ls'), sources: ['/x/dash'] })]
    assert.equal(verdictOf(rules, 'exec', '/x/ls', { sources: ['/x/dash', '/init'] }), 'Block')
    assert.equal(verdictOf(rules, 'exec', '/x/ls', { sources: ['/x/bash', '/x/dash'] }), 'Block')
    assert.equal(verdictOf(rules, 'exec', '/x/ls', { sources: ['/x/bash', '/init'] }), 'Allow')
  })

  test('on merged-usr images a rule for /bin/ls also means /usr/bin/ls, sources included, but not the other way round', () => {
    const rules = [rule({ section: 'process', match: path('/bin/ls'), sources: ['/bin/sh'] })]
    for (const place of ['/bin', '/usr/bin']) {
      for (const source of ['/bin/sh', '/usr/bin/sh']) assert.equal(verdictOf(rules, 'exec', `${place}/ls`, { sources: [source] }), 'Block')
    }
    assert.equal(verdictOf([rule({ section: 'process', match: path('/usr/bin/ls') })], 'exec', '/bin/ls'), 'Allow')
  })

  test('process rules decide execs, file rules decide opens', () => {
    assert.equal(verdictOf([rule({ section: 'process', match: path('/x') })], 'read', '/x'), 'Allow')
    assert.equal(verdictOf([rule({ section: 'file', match: path('/x') })], 'exec', '/x'), 'Allow')
    for (const operation of ['read', 'write'] as const) assert.equal(verdictOf([rule({ match: path('/x') })], operation, '/x'), 'Block')
  })
})

describe('What a rule says', () => {
  type Row = readonly [action: Action, readOnly: boolean, ownerOnly: boolean, expected: Readonly<Record<string, Verdict>>]
  // The operations are: read and write by the owner, read and write by someone else. Unmatched is Audit: the section is in allow-list mode.
  const all = (verdict: Verdict): Readonly<Record<string, Verdict>> => ({ 'read own': verdict, 'write own': verdict, 'read other': verdict, 'write other': verdict })
  const table: readonly Row[] = [
    ['Allow', false, false, all('Allow')],
    ['Allow', true, false, { ...all('Allow'), 'write own': 'Audit', 'write other': 'Audit' }],
    ['Allow', false, true, { ...all('Allow'), 'read other': 'Audit', 'write other': 'Audit' }],
    ['Allow', true, true, { ...all('Audit'), 'read own': 'Allow' }],
    ['Audit', false, false, all('Audit')],
    ['Audit', true, false, { ...all('Audit'), 'read own': 'Allow', 'read other': 'Allow' }],
    ['Audit', false, true, { ...all('Audit'), 'read own': 'Allow', 'write own': 'Allow' }],
    ['Audit', true, true, { ...all('Audit'), 'read own': 'Allow' }],
    ['Block', false, false, all('Block')],
    ['Block', true, false, { ...all('Block'), 'read own': 'Allow', 'read other': 'Allow' }],
    ['Block', false, true, { ...all('Block'), 'read own': 'Allow', 'write own': 'Allow' }],
    ['Block', true, true, { ...all('Block'), 'read own': 'Allow' }],
  ]
  for (const [action, readOnly, ownerOnly, expected] of table) {
    test(`${action}${readOnly ? ' readOnly' : ''}${ownerOnly ? ' ownerOnly' : ''}`, () => {
      const rules = [rule({ action, readOnly, ownerOnly, match: path('/x') })]
      for (const [key, verdict] of Object.entries(expected)) {
        const operation: Operation = key.startsWith('read') ? 'read' : 'write'
        assert.equal(verdictOf(rules, operation, '/x', { owner: key.endsWith('own') }), verdict, key)
      }
    })
  }

  test('for execs readOnly means nothing and is ignored', () => {
    const rules = (ownerOnly: boolean): readonly Rule[] => [rule({ section: 'process', readOnly: true, ownerOnly, match: path('/x') })]
    assert.equal(verdictOf(rules(false), 'exec', '/x'), 'Block')
    assert.equal(verdictOf(rules(true), 'exec', '/x', { owner: true }), 'Allow')
    assert.equal(verdictOf(rules(true), 'exec', '/x', { owner: false }), 'Block')
  })
})

describe('Which rule decides', () => {
  const from = { sources: ['/opt/cat'] }

  test('1. a rule with fromSource before one without, whatever their shapes and verdicts', () => {
    const rules = [rule({ match: path('/s/token') }), rule({ action: 'Allow', match: dir('/', true), ...from })]
    assert.equal(verdictOf(rules, 'read', '/s/token', from), 'Allow')
    assert.equal(verdictOf(rules, 'read', '/s/token'), 'Block')
  })

  test('2. an exact path before an execname, before a pattern, before a directory', () => {
    const shapes: readonly PathMatch[] = [path('/d/x'), { kind: 'name', name: 'x' }, pattern('/d/*'), dir('/d/')]
    for (const [index, specific] of shapes.entries()) {
      for (const general of shapes.slice(index + 1)) {
        const rules = [rule({ section: 'process', action: 'Allow', match: specific }), rule({ section: 'process', match: general })]
        assert.equal(verdictOf(rules, 'exec', '/d/x'), 'Allow', `${specific.kind} before ${general.kind}`)
      }
    }
  })

  test('2. of two directories, the longer one, recursive or not', () => {
    for (const recursive of [false, true]) {
      const rules = [rule({ match: dir('/d/', true) }), rule({ action: 'Allow', match: dir('/d/e/', recursive) })]
      assert.equal(verdictOf(rules, 'read', '/d/e/x'), 'Allow')
      assert.equal(verdictOf(rules, 'read', '/d/x'), 'Block')
    }
  })

  test('2. the length that counts is that of the alias which matched', () => {
    const rules = [rule({ match: dir('/bin/', true) }), rule({ action: 'Allow', match: dir('/usr/b/', true) }), rule({ action: 'Allow', match: dir('/usr/', true) })]
    assert.equal(verdictOf(rules, 'read', '/usr/bin/x'), 'Block')
    const tie = [rule({ action: 'Allow', match: dir('/bin/', true) }), rule({ match: dir('/usr/bin/', true) })]
    assert.equal(verdictOf(tie, 'read', '/usr/bin/x'), 'Block')
    assert.equal(verdictOf(tie, 'read', '/bin/x'), 'Allow')
  })

  test('3. the stricter verdict: Block, then Audit, then Allow', () => {
    const rules = (['Allow', 'Audit', 'Block'] as const).map((action) => rule({ action, match: path('/x') }))
    assert.equal(verdictOf(rules, 'read', '/x'), 'Block')
    assert.equal(verdictOf(rules.slice(0, 2), 'read', '/x'), 'Audit')
  })

  test('3. verdicts count, not actions: what an ownerOnly Block permits gives way to an Audit', () => {
    const rules = [rule({ ownerOnly: true, match: path('/x') }), rule({ action: 'Audit', match: path('/x') })]
    assert.equal(verdictOf(rules, 'read', '/x', { owner: true }), 'Audit')
    assert.equal(verdictOf(rules, 'read', '/x', { owner: false }), 'Block')
  })

  test('4. by policy kind, namespace, name and position, which only settles who gets the credit', () => {
    const at = (line: number): Rule => rule({ match: path('/x'), position: { file: 'f', line, column: 1 } })
    const cluster = policy('a', [at(1)], { kind: 'KubeArmorClusterPolicy', namespace: '' })
    const plan = makePlan([cluster, policy('z', [at(9), at(4)]), policy('b', [at(5)])], WORKLOAD, { filePosture: 'audit' })
    assert.deepEqual(plan.clauses.map(({ origin }) => `${origin.policy} ${origin.position.line}`), ['b 5', 'z 4', 'z 9', 'a 1'])
    assert.deepEqual(evaluate(plan, ask('read', '/x')), { verdict: 'Block', clause: 1 })
  })
})

describe('When no rule matches', () => {
  const allow = rule({ action: 'Allow', match: path('/x') })

  test('a section with an Allow rule is in allow-list mode: the posture decides, attributed to DefaultPosture', () => {
    for (const [posture, verdict] of [['audit', 'Audit'], ['block', 'Block']] as const) {
      const plan = planOf([allow], posture)
      assert.deepEqual(evaluate(plan, ask('read', '/y')), { verdict, clause: 3 })
      assert.equal(plan.defaults.file?.origin.policy, 'DefaultPosture')
      assert.equal(plan.defaults.process, undefined)
    }
  })

  test('each section has its own mode', () => {
    const plan = planOf([allow], 'block')
    assert.deepEqual(evaluate(plan, ask('exec', '/y')), { verdict: 'Allow', clause: 0 })
  })

  test('an Allow rule that does not match for its flags or source still makes the mode', () => {
    assert.equal(evaluate(planOf([rule({ ...allow, readOnly: true })], 'block'), ask('write', '/x')).verdict, 'Block')
    assert.equal(evaluate(planOf([rule({ ...allow, sources: ['/s'] })], 'block'), ask('read', '/x')).verdict, 'Block')
  })

  test('what a Block or Audit rule permits by its flags makes no allow-list mode', () => {
    const plan = planOf([rule({ match: path('/x'), readOnly: true }), rule({ action: 'Audit', match: path('/x'), ownerOnly: true })], 'block')
    assert.deepEqual(evaluate(plan, ask('read', '/y')), { verdict: 'Allow', clause: 0 })
  })

  test('a section without Allow rule permits what no rule pathMatches, and counts nothing', () => {
    assert.deepEqual(evaluate(planOf([rule({ match: path('/x') })], 'block'), ask('read', '/y')), { verdict: 'Allow', clause: 0 })
  })
})

describe('What cannot be decided', () => {
  const long = `/${'x'.repeat(4095)}`

  test('a path of more than 4,095 bytes gets the undecidable verdict, one of 4,095 is decided', () => {
    const plan = planOf([rule({ match: dir('/', true), action: 'Audit' })])
    assert.deepEqual(evaluate(plan, ask('read', long)), { verdict: 'Audit', clause: 13 })
    assert.deepEqual(evaluate(plan, ask('read', long.slice(1))), { verdict: 'Allow', clause: 0 }, 'it does not even begin with a slash')
    assert.deepEqual(evaluate(plan, ask('read', long.slice(0, -1))), { verdict: 'Audit', clause: 1 })
  })

  test('it is Block where the section has a Block clause or a blocking default, Audit where it has any other clause, else Allow', () => {
    const undecidable = (rules: readonly Rule[], posture: Posture): Verdict => planOf(rules, posture).undecidable.file.verdict
    assert.equal(undecidable([], 'block'), 'Allow')
    assert.equal(undecidable([rule({ section: 'process', match: path('/x') })], 'block'), 'Allow')
    assert.equal(undecidable([rule({ match: path('/x') })], 'audit'), 'Block')
    assert.equal(undecidable([rule({ match: path('/x'), action: 'Audit' })], 'audit'), 'Audit')
    assert.equal(undecidable([rule({ match: path('/x'), action: 'Allow' })], 'audit'), 'Audit')
    assert.equal(undecidable([rule({ match: path('/x'), action: 'Allow' })], 'block'), 'Block')
  })
})
