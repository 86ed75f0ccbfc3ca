// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { arbitrarySituation } from '../test/support/generate.ts'
import { clauseMatches, evaluate } from './evaluate.ts'
import { explain, withoutRules, type Explanation } from './explain.ts'
import { makePlan } from './plan.ts'
import { readManifests } from './read.ts'
import { ask, policy, rule, WORKLOAD } from './testing.ts'
import type { Match, Policy, Posture, Question, Rule } from './types.ts'

const path = (text: string): Match => ({ kind: 'path', path: text })
const dir = (text: string, recursive = false): Match => ({ kind: 'dir', dir: text, recursive })
const at = (line: number, parts: Parameters<typeof rule>[0]): Rule => rule({ position: { file: 'p.yaml', line, column: 5 }, ...parts })

function why(rules: readonly Rule[], question: Question, filePosture: Posture = 'block'): Explanation {
  return explain({ policies: [policy('p', rules)], workload: WORKLOAD, options: { filePosture } }, question)
}

describe('what decided', () => {
  test('a rule: its place, and what would come after it', () => {
    const found = why([at(3, { match: path('/x') }), at(9, { action: 'Audit', match: dir('/') })], ask('read', '/x'))
    assert.deepEqual([found.verdict, found.by, found.origin?.position.line, found.reason], ['Block', 'rule', 3, 'this Block rule matches; another rule matches too, and loses'])
    assert.deepEqual(found.changes, ['without this rule the verdict would be Audit, by the Audit rule at p.yaml:9 (file directory /)'])
    assert.equal(why([at(3, { match: path('/x') })], ask('read', '/x')).reason, 'this Block rule matches; no other rule matches')
  })

  test('what a flag permits is told from what the action says', () => {
    const { verdict, reason } = why([at(3, { readOnly: true, match: path('/x') })], ask('read', '/x'))
    assert.deepEqual([verdict, reason], ['Allow', 'this Block rule matches, and permits what its flags name; no other rule matches'])
  })

  test('the default posture: which Allow rule made the allow-list, and how to get out of it', () => {
    const found = why([at(3, { action: 'Allow', match: path('/a') }), at(4, { action: 'Allow', match: path('/b') })], ask('read', '/x'))
    assert.deepEqual([found.verdict, found.by, found.origin?.policy], ['Block', 'default', 'DefaultPosture'])
    assert.match(found.reason, /^no rule matches, and the file section is in allow-list mode because of the Allow rule at p\.yaml:3 \(file path \/a\): the default posture is block$/)
    assert.match(found.changes[1] ?? '', /there are 2: at p\.yaml:3 \(file path \/a\); at p\.yaml:4 /)
    assert.deepEqual(why([at(3, { action: 'Allow', match: path('/a') })], ask('read', '/x'), 'audit').fallback.verdict, 'Audit')
  })

  test('nothing: no rule, or no policy', () => {
    const none = why([at(3, { match: path('/a') })], ask('exec', '/x'))
    assert.deepEqual([none.verdict, none.by, none.origin, none.selecting], ['Allow', 'nothing', undefined, 1])
    assert.match(none.reason, /^no rule matches, and the process section has no Allow rule/)
    const elsewhere = explain({ policies: [policy('p', [], { namespace: 'other' })], workload: WORKLOAD, options: { filePosture: 'block' } }, ask('exec', '/x'))
    assert.deepEqual([elsewhere.selecting, elsewhere.reason], [0, 'no policy selects this workload'])
  })

  test('a path beyond the limit', () => {
    const { verdict, by, origin } = why([at(3, { match: path('/a') })], ask('read', `/${'x'.repeat(5000)}`))
    assert.deepEqual([verdict, by, origin?.policy], ['Block', 'undecidable', 'Undecidable'])
  })
})

