// SPDX-License-Identifier: Apache-2.0
// What KubeArmor's own test-suite expects of process and file rules, as policies of our own that reproduce the shapes. The numbers are those
// of the cases; what needs ptys or arguments waits for those features, and selection of pods is part of every case.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { evaluate } from './evaluate.ts'
import { makePlan } from './plan.ts'
import { readManifests } from './read.ts'
import { ask } from './testing.ts'
import { SECTIONS, type Answer, type ClauseOrigin, type Operation, type Plan, type Verdict, type Workload } from './types.ts'

const NAMESPACE = 'multiubuntu'

/** `ubuntu-1` to `ubuntu-3` are group-1, the others group-2. */
function pod(container: string, namespace = NAMESPACE): Workload {
  const group = ['ubuntu-1', 'ubuntu-2', 'ubuntu-3'].includes(container) ? 'group-1' : 'group-2'
  return { host: false, namespace, pod: `${container}-x`, container, labels: { group, container, 'pod-template-hash': '5' } }
}

function planOf(spec: string, workload: Workload, kind = 'KubeArmorPolicy'): Plan {
  const namespace = kind === 'KubeArmorPolicy' ? `, namespace: ${NAMESPACE}` : ''
  const manifest = `apiVersion: security.kubearmor.com/v1\nkind: ${kind}\nmetadata: {name: case${namespace}}\nspec:\n${spec.replaceAll(/^/gm, '  ')}`
  const { policies, findings } = readManifests(manifest, 'case.yaml')
  assert.deepEqual(findings, [])
  return makePlan(policies, workload, { filePosture: 'block' })
}

function originOf(plan: Plan, { clause }: Answer): ClauseOrigin | undefined {
  const { clauses, defaults, undecidable } = plan
  return [...clauses, ...SECTIONS.map((section) => defaults[section]), ...SECTIONS.map((section) => undecidable[section])][clause - 1]?.origin
}

type Step = readonly [operation: Operation, path: string, who: 'owner' | 'other', source: string, verdict: Verdict, attributed: 'case' | 'DefaultPosture' | undefined]

function check(name: string, spec: string, container: string, steps: readonly Step[]): void {
  test(name, () => {
    const plan = planOf(spec, pod(container))
    for (const [operation, path, who, source, verdict, attributed] of steps) {
      const answer = evaluate(plan, ask(operation, path, { owner: who === 'owner', sources: [source] }))
      assert.deepEqual([answer.verdict, originOf(plan, answer)?.policy], [verdict, attributed], `${operation} ${path} by ${who} from ${source}`)
    }
  })
}

const one = (container: string): string => `selector: {matchLabels: {container: ${container}}}`
const group = (name: string): string => `selector: {matchLabels: {group: ${name}}}`
const SECRET = '/home/user1/secret_data1.txt'

