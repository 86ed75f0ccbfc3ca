// SPDX-License-Identifier: Apache-2.0
// Properties of plans and answers on generated policies. Small alphabets make collisions, hence ties of precedence, common.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { DIRECTORY_LINKS } from './alias.ts'
import { evaluate } from './evaluate.ts'
import { parseGlob } from './glob.ts'
import { makePlan } from './plan.ts'
import { readManifests } from './read.ts'
import { ask, policy, rule, WORKLOAD } from './testing.ts'
import { SECTIONS, type Answer, type ClauseOrigin, type Match, type Plan, type Policy, type Posture, type Question, type Rule } from './types.ts'

const component = fc.constantFrom('bin', 'usr', 'a', 'b', 'é', 'ls')
const path = fc.array(component, { minLength: 1, maxLength: 3 }).map((parts) => `/${parts.join('/')}`)
const glob = fc
  .array(fc.constantFrom('/', 'a', 'bin', 'usr', '*', '**', '?', '[ab]', '[!a]', '{a,b/}', '/**/', '\\*', 'é'), { minLength: 1, maxLength: 5 })
  .map((parts) => `/${parts.join('')}`)
const match: fc.Arbitrary<Match> = fc.oneof(
  path.map((text): Match => ({ kind: 'path', path: text })),
  component.map((name): Match => ({ kind: 'name', name })),
  glob.map((pattern): Match => ({ kind: 'pattern', pattern })),
  fc.tuple(fc.oneof(fc.constant('/'), path.map((text) => `${text}/`)), fc.boolean()).map(([dir, recursive]): Match => ({ kind: 'dir', dir, recursive })),
)
const executable = fc.constantFrom('/bin/sh', '/usr/bin/sh', '/a')
const anyRule: fc.Arbitrary<Rule> = fc
  .record({
    section: fc.constantFrom('process' as const, 'file' as const),
    match,
    action: fc.constantFrom('Allow' as const, 'Audit' as const, 'Block' as const),
    readOnly: fc.boolean(),
    ownerOnly: fc.boolean(),
    sources: fc.array(executable, { maxLength: 2 }),
    position: fc.record({ file: fc.constantFrom('x.yaml', 'y.yaml'), line: fc.integer({ min: 1, max: 4 }), column: fc.constant(1) }),
  })
  .map((parts) => rule(parts))
const anyPolicy: fc.Arbitrary<Policy> = fc
  .tuple(fc.constantFrom('p', 'q'), fc.array(anyRule, { maxLength: 4 }), fc.boolean())
  .map(([name, rules, cluster]) => policy(name, rules, cluster ? { kind: 'KubeArmorClusterPolicy', namespace: '' } : {}))
const policies = fc.array(anyPolicy, { minLength: 1, maxLength: 4 })
const question: fc.Arbitrary<Question> = fc
  .tuple(fc.constantFrom('exec' as const, 'read' as const, 'write' as const), path, fc.boolean(), fc.array(executable, { maxLength: 2 }))
  .map(([operation, text, owner, sources]) => ask(operation, text, { owner, sources }))
const posture = fc.constantFrom<Posture>('audit', 'block')

const planOf = (given: readonly Policy[], filePosture: Posture): Plan => makePlan(given, WORKLOAD, { filePosture })

/** A permutation of `items` that `seed` chooses. */
function shuffled<T>(items: readonly T[], seed: number): readonly T[] {
  const keyed = items.map((item, index) => ({ item, key: Math.imul(index + 1, seed | 1) >>> 7 }))
  return keyed.sort((a, b) => a.key - b.key).map(({ item }) => item)
}

test('the order of policies and of their rules changes nothing, not even the numbers of clauses', () => {
  fc.assert(
    fc.property(policies, posture, fc.integer(), (given, filePosture, seed) => {
      const other = shuffled(given.map((each) => ({ ...each, rules: shuffled(each.rules, seed) })), seed)
      assert.deepEqual(planOf(other, filePosture), planOf(given, filePosture))
    }),
    { numRuns: 300 },
  )
})

test('the plan is in the order that the evaluator finds by comparing: of the clauses that match, the first decides', () => {
  fc.assert(
    fc.property(policies, posture, question, (given, filePosture, asked) => {
      const plan = planOf(given, filePosture)
      const answer = evaluate(plan, asked)
      if (answer.clause === 0 || answer.clause > plan.clauses.length) return
      // Without the clauses from the winner on, none that is left matches: the answer falls to a default, or to none.
      const before = { ...plan, clauses: plan.clauses.slice(0, answer.clause - 1) }
      const rest = evaluate(before, asked)
      assert.ok(rest.clause === 0 || rest.clause > before.clauses.length)
    }),
    { numRuns: 1000 },
  )
})

/** Who decided, in words that survive renumbering. */
function credit(plan: Plan, { clause }: Answer): ClauseOrigin | undefined {
  return [...plan.clauses, ...SECTIONS.map((section) => plan.defaults[section]), ...SECTIONS.map((section) => plan.undecidable[section])][clause - 1]?.origin
}