describe('what did not', () => {
  const lost = (rules: readonly Rule[], question: Question): readonly string[] => why(rules, question).lost.map(({ origin, verdict, reason }) => `${origin.position.line} ${verdict}: ${reason}`)

  test('each rule of precedence has its words', () => {
    const rules = [
      at(1, { match: path('/d/e/x'), action: 'Allow', sources: ['/bin/sh'] }),
      at(2, { match: path('/d/e/x'), action: 'Audit' }),
      at(3, { match: { kind: 'pattern', pattern: '/d/**' } }),
      at(4, { match: dir('/d/e/') }),
      at(5, { match: dir('/d/', true) }),
    ]
    const question = ask('read', '/d/e/x', { sources: ['/bin/sh'] })
    const source = 'a rule with fromSource goes before one without'
    assert.deepEqual(lost(rules, question), [`2 Audit: ${source}`, `3 Block: ${source}`, `4 Block: ${source}`, `5 Block: ${source}`])
    assert.deepEqual(lost(rules.slice(1), question), [
      '3 Block: an exact path goes before a pattern', '4 Block: an exact path goes before a directory', '5 Block: an exact path goes before a directory',
    ])
    assert.deepEqual(lost(rules.slice(3), question), ['5 Block: of two directories the longer one decides'])
    assert.deepEqual(lost([at(1, { match: path('/x') }), at(2, { match: path('/x'), action: 'Allow' })], ask('read', '/x')), ['2 Allow: Block goes before Allow'])
    assert.match(lost([at(1, { match: path('/x') }), at(2, { match: path('/x') })], ask('read', '/x'))[0] ?? '', /^2 Block: it asks for the same/)
  })

  test('rules that name the object for another source, or for what their flags name, are near', () => {
    const rules = [at(1, { match: path('/x'), sources: ['/bin/cat'] }), at(2, { match: path('/x'), action: 'Allow', readOnly: true }), at(3, { match: path('/y') })]
    const { near, lost: none } = why(rules, ask('write', '/x'))
    assert.deepEqual(near.map(({ origin, reason }) => [origin.position.line, reason]), [
      [1, 'it is for operations of /bin/cat, /usr/bin/cat'],
      [2, 'it permits only what its readOnly, ownerOnly or pts names'],
    ])
    assert.deepEqual(none, [])
  })
})

/* ---- Properties ---- */

const component = fc.constantFrom('bin', 'usr', 'a', 'b')
const anyPath = fc.array(component, { minLength: 1, maxLength: 3 }).map((parts) => `/${parts.join('/')}`)
const anyMatch: fc.Arbitrary<Match> = fc.oneof(
  anyPath.map(path),
  component.map((name): Match => ({ kind: 'name', name })),
  fc.constantFrom('/**', '/*', '/a/*', '/usr/**', '/{a,bin}/b').map((pattern): Match => ({ kind: 'pattern', pattern })),
  fc.tuple(anyPath, fc.boolean()).map(([text, recursive]) => dir(`${text}/`, recursive)),
)
const executable = fc.constantFrom('/bin/sh', '/a')
const anyRule: fc.Arbitrary<Rule> = fc
  .record({
    section: fc.constantFrom('process', 'file'), match: anyMatch, action: fc.constantFrom('Allow', 'Audit', 'Block'), readOnly: fc.boolean(), ownerOnly: fc.boolean(),
    sources: fc.array(executable, { maxLength: 1 }), position: fc.record({ file: fc.constant('x.yaml'), line: fc.integer({ min: 1, max: 9 }), column: fc.constant(1) }),
  })
  .map((parts) => rule(parts))
const anyPolicies: fc.Arbitrary<readonly Policy[]> = fc.array(fc.tuple(fc.constantFrom('p', 'q'), fc.array(anyRule, { maxLength: 4 })).map(([name, rules]) => policy(name, rules)), { maxLength: 3 })
const anyQuestion = fc
  .tuple(fc.constantFrom('exec', 'read', 'write'), anyPath, fc.boolean(), fc.array(executable, { maxLength: 2 }))
  .map(([operation, text, owner, sources]) => ask(operation, text, { owner, sources }))
const options = fc.constantFrom<Posture>('audit', 'block').map((filePosture) => ({ filePosture }))

