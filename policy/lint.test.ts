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
  const rules = 'file: {matchPaths: [{path: /a, action: Audit}, {path: /a}, {path: /a, ownerOnly: true}, {path: /b}], matchDirectories: [{dir: /a/}]}'
  const { findings } = lint([{ file: 'x.yaml', text: policy(rules) }])
  const message = 'this rule never decides: the Block rule at x.yaml:4 goes before it'
  assert.deepEqual(findings.map(({ code, text, position, message: said }) => [code, text, position.column, said]), [
    ['MERLON_POLICY_SHADOWED_RULE', 'file path /a', 28, message],
    ['MERLON_POLICY_SHADOWED_RULE', 'file path /a ownerOnly', 67, message],
  ])
})

test('a beaten rule about no path is told once, whoever finds it', () => {
  const names = (rules: string): readonly string[] => lint([{ file: 'x.yaml', text: policy(rules) }]).findings.map(({ code, text }) => `${code.replace('MERLON_POLICY_', '')} ${text}`)
  assert.deepEqual(names('capabilities: {matchCapabilities: [{capability: net_raw, action: Audit}, {capability: net_raw}]}'), ['SHADOWED_RULE capabilities capability net_raw'])
  // Of a list each name is a rule of its own.
  assert.deepEqual(names('capabilities: {matchCapabilities: [{capability: "bpf,kill", action: Audit}, {capability: "bpf,kill"}]}'), [
    'SHADOWED_RULE capabilities capability bpf', 'SHADOWED_RULE capabilities capability kill',
  ])
})

test('a rule that several others cover is beaten, whatever they look like', () => {
  const { findings } = lint([{ file: 'x.yaml', text: policy('file: {matchPatterns: [{pattern: "/x[ab]", action: Audit}], matchPaths: [{path: /xa}, {path: /xb}]}') }])
  assert.deepEqual(findings.map(({ code, text }) => [code, text]), [['MERLON_POLICY_SHADOWED_RULE', 'file pattern /x[ab]']])
})

test('rules of two policies are held against each other where these select the same and the verdicts differ', () => {
  const one = (name: string, action: string, selector = 'app: web'): string => policy(`selector: {matchLabels: {${selector}}}, file: {matchPaths: [{path: /a, action: ${action}}]}`, name)
  const said = (...texts: readonly string[]): readonly string[] => codes(...texts).filter((code) => code.endsWith('SHADOWED_RULE'))
  assert.deepEqual(said(one('p', 'Audit'), one('q', 'Block')), ['0.yaml:4 SHADOWED_RULE'])
  assert.deepEqual(said(one('p', 'Block'), one('q', 'Block')), [])
  assert.deepEqual(said(one('p', 'Audit'), one('q', 'Block', 'app: db')), [])
})

test('a rule that no path can match is a warning, once, whoever finds it', () => {
  const rules = (pattern: string): string => policy(`file: {matchPatterns: [{pattern: ${JSON.stringify(pattern)}}]}`)
  assert.deepEqual(codes(rules('/a/[/]b')), ['0.yaml:4 RULE_NEVER_MATCHES'])
  assert.deepEqual(codes(rules('mysqld')), ['0.yaml:4 PATTERN_NEVER_MATCHES'])
})

test('patterns that cannot be compiled are an error here, before anything is enforced', () => {
  const bomb = `/**a${'?'.repeat(40)}b`
  assert.deepEqual(codes(policy(`file: {matchPatterns: [{pattern: "${bomb}"}]}`)), ['0.yaml:4 TOO_MANY_STATES'])
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

test('a pod whose node is not known may run where a network policy wants it', () => {
  const network = 'apiVersion: security.kubearmor.com/v1\nkind: KubeArmorNetworkPolicy\nmetadata: {name: net}\nspec: {selector: {matchLabels: {app: web}}, nodeSelector: {matchLabels: {zone: a}}, egress: [{ports: [{port: ssh}]}]}\n'
  const node = (zone: string): string => `apiVersion: v1\nkind: Node\nmetadata: {name: node-1, labels: {zone: ${zone}}}\n`
  const scheduled = pod('app: web').replace('containers', 'nodeName: node-1, containers')
  assert.deepEqual(codes(network, pod('app: web')), [])
  assert.deepEqual(codes(network, pod('app: wbe')), ['0.yaml:1 SELECTS_NOTHING'])
  assert.deepEqual(codes(network, scheduled, node('a')), [])
  assert.deepEqual(codes(network, scheduled, node('b')), ['0.yaml:1 SELECTS_NOTHING'])
})

test('Deployments and their like stand for the pods that they make', () => {
  const selecting = policy('selector: {matchLabels: {app: web}}, file: {matchPaths: [{path: /a}]}')
  const maker = (kind: string, labels: string): string => `apiVersion: ${kind.endsWith('Job') ? 'batch/v1' : 'apps/v1'}\nkind: ${kind}\nmetadata: {name: web}\nspec: `
    + (kind === 'CronJob' ? `{jobTemplate: {spec: {template: {metadata: {labels: {${labels}}}, spec: {containers: [{name: c}]}}}}}\n` : `{template: {metadata: {labels: {${labels}}}, spec: {containers: [{name: c}]}}}\n`)
  for (const kind of ['Deployment', 'StatefulSet', 'DaemonSet', 'ReplicaSet', 'Job', 'CronJob']) {
    assert.deepEqual(codes(selecting, maker(kind, 'app: web')), [], kind)
    assert.deepEqual(codes(selecting, maker(kind, 'app: wbe')), ['0.yaml:1 SELECTS_NOTHING'], kind)
  }
  assert.deepEqual(codes('apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\n'), ['0.yaml:2 UNKNOWN_KIND'])
})

test('a host policy is held against the nodes given', () => {
  const host = 'apiVersion: security.kubearmor.com/v1\nkind: KubeArmorHostPolicy\nmetadata: {name: h}\nspec: {nodeSelector: {matchLabels: {disk: ssd}}, file: {matchPaths: [{path: /a}]}}\n'
  const node = (labels: string): string => `apiVersion: v1\nkind: Node\nmetadata: {name: node-1, labels: {${labels}}}\n`
  assert.deepEqual(codes(host, pod('app: web')), [])
  assert.deepEqual(codes(host, node('disk: ssd')), [])
  assert.deepEqual(codes(host, node('disk: hdd')), ['0.yaml:1 SELECTS_NOTHING'])
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