describe('processes', () => {
  for (const container of ['ubuntu-1', 'ubuntu-3']) {
    check(`K4 ${container}: a path, blocked`, `severity: 5\n${group('group-1')}\nprocess: {matchPaths: [{path: /bin/sleep}]}\naction: Block`, container, [
      ['exec', '/bin/sleep', 'owner', '/bin/bash', 'Block', 'case'],
      ['exec', '/bin/ls', 'owner', '/bin/bash', 'Allow', undefined],
    ])
  }
  check('K4: and not in the other group', `${group('group-1')}\nprocess: {matchPaths: [{path: /bin/sleep}]}`, 'ubuntu-4', [['exec', '/bin/sleep', 'owner', '/bin/bash', 'Allow', undefined]])
  check('K5: a path, audited', `${group('group-2')}\nprocess: {matchPaths: [{path: /bin/sleep}]}\naction: Audit`, 'ubuntu-4', [['exec', '/bin/sleep', 'owner', '/bin/bash', 'Audit', 'case']])
  check('K6: a directory', `${one('ubuntu-1')}\nprocess: {matchDirectories: [{dir: /sbin/}]}`, 'ubuntu-1', [
    ['exec', '/sbin/route', 'owner', '/bin/bash', 'Block', 'case'],
    ['exec', '/usr/sbin/route', 'owner', '/bin/bash', 'Block', 'case'],
    ['exec', '/sbin/a/route', 'owner', '/bin/bash', 'Allow', undefined],
  ])
  check('K7: a directory, recursive', `${one('ubuntu-1')}\nprocess: {matchDirectories: [{dir: /usr/, recursive: true}]}`, 'ubuntu-1', [['exec', '/usr/bin/whoami', 'owner', '/bin/bash', 'Block', 'case']])
  check('K8: a path from a source', `${group('group-1')}\nprocess: {matchPaths: [{path: /bin/ls, fromSource: [{path: /bin/dash}]}]}`, 'ubuntu-1', [
    ['exec', '/bin/ls', 'owner', '/bin/dash', 'Block', 'case'],
    ['exec', '/bin/ls', 'owner', '/bin/bash', 'Allow', undefined],
    ['exec', '/bin/pwd', 'owner', '/bin/dash', 'Allow', undefined],
    ['exec', '/bin/dash', 'owner', '/bin/bash', 'Allow', undefined],
  ])
  const base = `
file:
  matchPaths: [{path: /dev/tty}]
  matchDirectories: [{dir: /credentials/, recursive: true}, {dir: /bin/}, {dir: /, recursive: true, fromSource: [{path: /runc}]}]
action: Allow`
  check('K9: an allow-list of executables and files', `${one('ubuntu-3')}\nprocess: {matchDirectories: [{dir: /bin/, recursive: true}]}${base}`, 'ubuntu-3', [
    ['exec', '/bin/cat', 'owner', '/bin/bash', 'Allow', 'case'],
    ['read', '/etc/hostname', 'owner', '/bin/cat', 'Block', 'DefaultPosture'],
    ['read', '/etc/hostname', 'owner', '/runc', 'Allow', 'case'],
    ['read', '/credentials/password', 'owner', '/bin/cat', 'Allow', 'case'],
  ])
  check('K10: an owner’s executable in an allow-list', `${one('ubuntu-3')}\nprocess: {matchPaths: [{path: /home/user1/hello, ownerOnly: true}], matchDirectories: [{dir: /bin/, recursive: true}]}\naction: Allow`, 'ubuntu-3', [
    ['exec', '/home/user1/hello', 'other', '/bin/bash', 'Block', 'DefaultPosture'],
    ['exec', '/home/user1/hello', 'owner', '/bin/bash', 'Allow', 'case'],
  ])
  check('K11: an executable that its owner alone may run', `${one('ubuntu-3')}\nprocess: {matchPaths: [{path: /home/user1/hello, ownerOnly: true}]}\naction: Block`, 'ubuntu-3', [
    ['exec', '/home/user1/hello', 'other', '/bin/bash', 'Block', 'case'],
    ['exec', '/home/user1/hello', 'owner', '/bin/bash', 'Allow', 'case'],
  ])
  check('K12: a name', `${one('ubuntu-1')}\nprocess: {matchPaths: [{execname: apt}]}`, 'ubuntu-1', [['exec', '/usr/bin/apt', 'owner', '/bin/bash', 'Block', 'case']])
})