test('deleting the rule that decided changes the verdict or who decides', () => {
  fc.assert(
    fc.property(policies, posture, question, (given, filePosture, asked) => {
      const numbered = given.map((each, i) => ({ ...each, rules: each.rules.map((one, j) => ({ ...one, message: `${i}.${j}` })) }))
      const plan = planOf(numbered, filePosture)
      const answer = evaluate(plan, asked)
      const winner = credit(plan, answer)
      if (winner === undefined || winner.policy === 'DefaultPosture') return
      const without = planOf(numbered.map((each) => ({ ...each, rules: each.rules.filter(({ message }) => message !== winner.message) })), filePosture)
      const next = evaluate(without, asked)
      assert.notDeepEqual([next.verdict, credit(without, next)], [answer.verdict, winner])
    }),
    { numRuns: 500 },
  )
})

test('a rule for a link decides what a rule for its target decides, on the target’s path', () => {
  const link = fc.constantFrom(...DIRECTORY_LINKS)
  fc.assert(
    fc.property(fc.record({ link, kind: fc.constantFrom('path', 'dir', 'pattern'), below: path, base: anyRule, asked: question }), ({ link: [from, to], kind, below, base, asked }) => {
      const at = (root: string): Match =>
        kind === 'path' ? { kind, path: root + below } : kind === 'dir' ? { kind, dir: `${root + below}/`, recursive: true } : { kind: 'pattern', pattern: `${root}/**` }
      const verdict = (root: string): string =>
        evaluate(planOf([policy('p', [{ ...base, match: at(root) }])], 'block'), { ...asked, path: new TextEncoder().encode(`${to}${below}`) }).verdict
      assert.equal(verdict(from), verdict(to))
    }),
    { numRuns: 500 },
  )
})

test('parseGlob never throws, and what it reads evaluates in bounded time', () => {
  const text = fc.oneof(fc.string({ unit: 'binary', maxLength: 30 }), fc.array(fc.constantFrom('/', '*', '**', '[', ']', '{', '}', ',', '\\', '!', '-', 'a', '?'), { maxLength: 40 }).map((parts) => parts.join('')))
  fc.assert(
    fc.property(text, (pattern) => {
      const parsed = parseGlob(pattern)
      if (!parsed.ok) {
        assert.ok(parsed.at >= 0 && parsed.at + parsed.length <= pattern.length, 'the place lies in the pattern')
        return
      }
      const plan = planOf([policy('p', [rule({ match: { kind: 'pattern', pattern } })])], 'audit')
      evaluate(plan, ask('read', `/${'a'.repeat(300)}`))
    }),
    { numRuns: 1000 },
  )
})

const MANIFEST = `apiVersion: security.kubearmor.com/v1
kind: KubeArmorPolicy
metadata: {name: all, namespace: shop, labels: {a: b}}
spec:
  severity: 3
  selector:
    matchLabels: &l {app: web, kubearmor.io/container.name: "[web, x]"}
    matchExpressions: [{key: label, operator: NotIn, values: [tier=db]}]
  process:
    matchPaths:
      - path: /bin/sh
        fromSource: [{path: /bin/cat}]
      - execname: nc
  file:
    matchDirectories: [{dir: /etc/, recursive: true, readOnly: true, action: Allow}]
    matchPatterns: [{pattern: "/srv/{a,b}/**/*.key"}]
---
apiVersion: v1
kind: Namespace
metadata: {name: shop, annotations: {kubearmor-file-posture: block}}
`

test('readManifests never throws on mutated manifests, says something about each that it does not use, and takes little processor time', () => {
  const piece = fc.oneof(fc.constantFrom('{', '}', '[', ']', ':', '- ', '\n', '\t', '&a ', '*a', '<<: *l', '!!int ', '"', "'", '|\n', '---\n', '...', '\0', '\u{1f600}', '\ud800', '%YAML 9\n', '? '), fc.string({ maxLength: 3 }))
  const mutation = fc.record({ at: fc.nat(MANIFEST.length), remove: fc.nat(12), insert: piece })
  fc.assert(
    fc.property(fc.array(mutation, { minLength: 1, maxLength: 4 }), (mutations) => {
      const text = mutations.reduce((content, { at, remove, insert }) => content.slice(0, at) + insert + content.slice(at + remove), MANIFEST)
      const before = process.cpuUsage()
      const { policies: read, refused, findings } = readManifests(text, 'x.yaml')
      assert.ok(process.cpuUsage(before).user < 2_000_000, text)
      if (read.length === 0) assert.ok(refused.length > 0 || findings.length > 0, text)
      for (const { position, message, hint } of findings) {
        assert.ok(position.line >= 1 && position.column >= 1)
        assert.doesNotMatch(message + hint, /\{(path|problem|kind|suggestion|expected|actual|limit|key|line|annotation|version)\}/)
      }
    }),
    { numRuns: 400 },
  )
})
