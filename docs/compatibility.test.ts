// SPDX-License-Identifier: Apache-2.0
// Every test that docs/compatibility.md names exists; and the differences that no other test pins.
import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { compile } from '../policy/compile.ts'
import { domainKey, flowKey, networkKey, syscallKey } from '../policy/keys.ts'
import { openTable } from '../policy/lookup.ts'
import { makePlan } from '../policy/plan.ts'
import { readManifests } from '../policy/read.ts'
import { SYSCALL_NUMBERS } from '../policy/syscalls.ts'
import { ask, policy, rule, WORKLOAD } from '../policy/testing.ts'
import type { Operation, Policy, Question, Rule, Verdict, Workload } from '../policy/types.ts'

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

/* ---- From the text of a spec to what its table says ---- */

const HOST: Workload = { host: true, namespace: '', pod: '', container: '', labels: { 'kubernetes.io/hostname': 'n1' } }

/** Of a policy for every container of WORKLOAD's namespace, or of a kind and selector of its own. */
function saidOf(spec: string, questions: readonly Question[], { kind = 'KubeArmorPolicy', workload = WORKLOAD }: { readonly kind?: string; readonly workload?: Workload } = {}): readonly Verdict[] {
  const scope = kind === 'KubeArmorPolicy' ? `, namespace: ${WORKLOAD.namespace}` : ''
  const { policies, findings } = readManifests(`apiVersion: security.kubearmor.com/v1\nkind: ${kind}\nmetadata: {name: p${scope}}\nspec: ${spec}\n`, 'p.yaml')
  assert.deepEqual(findings.filter(({ severity }) => severity === 'error'), [])
  const compiled = compile(makePlan(policies, workload, { filePosture: 'audit' }))
  assert.ok(compiled.ok)
  const table = openTable(compiled.table)
  return questions.map((question) => table.decide(question).verdict)
}

const about = (operation: Operation, key: Uint8Array, parts: Partial<Question> = {}): Question => ({ operation, owner: true, path: key, sources: [], ...parts })
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)

test('a domain is asked for by the suffixes that a pod\'s resolver appends, in any case, and by no others', () => {
  const names = ['example.com', 'www.EXAMPLE.com', 'example.com.cluster.local', 'a.example.com.svc.cluster.local', 'example.com.shop.svc.cluster.local', 'example.com.domain.name', 'example.com.other.svc.cluster.local', 'notexample.com']
  const asked = names.map((name) => about('dns', domainKey(name)))
  const spec = '{network: {matchDNSQueries: [{domain: Example.com.}]}, action: Block}'
  assert.deepEqual(saidOf(spec, asked), ['Block', 'Block', 'Block', 'Block', 'Block', 'Allow', 'Allow', 'Allow'])
  const onHosts = '{nodeSelector: {matchLabels: {kubernetes.io/hostname: n1}}, network: {matchDNSQueries: [{domain: Example.com, fromSource: [{path: /c}]}]}, action: Block}'
  const fromC = asked.map((question) => ({ ...question, sources: [bytes('/c')] }))
  assert.deepEqual(saidOf(onHosts, fromC, { kind: 'KubeArmorHostPolicy', workload: HOST }), ['Block', 'Block', 'Allow', 'Allow', 'Allow', 'Allow', 'Allow', 'Allow'])
})

test('tcp is a socket of the internet, and none of unix; sequenced packets of unix are no sctp', () => {
  const [tcp, unix, packets] = [{ family: 10, type: 1, protocol: 6 }, { family: 1, type: 1, protocol: 0 }, { family: 1, type: 5, protocol: 0 }].map((socket) => about('network', networkKey(socket)))
  assert.deepEqual(saidOf('{network: {matchProtocols: [{protocol: tcp}, {protocol: sctp}]}, action: Block}', [tcp!, unix!, packets!]), ['Block', 'Allow', 'Allow'])
})

test('pts says who is permitted, for Allow as for Block: false those without a terminal, true those with one', () => {
  const questions = [false, true].map((tty): Question => ({ ...ask('exec', '/a'), tty }))
  const said = (pts: string, action: string): readonly Verdict[] => saidOf(`{process: {matchPaths: [{path: /a${pts}}]}, action: ${action}}`, questions)
  assert.deepEqual([said('', 'Block'), said(', pts: false', 'Block'), said(', pts: true', 'Block')], [['Block', 'Block'], ['Allow', 'Block'], ['Block', 'Allow']])
  assert.deepEqual([said(', pts: false', 'Allow'), said(', pts: true', 'Allow')], [['Allow', 'Audit'], ['Audit', 'Allow']])
})

test('allowed arguments restrict an Allow rule too, whatever argv[0] says; arguments that are not known are not allowed', () => {
  const questions = [['x', '-l'], ['x'], ['x', '-l', '-r'], undefined].map((args): Question => ({ ...ask('exec', '/a'), ...(args === undefined ? {} : { args: args.map(bytes) }) }))
  const said = (action: string): readonly Verdict[] => saidOf(`{process: {matchPaths: [{path: /a, allowedArgs: ["-l"]}]}, action: ${action}}`, questions)
  assert.deepEqual([said('Block'), said('Allow')], [['Allow', 'Allow', 'Block', 'Block'], ['Allow', 'Allow', 'Audit', 'Audit']])
})

test('any system call can be asked for, and of two rules the one with a path decides', () => {
  const questions = [['openat', '/etc/x'], ['openat', '/tmp/x'], ['kill', '']].map(([call, path]) => about('syscall', syscallKey(SYSCALL_NUMBERS.get(call!)!, bytes(path!))))
  assert.deepEqual(saidOf('{syscalls: {matchSyscalls: [{syscall: [kill]}], matchPaths: [{path: /etc/, syscall: [openat]}]}, action: Block}', questions), ['Audit', 'Allow', 'Audit'])
})

test('a network of IPv4 says nothing about IPv6', () => {
  const flow = (address: readonly number[]): Question => about('egress', flowKey('egress', { transport: 6, port: 443, address: Uint8Array.from(address), iface: 'eth0' }))
  const six = flow([0x20, 1, 0xd, 0xb8, ...Array.from({ length: 12 }, () => 0)])
  const spec = '{nodeSelector: {matchLabels: {kubernetes.io/hostname: "*"}}, egress: [{to: [{ipBlock: {cidr: 10.0.0.0/8}}]}], action: Block}'
  assert.deepEqual(saidOf(spec, [flow([10, 1, 2, 3]), flow([11, 1, 2, 3]), six], { kind: 'KubeArmorNetworkPolicy', workload: HOST }), ['Block', 'Allow', 'Allow'])
})