describe('selectors', () => {
  const selector = (...expressions: string[]): string => `selector: {matchExpressions: [${expressions.join(', ')}]}\nprocess: {matchPaths: [{execname: apt}]}`
  const [within, outside] = ['{key: label, operator: In, values: [container=ubuntu-1]}', '{key: label, operator: NotIn, values: [container=ubuntu-3]}']
  for (const [name, spec] of [['K13', selector(within, outside)], ['K13, expressions the other way round', selector(outside, within)]] as const) {
    check(`${name}: ubuntu-1`, spec, 'ubuntu-1', [['exec', '/usr/bin/apt', 'owner', '/bin/bash', 'Block', 'case']])
    check(`${name}: ubuntu-3`, spec, 'ubuntu-3', [['exec', '/usr/bin/apt', 'owner', '/bin/bash', 'Allow', undefined]])
    check(`${name}: ubuntu-2`, spec, 'ubuntu-2', [['exec', '/usr/bin/apt', 'owner', '/bin/bash', 'Allow', undefined]])
  }
  const notOne = selector('{key: label, operator: NotIn, values: [container=ubuntu-1]}')
  check('K14: ubuntu-1', notOne, 'ubuntu-1', [['exec', '/usr/bin/apt', 'owner', '/bin/bash', 'Allow', undefined]])
  check('K14: ubuntu-3', notOne, 'ubuntu-3', [['exec', '/usr/bin/apt', 'owner', '/bin/bash', 'Block', 'case']])

  test('X1-X4: the container restriction', () => {
    const blocked = (value: string): readonly Verdict[] => {
      const spec = `selector: {matchLabels: {app: two, kubearmor.io/container.name: "${value}"}}\nprocess: {matchPaths: [{path: /bin/ls}]}`
      const plans = ['container-1', 'container-2'].map((container) => planOf(spec, { ...pod(container), labels: { app: 'two' } }))
      return plans.map((plan) => evaluate(plan, ask('exec', '/bin/ls')).verdict)
    }
    assert.deepEqual(blocked('[container-1]'), ['Block', 'Allow'])
    assert.deepEqual(blocked('[]'), ['Block', 'Block'])
    assert.deepEqual(blocked(''), ['Block', 'Block'])
    assert.deepEqual(blocked('[container-1,,]'), ['Block', 'Allow'])
  })

  test('C1-C6: cluster policies', () => {
    const expression = (key: string, operator: string, values: string): string => `{key: ${key}, operator: ${operator}, values: [${values}]}`
    const blocked = (expressions: string, rules = 'process: {matchPaths: [{path: /usr/bin/apt}]}'): string => {
      const spec = `selector: {matchExpressions: [${expressions}]}\n${rules}\naction: Block`
      const names = [['nginx1', 'nginx'], ['nginx1', 'debian-app'], ['nginx2', 'nginx'], ['nginx-later', 'nginx']] as const
      const verdicts = names.map(([namespace, app]) => evaluate(planOf(spec, { ...pod('x', namespace), labels: { app } }, 'KubeArmorClusterPolicy'), ask('exec', '/usr/bin/apt')).verdict)
      return verdicts.map((verdict) => verdict.charAt(0)).join('')
    }
    assert.equal(blocked(expression('namespace', 'In', 'nginx1, nginx-later')), 'BBAB')
    assert.equal(blocked(expression('namespace', 'NotIn', 'nginx1')), 'AABB')
    assert.equal(blocked(`${expression('namespace', 'In', 'nginx1')}, ${expression('label', 'In', 'app=nginx, app=nginx-dev')}`), 'BAAA')
    assert.equal(blocked(`${expression('namespace', 'NotIn', 'nginx2')}, ${expression('label', 'NotIn', 'app=nginx')}`), 'ABAA')
  })
})