test('the verdict is the evaluator’s; what lost matches, in the order in which it would decide; what is near does not match', () => {
  fc.assert(
    fc.property(anyPolicies, options, anyQuestion, (policies, given, question) => {
      const found = explain({ policies, workload: WORKLOAD, options: given }, question)
      const plan = makePlan(policies, WORKLOAD, given)
      assert.equal(found.verdict, evaluate(plan, question).verdict)
      const matching = plan.clauses.filter((clause) => clauseMatches(plan, clause, question)).map(({ origin }) => origin)
      assert.deepEqual(found.by === 'rule' ? [found.origin, ...found.lost.map(({ origin }) => origin)] : [], matching)
      for (const { origin, reason } of found.near) {
        assert.ok(reason !== '')
        assert.ok(!matching.includes(origin))
      }
    }),
    { numRuns: 500 },
  )
})

test('deleting the rule that is named changes the verdict or the reason', () => {
  fc.assert(
    fc.property(anyPolicies, options, anyQuestion, (policies, given, question) => {
      const found = explain({ policies, workload: WORKLOAD, options: given }, question)
      if (found.by !== 'rule' || found.origin === undefined) return
      const left = withoutRules(policies, found.origin)
      assert.notDeepEqual(left, policies)
      const next = explain({ policies: left, workload: WORKLOAD, options: given }, question)
      assert.notDeepEqual([next.verdict, next.reason], [found.verdict, found.reason])
      // What was foretold is what happens.
      assert.match(found.changes[0] ?? '', new RegExp(`^without this rule the verdict would be ${next.verdict}, `))
    }),
    { numRuns: 500 },
  )
})

const ITEMS: readonly string[] = [
  '    - path: /a', '    - {path: /a, action: Audit}', '    - {path: /b, action: Allow}', '    - {path: /b, readOnly: true}', '    - {path: /a, fromSource: [{path: /s}]}',
  '    - {path: /b, ownerOnly: true, action: Allow}', '    - {path: /a, severity: 7}',
]

test('deleting the line that is named, in the file, changes the verdict or the reason', () => {
  const anyText = fc.array(fc.array(fc.constantFrom(...ITEMS), { minLength: 1, maxLength: 5 }), { minLength: 1, maxLength: 3 })
  const anyAsked = fc
    .tuple(fc.constantFrom('/a', '/b'), fc.constantFrom('read', 'write'), fc.boolean())
    .map(([asked, operation, owner]) => ask(operation, asked, { owner, sources: ['/s'] }))
  let lines = 0
  fc.assert(
    fc.property(anyText, anyAsked, options, (sections, question, given) => {
      const text = sections.map((items, index) => `apiVersion: security.kubearmor.com/v1\nkind: KubeArmorPolicy\nmetadata: {name: p${index}, namespace: shop}\nspec:\n  file:\n    matchPaths:\n${items.join('\n')}\n`).join('---\n')
      const whyOf = (content: string): Explanation => {
        const { policies } = readManifests(content, 'x.yaml')
        return explain({ policies, workload: { ...WORKLOAD, namespace: 'shop' }, options: given }, question)
      }
      const found = whyOf(text)
      const line = found.origin?.position.line ?? 0
      if (line === 0) return
      lines++
      const next = whyOf(text.split('\n').toSpliced(line - 1, 1).join('\n'))
      assert.notDeepEqual([next.verdict, next.reason], [found.verdict, found.reason])
    }),
    { numRuns: 500, seed: 3 },
  )
  assert.ok(lines > 250, `${lines} lines were deleted`)
})

test('for every kind of rule the verdict is the evaluator’s, what lost matches, and what is foretold of a deletion happens', () => {
  let rules = 0
  fc.assert(
    fc.property(arbitrarySituation(10, 12), ({ policies, workload, options: given, questions }) => {
      const plan = makePlan(policies, workload, given)
      for (const question of questions) {
        const found = explain({ policies, workload, options: given }, question)
        assert.equal(found.verdict, evaluate(plan, question).verdict)
        if (found.by !== 'rule' || found.origin === undefined || found.origin.kind === '') continue
        rules++
        const left = withoutRules(policies, found.origin)
        assert.notDeepEqual(left, policies)
        const next = explain({ policies: left, workload, options: given }, question)
        assert.notDeepEqual([next.verdict, next.reason], [found.verdict, found.reason])
        assert.match(found.changes[0] ?? '', new RegExp(`^without this rule the verdict would be ${next.verdict}, `))
      }
    }),
    { numRuns: 300, seed: 8 },
  )
  assert.ok(rules > 500, `${rules} questions were decided by a rule`)
})
