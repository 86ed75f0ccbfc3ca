// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { arbitraryCase } from '../test/support/generate.ts'
import { planAlone } from './alone.ts'
import { compile } from './compile.ts'
import { evaluate } from './evaluate.ts'
import { idleRules } from './idle.ts'
import { readManifests } from './read.ts'
import type { Plan } from './types.ts'

/** `what <- who` of the rules that never decide. */
function idleIn(spec: string): readonly string[] {
  const { policies, findings } = readManifests(`apiVersion: security.kubearmor.com/v1\nkind: KubeArmorPolicy\nmetadata: {name: p}\nspec: {${spec}}\n`, 'x.yaml')
  assert.ok(findings.every(({ severity }) => severity === 'warning'), JSON.stringify(findings))
  return idleOf(planAlone(policies, { filePosture: 'audit' }))
}

function idleOf(plan: Plan): readonly string[] {
  const compiled = compile(plan)
  assert.ok(compiled.ok)
  return idleRules(plan, compiled.table).map(({ origin, by }) => `${origin.text} <- ${by?.text ?? 'nothing'}`)
}

const CASES: readonly (readonly [what: string, spec: string, idle: readonly string[]])[] = [
  ['rules that stand beside each other', 'file: {matchPaths: [{path: /a}, {path: /b}], matchDirectories: [{dir: /a/}, {dir: /b/, recursive: true}]}', []],
  ['the same path, Block before Audit', 'file: {matchPaths: [{path: /a, action: Audit}, {path: /a}]}', ['file path /a <- file path /a']],
  ['a directory behind all of its names, one of which it keeps', 'file: {matchPatterns: [{pattern: "/a/**"}], matchDirectories: [{dir: /a/, recursive: true}]}', []],
  ['a directory behind a pattern that has it too', 'file: {matchPatterns: [{pattern: "/a{,/**}"}], matchDirectories: [{dir: /a/, recursive: true}]}', ['file directory /a/ recursive <- file pattern /a{,/**}']],
  ['a narrow pattern and a wide one: both decide something', 'file: {matchPatterns: [{pattern: "/a/*.key", action: Allow}, {pattern: "/a/**", action: Audit}]}', ['file pattern /a/*.key <- file pattern /a/**']],
  ['a rule for a source goes first', 'file: {matchPaths: [{path: /a, action: Audit, fromSource: [{path: /s}]}, {path: /a}]}', []],
  ['a rule that two others cover together', 'file: {matchPatterns: [{pattern: "/x[ab]"}], matchPaths: [{path: /xa}, {path: /xb}]}', ['file pattern /x[ab] <- file path /xa']],
  ['flags: what one permits the other blocks, and the credit for writes is the first one’s', 'file: {matchPaths: [{path: /a, readOnly: true}, {path: /a}]}', []],
  ['an execname behind the path that it names', 'process: {matchPaths: [{path: /bin/nc}, {execname: nc}]}', []],
  ['no path has an empty component', 'file: {matchPatterns: [{pattern: "/a/[/]b"}, {pattern: "/a?/../b"}, {pattern: "/.{,.}/x"}]}', ['file pattern /a/[/]b <- nothing', 'file pattern /a?/../b <- nothing', 'file pattern /.{,.}/x <- nothing']],
  ['a link of images', 'process: {matchPaths: [{path: /bin/x}, {path: /usr/bin/x, action: Audit}]}', ['process path /usr/bin/x <- process path /bin/x']],
  ['a domain below another one: the longer decides', 'network: {matchDNSQueries: [{domain: example.com}, {domain: www.example.com}]}', []],
  ['a domain twice', 'network: {matchDNSQueries: [{domain: a.b, action: Audit}, {domain: a.b}]}', ['dns domain a.b <- dns domain a.b']],
  ['a protocol goes before all of them', 'network: {matchProtocols: [{protocol: tcp, action: Audit}, {protocol: all}]}', []],
  ['capabilities, one of them from a source', 'capabilities: {matchCapabilities: [{capability: net_raw, action: Audit}, {capability: net_raw}, {capability: kill, fromSource: [{path: /s}]}]}', ['capabilities capability net_raw <- capabilities capability net_raw']],
  ['arguments: what one permits the other blocks', 'process: {matchPaths: [{path: /a, allowedArgs: [x]}, {path: /a}]}', []],
  ['a terminal: each keeps something', 'file: {matchPaths: [{path: /a, pts: true}, {path: /a, pts: false, action: Audit}]}', []],
  ['sections do not meet', 'process: {matchPaths: [{path: /a}]}, file: {matchPaths: [{path: /a, action: Audit}]}', []],
]

for (const [what, spec, idle] of CASES) test(what, () => assert.deepEqual([...idleIn(spec)].sort(), [...idle].sort()))

/** Generated paths may be such as no kernel gives. */
function isCanonical(path: Uint8Array): boolean {
  const [before, ...components] = Buffer.from(path).toString('latin1').split('/')
  return before === '' && (components.join() === '' || components.every((component) => !['', '.', '..'].includes(component)))
}

test('a rule that is said never to decide decides no question, and to leave it out changes no answer', () => {
  let idle = 0
  fc.assert(
    fc.property(arbitraryCase(16, 40), ({ plan, questions }) => {
      const compiled = compile(plan)
      assert.ok(compiled.ok)
      const found = new Set(idleRules(plan, compiled.table).map(({ origin }) => origin))
      idle += found.size
      const without = { ...plan, clauses: plan.clauses.filter(({ origin }) => !found.has(origin)) }
      for (const question of questions) {
        const answer = evaluate(plan, question)
        if (!isCanonical(question.path)) continue
        assert.ok(!found.has(plan.clauses[answer.clause - 1]?.origin ?? plan.undecidable.file.origin))
        assert.equal(evaluate(without, question).verdict, answer.verdict)
      }
    }),
    { numRuns: 150, seed: 5 },
  )
  assert.ok(idle > 25, `${idle}: rules that never decide are common in what is generated`)
})