describe('files', () => {
  const fromCat = 'fromSource: [{path: /bin/cat}]'
  check('K18: an allow-list with a source', `${group('group-2')}\nfile: {matchPaths: [{path: /secret.txt, ${fromCat}}], matchDirectories: [{dir: /bin/}]}\naction: Allow`, 'ubuntu-4', [
    ['read', '/etc/hostname', 'owner', '/bin/cat', 'Block', 'DefaultPosture'],
    ['read', '/secret.txt', 'owner', '/bin/cat', 'Allow', 'case'],
    ['read', '/secret.txt', 'owner', '/bin/head', 'Block', 'DefaultPosture'],
  ])
  check('K19: a directory, recursive', `${one('ubuntu-4')}\nfile: {matchDirectories: [{dir: /credentials/, recursive: true}]}`, 'ubuntu-4', [['read', '/credentials/password', 'owner', '/bin/cat', 'Block', 'case']])
  check('K20: audited from a source', `${group('group-2')}\nfile: {matchPaths: [{path: /secret.txt, ${fromCat}}]}\naction: Audit`, 'ubuntu-4', [['read', '/secret.txt', 'owner', '/bin/cat', 'Audit', 'case']])
  check('K21: a directory, audited', `${one('ubuntu-1')}\nfile: {matchDirectories: [{dir: /credentials/, recursive: true}]}\naction: Audit`, 'ubuntu-1', [
    ['read', '/credentials/password', 'owner', '/bin/cat', 'Audit', 'case'],
    ['read', '/credentials/keys/priv.key', 'owner', '/bin/cat', 'Audit', 'case'],
  ])
  check('K22: blocked from a source', `${group('group-2')}\nfile: {matchPaths: [{path: /secret.txt, ${fromCat}}]}`, 'ubuntu-4', [['read', '/secret.txt', 'owner', '/usr/bin/cat', 'Block', 'case']])
  const owned = `{path: ${SECRET}, ownerOnly: true, ${fromCat}}`
  for (const [name, action, verdict, attributed] of [['K23', 'Allow', 'Block', 'DefaultPosture'], ['K24', 'Audit', 'Audit', 'case'], ['K26', 'Block', 'Block', 'case']] as const) {
    check(`${name}: ${action} ownerOnly from a source`, `${group('group-2')}\nfile: {matchPaths: [${owned}]}\naction: ${action}`, 'ubuntu-4', [
      ['read', SECRET, 'other', '/bin/cat', verdict, attributed],
      ['read', SECRET, 'owner', '/bin/cat', 'Allow', 'case'],
    ])
  }
  check('K25: Audit for all but the owner’s reads', `${one('ubuntu-1')}\nfile: {matchDirectories: [{dir: /home/user1/, ownerOnly: true, readOnly: true}]}\naction: Audit`, 'ubuntu-1', [
    ['write', '/home/user1/new1', 'other', '/usr/bin/touch', 'Audit', 'case'],
    ['read', SECRET, 'owner', '/bin/cat', 'Allow', 'case'],
  ])
  const ownersReads = (path: string): readonly Step[] => [
    ['read', path, 'other', '/bin/cat', 'Block', 'case'],
    ['read', path, 'owner', '/bin/cat', 'Allow', 'case'],
    ['write', path, 'other', '/bin/bash', 'Block', 'case'],
    ['write', path, 'owner', '/bin/bash', 'Block', 'case'],
  ]
  const flags = 'ownerOnly: true, readOnly: true'
  check('K27: a pattern', `${one('ubuntu-1')}\nfile: {matchPatterns: [{pattern: /home/user1/secret_data*, ${flags}}]}`, 'ubuntu-1', ownersReads(SECRET))
  check('K28: a directory, recursive', `${one('ubuntu-3')}\nfile: {matchDirectories: [{dir: /home/user1/, recursive: true, ${flags}}]}`, 'ubuntu-3', [...ownersReads(SECRET), ...ownersReads('/home/user1/dir1/key1.txt')])
  check('K29: a directory', `${one('ubuntu-3')}\nfile: {matchDirectories: [{dir: /home/user1/, ${flags}}]}`, 'ubuntu-3', [...ownersReads(SECRET), ['read', '/home/user1/dir1/key1.txt', 'other', '/bin/cat', 'Allow', undefined]])
  check('K31: a path', `${one('ubuntu-4')}\nfile: {matchPaths: [{path: ${SECRET}, ${flags}}]}`, 'ubuntu-4', ownersReads(SECRET))
  const readwrite = 'fromSource: [{path: /home/user1/readwrite}]'
  check('K30: Allow of the owner’s reads from a source', `${one('ubuntu-4')}\nfile: {matchPaths: [{path: ${SECRET}, ${flags}, ${readwrite}}]}\naction: Allow`, 'ubuntu-4', [
    ['read', SECRET, 'other', '/home/user1/readwrite', 'Block', 'DefaultPosture'],
    ['write', SECRET, 'other', '/home/user1/readwrite', 'Block', 'DefaultPosture'],
    ['read', SECRET, 'owner', '/home/user1/readwrite', 'Allow', 'case'],
  ])
  check('K32: a path from a source', `${one('ubuntu-4')}\nfile: {matchPaths: [{path: ${SECRET}, ${flags}, ${readwrite}}]}`, 'ubuntu-4', [
    ['write', SECRET, 'owner', '/home/user1/readwrite', 'Block', 'case'],
    ['write', SECRET, 'other', '/home/user1/readwrite', 'Block', 'case'],
    ['read', SECRET, 'owner', '/bin/cat', 'Allow', undefined],
  ])
  check('K33: Allow of the owner’s reads', `${one('ubuntu-4')}\nfile: {matchPaths: [{path: ${SECRET}, ${flags}}]}\naction: Allow`, 'ubuntu-4', [
    ['read', SECRET, 'other', '/bin/cat', 'Block', 'DefaultPosture'],
    ['read', SECRET, 'owner', '/bin/cat', 'Allow', 'case'],
    ['read', '/home/user1/otherfile.txt', 'owner', '/bin/cat', 'Block', 'DefaultPosture'],
  ])
  check('K34: Allow for the owner', `${one('ubuntu-3')}\nfile: {matchPaths: [{path: ${SECRET}, ownerOnly: true}]}\naction: Allow`, 'ubuntu-3', [
    ['read', SECRET, 'other', '/bin/cat', 'Block', 'DefaultPosture'],
    ['read', SECRET, 'owner', '/bin/cat', 'Allow', 'case'],
    ['write', SECRET, 'owner', '/bin/bash', 'Allow', 'case'],
  ])
  const reads = 'path: /credentials/password, readOnly: true'
  const fromReadwrite = 'fromSource: [{path: /readwrite}]'
  check('K35: Block readOnly from a source', `${one('ubuntu-4')}\nfile: {matchPaths: [{${reads}, ${fromReadwrite}}]}`, 'ubuntu-4', [
    ['read', '/credentials/password', 'owner', '/readwrite', 'Allow', 'case'],
    ['write', '/credentials/password', 'owner', '/readwrite', 'Block', 'case'],
    ['read', '/secret.txt', 'owner', '/readwrite', 'Allow', undefined],
  ])
  check('K36: Allow readOnly from a source', `${one('ubuntu-4')}\nfile: {matchPaths: [{${reads}, ${fromReadwrite}}]}\naction: Allow`, 'ubuntu-4', [
    ['read', '/credentials/password', 'owner', '/readwrite', 'Allow', 'case'],
    ['write', '/credentials/password', 'owner', '/readwrite', 'Block', 'DefaultPosture'],
    ['read', '/secret.txt', 'owner', '/readwrite', 'Block', 'DefaultPosture'],
  ])
  for (const [name, action, attributed] of [['K37', 'Block', 'case'], ['K42', 'Allow', 'DefaultPosture']] as const) {
    check(`${name}: ${action} readOnly`, `${one('ubuntu-4')}\nfile: {matchPaths: [{${reads}}]}\naction: ${action}`, 'ubuntu-4', [
      ['write', '/credentials/password', 'owner', '/bin/bash', 'Block', attributed],
      ['read', '/credentials/password', 'owner', '/bin/cat', 'Allow', 'case'],
    ])
  }
  check('K38: Audit of writes', `${one('ubuntu-4')}\nfile: {matchDirectories: [{dir: /dev/shm/, readOnly: true}]}\naction: Audit`, 'ubuntu-4', [
    ['write', '/dev/shm/new', 'owner', '/usr/bin/touch', 'Audit', 'case'],
    ['read', '/dev/shm/new', 'owner', '/bin/cat', 'Allow', 'case'],
  ])
  check('K39: a pattern, which KubeArmor leaves to AppArmor', `${one('ubuntu-1')}\nfile: {matchPatterns: [{pattern: "/etc/*hado?"}]}`, 'ubuntu-1', [
    ['read', '/etc/shadow', 'owner', '/bin/cat', 'Block', 'case'],
    ['read', '/etc/gshadow', 'owner', '/bin/cat', 'Block', 'case'],
  ])
  check('K40: a directory behind a link', `${one('ubuntu-1')}\nfile: {matchDirectories: [{dir: /var/run/secrets/kubernetes.io/serviceaccount/, recursive: true}]}`, 'ubuntu-1', [
    ['read', '/run/secrets/kubernetes.io/serviceaccount/..data/token', 'owner', '/bin/cat', 'Block', 'case'],
  ])
  check('the lenient allow-list of the wordpress case: a source goes before a directory', `${one('ubuntu-1')}\nfile:\n  matchDirectories: [{dir: /run/secrets/, recursive: true, action: Block}, {dir: /, recursive: true}, {dir: /run/secrets/, recursive: true, ${fromCat}}]\naction: Allow`, 'ubuntu-1', [
    ['read', '/run/secrets/token', 'owner', '/bin/cat', 'Allow', 'case'],
    ['read', '/run/secrets/token', 'owner', '/usr/bin/head', 'Block', 'case'],
    ['read', '/etc/passwd', 'owner', '/usr/bin/head', 'Allow', 'case'],
  ])
})
