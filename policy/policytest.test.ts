// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readPolicyTests, runPolicyTest, type Outcome } from './policytest.ts'
import { NOWHERE } from './postures.ts'
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
  const { policies, ...surroundings } = readManifests(MANIFESTS, 'p.yaml')
  return read.tests.map((each) => runPolicyTest(each, policies, surroundings))
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

test('a pod may be said to run on a node with labels, for network policies that ask for one', () => {
  const network = 'apiVersion: security.kubearmor.com/v1\nkind: KubeArmorNetworkPolicy\nmetadata: {name: net}\nspec: {selector: {}, nodeSelector: {matchLabels: {zone: a}}, egress: [{ports: [{port: ssh}]}]}\n'
  const { policies } = readManifests(network, 'p.yaml')
  const verdicts = ['{}', '{nodeLabels: {zone: a}}', '{nodeLabels: {zone: b}}'].map((workload) => {
    const [only] = readPolicyTests(`tests: [{egress: "10.0.0.1:22", expect: Allow, workload: ${workload}}]\n`, 't.yaml').tests
    return only && runPolicyTest(only, policies, NOWHERE).explanation.verdict
  })
  assert.deepEqual(verdicts, ['Allow', 'Block', 'Allow'])
})

const EVERYTHING = `apiVersion: security.kubearmor.com/v1
kind: KubeArmorPolicy
metadata: {name: all, namespace: shop}
spec:
  network: {matchProtocols: [{protocol: tcp}], matchDNSQueries: [{domain: evil.example.com}]}
  capabilities: {matchCapabilities: [{capability: net_raw, fromSource: [{path: /bin/ping}]}]}
  syscalls: {matchSyscalls: [{syscall: [unlink]}]}
  presets: [{name: filelessExec, action: Block}]
  process: {matchPaths: [{path: /usr/bin/python3, allowedArgs: ["-V"]}, {path: /usr/bin/login, pts: true}]}
---
apiVersion: security.kubearmor.com/v1
kind: KubeArmorHostPolicy
metadata: {name: usb}
spec:
  nodeSelector: {matchLabels: {kubernetes.io/hostname: node-1}}
  device: {matchDevice: [{class: MASS-STORAGE}]}
---
apiVersion: security.kubearmor.com/v1
kind: KubeArmorNetworkPolicy
metadata: {name: net}
spec:
  selector: {matchLabels: {app: web}}
  egress: [{to: [{ipBlock: {cidr: 10.0.0.0/8}}], ports: [{port: "80", endPort: 90, protocol: TCP}], action: Block}]
`

test('a test may be about any operation', () => {
  const { policies, findings } = readManifests(EVERYTHING, 'p.yaml')
  assert.deepEqual(findings.filter(({ severity }) => severity === 'error'), [])
  const read = readPolicyTests(`workload: {namespace: shop, labels: {app: web}}
tests:
- {network: tcp, expect: Block, rule: network protocol tcp}
- {network: inet6/dgram/udp, expect: Allow}
- {dns: www.evil.example.com, expect: Block}
- {dns: good.example.com, expect: Allow}
- {capability: CAP_NET_RAW, source: /bin/ping, expect: Block}
- {capability: net_raw, expect: Allow}
- {syscall: unlink /tmp/x, expect: Audit}
- {preset: filelessExec, expect: Block}
- {exec: /usr/bin/python3, args: [-V], expect: Allow, policy: all}
- {exec: /usr/bin/python3, args: [-c, x], expect: Block}
- {exec: /usr/bin/login, terminal: true, expect: Allow, policy: all}
- {exec: /usr/bin/login, expect: Block}
- {egress: "10.1.2.3:85", expect: Block, policy: net}
- {egress: "10.1.2.3:91", expect: Allow}
- {device: MASS-STORAGE, workload: {host: true, labels: {kubernetes.io/hostname: node-1}}, expect: Block, policy: usb}
`, 't.yaml')
  assert.deepEqual(read.findings, [])
  assert.deepEqual(read.tests.map((each) => runPolicyTest(each, policies, NOWHERE)).map(({ problem }, index) => `${read.tests[index]!.name}: ${problem}`).filter((line) => !line.endsWith(': ')), [])
  assert.equal(read.tests.length, 15)
})

test('what is no object of an operation is wrong, with how to write it', () => {
  const { findings } = readPolicyTests('tests:\n- {capability: net_rwa, expect: Block}\n- {network: tcp, dns: x, expect: Block}', 't.yaml')
  assert.deepEqual(findings.map(({ message }) => message), [
    '"net_rwa" is no object of capability: write a name, such as net_raw; did you mean net_raw?', 'a test is about one operation, and this is about network and dns',
  ])
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
