// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { lint } from './lint.ts'
import { renderFinding, renderJson, renderText } from './render.ts'
import { finding } from './findings.ts'

const policy = (spec: string, name = 'p'): string => `apiVersion: security.kubearmor.com/v1\nkind: KubeArmorPolicy\nmetadata: {name: ${name}}\nspec: {${spec}}\n`
const pod = (labels: string): string => `apiVersion: v1\nkind: Pod\nmetadata: {name: web, labels: {${labels}}}\nspec: {containers: [{name: c}]}\n`
const codes = (...texts: readonly string[]): readonly string[] =>
  lint(texts.map((text, index) => ({ file: `${index}.yaml`, text }))).findings.map(({ code, position }) => `${position.file}:${position.line} ${code.replace('MERLON_POLICY_', '')}`)

test('a clean set: counts, and nothing to say', () => {
  const report = lint([{ file: 'a.yaml', text: policy('process: {matchPaths: [{path: /bin/ls}, {execname: nc}]}') }])
  assert.deepEqual(report, { files: 1, policies: 1, rules: 2, findings: [] })
  assert.equal(renderText(report, new Map()), '1 file, 1 policy, 2 rules: 0 errors, 0 warnings\n')
})

test('an Allow rule that turns its section into an allow-list is a warning, once for each section', () => {
  const rules = 'action: Allow, file: {matchPaths: [{path: /a}, {path: /b}]}, process: {matchPaths: [{path: /c}]}'
  assert.deepEqual(codes(policy(rules)), ['0.yaml:4 ALLOW_LIST', '0.yaml:4 ALLOW_LIST'])
  assert.deepEqual(codes(policy('file: {matchPaths: [{path: /a}]}')), [])
})

test('a rule that another one always beats is named, with the other’s place', () => {
  const rules = 'file: {matchPaths: [{path: /a, action: Audit}, {path: /a}, {path: /a, readOnly: true}], matchDirectories: [{dir: /a/}]}'
  const { findings } = lint([{ file: 'x.yaml', text: policy(rules) }])
  assert.deepEqual(findings.map(({ code, text, position, message }) => [code, text, position.column, message]), [
    ['MERLON_POLICY_SHADOWED_RULE', 'file path /a', 28, 'this rule never decides: a Block rule at x.yaml:4 names the same'],
  ])
})

test('two policies of one name, across files; the same name in another namespace is another policy', () => {
  const one = policy('file: {matchPaths: [{path: /a}]}')
  assert.deepEqual(codes(one, one), ['1.yaml:1 SAME_NAME'])
  assert.deepEqual(codes(one, one.replace('name: p', 'name: p, namespace: other')), [])
})

test('a selector that selects none of the pods given is a warning; without pods there is nothing to say', () => {
  const selecting = policy('selector: {matchLabels: {app: web}}, file: {matchPaths: [{path: /a}]}')
  assert.deepEqual(codes(selecting), [])
  assert.deepEqual(codes(selecting, pod('app: web')), [])
  assert.deepEqual(codes(selecting, pod('app: wbe')), ['0.yaml:1 SELECTS_NOTHING'])
})

test('findings come by file in the order given, then by place; refused policies are not counted', () => {
  const broken = policy('severity: 0, action: block')
  assert.deepEqual(codes(broken, policy('file: {matchPaths: [{pth: /a}]}')), [
    '0.yaml:4 OUT_OF_RANGE', '0.yaml:4 NOT_ALLOWED', '1.yaml:4 REQUIRED', '1.yaml:4 UNKNOWN_FIELD',
  ])
  assert.deepEqual([lint([{ file: 'x', text: broken }]).policies, lint([]).files], [0, 0])
})

test('text: the line, a caret under the offending part, and the hint', () => {
  const text = policy('file: {matchDirectories: [{dir: /a/, recurive: true}]}')
  const report = lint([{ file: 'x.yaml', text }])
  assert.equal(
    renderText(report, new Map([['x.yaml', text]])),
    `x.yaml:4:45: error: unknown field spec.file.matchDirectories[0].recurive [MERLON_POLICY_UNKNOWN_FIELD]
    4 | spec: {file: {matchDirectories: [{dir: /a/, recurive: true}]}}
      |                                             ^^^^^^^^ did you mean recursive?
1 file, 0 policies, 0 rules: 1 error, 0 warnings
`,
  )
})

test('text: long lines are cut around the caret, control characters are not passed on, and a missing file does no harm', () => {
  const at = (column: number, text: string) => finding('MERLON_POLICY_NO_RULES', { position: { file: 'x', line: 1, column }, text })
  const rendered = renderFinding(at(501, 'HERE'), `${'-'.repeat(500)}HERE${'-'.repeat(500)}`).split('\n')
  assert.equal(rendered[1]?.indexOf('HERE'), rendered[2]?.indexOf('^^^^'))
  assert.ok((rendered[1]?.length ?? 0) < 140)
  assert.ok(!renderFinding(at(1, 'a'), 'a\u001b[31mb').includes('\u001b'))
  assert.match(renderFinding(at(1, 'a')), /\n {2}hint: add rules/)
  assert.match(renderFinding({ ...at(1, 'a'), position: { file: 'api', line: 0, column: 0 } }, 'a'), /^api: warning: /)
})

test('json: the documented fields and no others', () => {
  const report = lint([{ file: 'x.yaml', text: policy('action: block') }])
  const parsed: unknown = JSON.parse(renderJson(report))
  assert.deepEqual(parsed, {
    files: 1, policies: 0, rules: 0,
    findings: [{ file: 'x.yaml', line: 4, column: 16, severity: 'error', code: 'MERLON_POLICY_NOT_ALLOWED', message: 'spec.action does not allow this value', hint: 'use one of Allow, Audit, Block' }],
  })
})
