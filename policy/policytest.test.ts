// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readPolicyTests, runPolicyTest, type Outcome } from './policytest.ts'
import { readManifests } from './read.ts'

const MANIFESTS = `apiVersion: v1
kind: Namespace
metadata: {name: shop, annotations: {kubearmor-file-posture: block}}
---
apiVersion: security.kubearmor.com/v1
kind: KubeArmorPolicy
metadata: {name: p, namespace: shop}
spec:
  selector: {matchLabels: {app: web}}
  process: {matchPaths: [{path: /a, fromSource: [{path: /s}]}]}
  file: {matchPaths: [{path: /w, readOnly: true, action: Allow}]}
`

function outcomes(tests: string, head = 'workload: {namespace: shop, labels: {app: web}}'): readonly Outcome[] {
  const read = readPolicyTests(`${head}\ntests:\n${tests.replaceAll(/^/gm, '  - ')}\n`, 't.yaml')
  assert.deepEqual(read.findings, [])
  const { policies, namespaces } = readManifests(MANIFESTS, 'p.yaml')
  return read.tests.map((each) => runPolicyTest(each, policies, namespaces))
}

const problems = (tests: string, head?: string): readonly string[] => outcomes(tests, head).map(({ problem }) => problem)

test('a test has a workload, an operation, a verdict, and perhaps who gives it', () => {
  assert.deepEqual(problems(`{exec: /a, source: /s, expect: Block, policy: p, rule: process path /a from /s}
{exec: /a, source: /x, parent: /s, expect: Block}
{exec: /a, expect: Allow}
{open: /w, expect: Allow}
{open: /w, write: true, expect: Block, policy: DefaultPosture}
{open: /x, expect: Audit, posture: audit}
{open: /x, expect: Allow, workload: {namespace: shop, labels: {app: db}}}`), ['', '', '', '', '', '', ''])
})

test('what differs is said', () => {
  assert.deepEqual(problems('{exec: /a, expect: Block, policy: p}\n{open: /x, expect: Block, rule: file path /x}'), [
    'expected Block, and the verdict is Allow; expected the policy p to decide, and it is none',
    'expected the rule "file path /x" to decide, and it is "file default posture"',
  ])
})

test('a test without a name is called by its operation; posture and manifests of the file', () => {
  const { tests, manifests } = readPolicyTests('manifests: [a.yaml, ../b.yaml]\nposture: block\ntests: [{exec: /a, expect: Allow}, {name: second, open: /b, write: true, posture: audit, expect: Allow}]', 't.yaml')
  assert.deepEqual(manifests, ['a.yaml', '../b.yaml'])
  assert.deepEqual(tests.map(({ name, posture, question }) => [name, posture, question.operation]), [['exec /a', 'block', 'exec'], ['second', 'audit', 'write']])
})

test('what is wrong with a test file has its place', () => {
  const codes = (text: string): readonly string[] => readPolicyTests(text, 't.yaml').findings.map(({ code, position }) => `${position.line}:${position.column} ${code.replace('MERLON_POLICY_', '')}`)
  assert.deepEqual(codes('tests: [{exec: /a, expct: Block}]'), ['1:20 UNKNOWN_FIELD', '1:9 REQUIRED'])
  assert.deepEqual(codes('tests:\n- {exec: a, expect: Deny}'), ['2:10 BAD_FORMAT', '2:21 NOT_ALLOWED'])
  assert.deepEqual(codes('tests:\n- {expect: Allow}\n- {exec: /a, open: /a, expect: Allow}'), ['2:3 REQUIRED', '3:3 REQUIRED'])
  assert.deepEqual(codes('{}'), ['1:1 REQUIRED'])
  assert.deepEqual(codes('tests: ['), ['1:9 YAML_SYNTAX'])
})

test('one wrong test does not take the others with it', () => {
  assert.equal(readPolicyTests('tests: [{expect: Allow}, {exec: /a, expect: Allow}]', 't.yaml').tests.length, 1)
})
