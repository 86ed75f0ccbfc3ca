// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { captured, scratch } from './testing.ts'

const MANIFESTS = `apiVersion: v1
kind: Namespace
metadata: {name: shop, annotations: {kubearmor-file-posture: block}}
---
apiVersion: security.kubearmor.com/v1
kind: KubeArmorPolicy
metadata: {name: web, namespace: shop}
spec:
  selector: {matchLabels: {app: web}}
  process:
    matchPaths:
      - {path: /usr/bin/ls}
      - {path: /bin/ps, fromSource: [{path: /bin/sh}]}
    matchDirectories:
      - {dir: /usr/, recursive: true, action: Allow}
  file:
    matchPaths:
      - {path: /etc/passwd, ownerOnly: true}
---
apiVersion: security.kubearmor.com/v1
kind: KubeArmorHostPolicy
metadata: {name: host}
spec:
  nodeSelector: {matchLabels: {kubernetes.io/hostname: node-1}}
  file: {matchPaths: [{path: /etc/shadow}], action: Audit}
`

const WEB = ['-n', 'shop', '--labels', 'app=web,tier=front'] as const

async function why(context: TestContext, args: readonly string[], text = MANIFESTS): Promise<{ code: number; stdout: string; stderr: string }> {
  const file = join(await scratch(context), 'm.yaml')
  await writeFile(file, text)
  const { code, stdout, stderr } = await captured(['why', '-f', file, ...args])
  return { code, stdout: stdout.replaceAll(file, 'm.yaml'), stderr: stderr.replaceAll(file, 'm.yaml') }
}

interface Json {
  readonly verdict: string
  readonly policy: string
  readonly rule: string
  readonly line: number
  readonly lost: readonly { readonly line: number; readonly verdict: string; readonly reason: string }[]
  readonly notes: readonly string[]
}

async function json(context: TestContext, args: readonly string[], text = MANIFESTS): Promise<Json> {
  return JSON.parse((await why(context, [...args, '-o', 'json'], text)).stdout) as Json
}

test('text: verdict, rule with its place and line, what lost, the default, what would change', async (context) => {
  const { code, stdout } = await why(context, [...WEB, '--operation', 'exec', '--resource', '/usr/bin/ls'])
  assert.equal(code, 0)
  assert.equal(stdout, `Block: this Block rule matches; another rule matches too, and loses
  m.yaml:12:9 process path /usr/bin/ls, in KubeArmorPolicy shop/web
     12 |       - {path: /usr/bin/ls}

Matched too, and lost:
  Allow m.yaml:15:9 process directory /usr/ recursive, in KubeArmorPolicy shop/web: an exact path goes before a directory

Default: Block: the process section is in allow-list mode because of the Allow rule at m.yaml:15 (process directory /usr/ recursive): the default posture is block
To change it:
  without this rule the verdict would be Allow, by the Allow rule at m.yaml:15 (process directory /usr/ recursive)
Policies that select this workload: 1
`)
})

test('json has the documented fields', async (context) => {
  const found = await json(context, [...WEB, '--operation', 'exec', '--resource', '/usr/bin/ls'])
  assert.deepEqual(Object.keys(found).slice(0, 7), ['verdict', 'policy', 'rule', 'file', 'line', 'reason', 'lost'])
  assert.deepEqual([found.verdict, found.policy, found.rule, found.line], ['Block', 'web', 'process path /usr/bin/ls', 12])
  assert.deepEqual(found.lost.map(({ line, verdict }) => [line, verdict]), [[15, 'Allow']])
})

test('source or parent, owner, writing, posture and host all count', async (context) => {
  const exec = [...WEB, '--operation', 'exec', '--resource', '/bin/ps'] as const
  const open = [...WEB, '--operation', 'open', '--resource', '/etc/passwd'] as const
  const host = ['--host', '--operation', 'open', '--resource', '/etc/shadow', '--labels'] as const
  const cases: readonly (readonly [readonly string[], string, number])[] = [
    [[...exec, '--source', '/bin/sh'], 'Block', 13],
    [[...exec, '--source', '/bin/dash', '--parent', '/usr/bin/sh'], 'Block', 13],
    [[...exec, '--source', '/bin/dash'], 'Block', 0],
    [[...exec, '--posture', 'audit'], 'Audit', 0],
    [[...open], 'Allow', 18],
    [[...open, '--not-owner', '--write'], 'Block', 18],
    [[...host, 'kubernetes.io/hostname=node-1'], 'Audit', 25],
    [[...host, 'kubernetes.io/hostname=node-2'], 'Allow', 0],
  ]
  for (const [args, verdict, line] of cases) {
    const found = await json(context, args)
    assert.deepEqual([found.verdict, found.line], [verdict, line], args.join(' '))
  }
})

test('a note says what the kernel sees where a directory is a link, and when fromSource was not asked about', async (context) => {
  const linked = await json(context, [...WEB, '--operation', 'exec', '--resource', '/bin/less'])
  assert.deepEqual(linked.notes, ['where the directory is a link, as on most images, the kernel sees /usr/bin/less, and the verdict is Allow'])
  assert.match((await why(context, [...WEB, '--operation', 'exec', '--resource', '/usr/bin/ps'])).stdout, /^Note: no --source is given/m)
})

test('what cannot be asked is refused', async (context) => {
  const cases: readonly (readonly [readonly string[], RegExp])[] = [
    [[], /Say with --operation/],
    [['--operation', 'open'], /Name with --resource/],
    [['--operation', 'jump', '--resource', '/a'], /use exec, open/],
    [['--operation', 'connect', '--resource', '/a'], /"\/a" is no object of network: write tcp, udp/],
    [['--operation', 'capability', '--resource', 'fly'], /"fly" is no object of capability/],
    [['--operation', 'egress', '--resource', 'tcp/10.0.0.1'], /is no object of egress: write ADDRESS/],
    [['--operation', 'open', '--resource', '/a', '--arg', 'x'], /only exec has arguments/],
    [['--operation', 'exec', '--resource', '/a', '--link', 'a=b'], /LINK=TARGET/],
    [['--operation', 'open', '--resource', 'a'], /"a" is no object of read: write an absolute path/],
    [['--operation', 'exec', '--resource', '/a', '--write'], /only open may be for writing/],
    [['--operation', 'open', '--resource', '/a', '--parent', '/b'], /only exec has a parent/],
    [['--operation', 'open', '--resource', '/a', '--labels', 'app'], /key=value/],
    [['--operation', 'open', '--resource', '/a', '--host', '-n', 'shop'], /A host has no --namespace/],
  ]
  for (const [args, message] of cases) {
    const { code, stdout, stderr } = await why(context, args)
    assert.deepEqual([code, stdout], [2, ''], args.join(' '))
    assert.match(stderr, message)
  }
})

const KINDS = `apiVersion: security.kubearmor.com/v1
kind: KubeArmorPolicy
metadata: {name: kinds, namespace: shop}
spec:
  action: Block
  process:
    matchPaths:
    - {path: /bin/sh, pts: false}
    - {path: /usr/bin/tar, allowedArgs: [-t]}
  network:
    matchProtocols: [{protocol: raw}, {protocol: tcp, fromSource: [{path: /usr/bin/curl}], action: Allow}]
    matchDNSQueries: [{domain: a.example}]
  capabilities: {matchCapabilities: [{capability: net_admin}]}
  syscalls: {matchPaths: [{path: /etc/, recursive: true, syscall: [unlink]}]}
  presets: [{name: exec}]
`

test('every kind of rule answers', async (context) => {
  const asked = async (...args: readonly string[]): Promise<unknown> => {
    const found = await json(context, ['-n', 'shop', ...args], KINDS)
    return [found.verdict, found.rule]
  }
  const exec = ['--operation', 'exec', '--resource'] as const
  assert.deepEqual(await asked(...exec, '/bin/sh', '--tty'), ['Block', 'process path /bin/sh pts false'])
  assert.deepEqual(await asked(...exec, '/bin/sh'), ['Allow', 'process path /bin/sh pts false'])
  assert.deepEqual(await asked(...exec, '/bin/busybox', '--invoked', 'sh', '--tty', '--link', '/bin/sh=/bin/busybox', '--multicall', '/bin/busybox'), ['Block', 'process path /bin/sh pts false'])
  assert.deepEqual(await asked(...exec, '/usr/bin/tar', '--arg=-t'), ['Allow', 'process path /usr/bin/tar allowedArgs -t'])
  assert.deepEqual(await asked(...exec, '/usr/bin/tar', '--arg=-x'), ['Block', 'process path /usr/bin/tar allowedArgs -t'])
  assert.deepEqual(await asked('--operation', 'connect', '--resource', 'tcp', '--source', '/usr/bin/curl'), ['Allow', 'network protocol tcp from /usr/bin/curl'])
  assert.deepEqual(await asked('--operation', 'connect', '--resource', 'tcp', '--posture', 'block'), ['Block', 'network default posture'])
  assert.deepEqual(await asked('--operation', 'socket', '--resource', '17/3/768'), ['Block', 'network protocol raw'])
  assert.deepEqual(await asked('--operation', 'socket', '--resource', 'unix'), ['Allow', 'network local sockets'])
  assert.deepEqual(await asked('--operation', 'dns', '--resource', 'WWW.a.example.'), ['Block', 'dns domain a.example'])
  assert.deepEqual(await asked('--operation', 'capability', '--resource', 'CAP_NET_ADMIN'), ['Block', 'capabilities capability net_admin'])
  assert.deepEqual(await asked('--operation', 'syscall', '--resource', 'unlink /etc/x/y'), ['Audit', 'syscalls syscall unlink directory /etc/ recursive'])
  assert.deepEqual(await asked('--operation', 'preset', '--resource', 'exec'), ['Block', 'preset preset exec'])
  assert.deepEqual(await asked('--operation', 'unlink', '--resource', '/etc/x'), ['Allow', ''])
  const unknown = await json(context, ['-n', 'shop', ...exec, '/usr/bin/tar'], KINDS)
  assert.deepEqual([unknown.verdict, unknown.notes], ['Block', ['no --arg is given, so no list of allowedArgs counts as satisfied']])
})

test('the settings of KubeArmor among the files give the posture where the namespace does not, and the namespaces without policies', async (context) => {
  const settings = `---\napiVersion: v1\nkind: ConfigMap\nmetadata: {name: kubearmor-config, namespace: kubearmor}\ndata: {defaultNetworkPosture: block, untrackedNs: "bank"}\n`
  const tcp = ['--operation', 'connect', '--resource', 'udp'] as const
  assert.deepEqual((await json(context, ['-n', 'shop', ...tcp], KINDS)).verdict, 'Audit')
  assert.deepEqual((await json(context, ['-n', 'shop', ...tcp], KINDS + settings)).verdict, 'Block')
  assert.deepEqual((await json(context, ['-n', 'shop', ...tcp, '--posture', 'audit'], KINDS + settings)).verdict, 'Audit')
  const bank = KINDS.replace('namespace: shop', 'namespace: bank')
  assert.deepEqual((await json(context, ['-n', 'bank', ...tcp], bank + settings)).verdict, 'Allow')
})

test('refused policies are said, and the others answered for', async (context) => {
  const broken = MANIFESTS.replace('recursive: true', 'recurive: true')
  const { code, stdout, stderr } = await why(context, [...WEB, '--operation', 'exec', '--resource', '/usr/bin/ls'], broken)
  assert.equal(code, 1)
  assert.match(stderr, /m\.yaml:15:22: error: .*MERLON_POLICY_UNKNOWN_FIELD[^]*Policies with errors are refused/)
  assert.match(stdout, /^Allow: no policy selects this workload$/m)
})

test('what manifests hold cannot act on the terminal', async (context) => {
  const { stdout } = await why(context, [...WEB, '--operation', 'open', '--resource', '/x\u001b[2J'])
  assert.ok(!stdout.includes('\u001b'))
})

test('an executable is what the kernel sees too: where its directory is a link, a note says what it is there', async (context) => {
  const text = MANIFESTS.replace('path: /bin/sh', 'path: /usr/bin/sh')
  const notes = async (...args: readonly string[]): Promise<unknown> => (JSON.parse((await why(context, [...WEB, '--operation', 'exec', '-o', 'json', ...args], text)).stdout) as { notes: unknown }).notes
  const said = (paths: string): unknown => [`where the directory is a link, as on most images, the kernel sees ${paths}, and the verdict is Block`]
  assert.deepEqual(await notes('--resource', '/usr/bin/ps', '--source', '/bin/sh'), said('/usr/bin/sh'))
  assert.deepEqual(await notes('--resource', '/usr/bin/ps', '--source', '/x', '--parent', '/bin/sh'), said('/usr/bin/sh'))
  assert.deepEqual(await notes('--resource', '/bin/ps', '--source', '/bin/sh', '--posture', 'audit'), said('/usr/bin/ps and /usr/bin/sh'))
  assert.deepEqual(await notes('--resource', '/usr/bin/ps', '--source', '/usr/bin/sh'), [])
})

test('an exec can be said to have no arguments; links and their targets are absolute', async (context) => {
  const text = MANIFESTS.replace('{path: /usr/bin/ls}', '{path: /usr/bin/ls, allowedArgs: [-l]}')
  const ask = (...args: readonly string[]): ReturnType<typeof why> => why(context, [...WEB, '--operation', 'exec', '--resource', '/usr/bin/ls', ...args], text)
  assert.match((await ask()).stdout, /^Block: /)
  assert.match((await ask('--no-args')).stdout, /^Allow: /)
  assert.match((await ask('--no-args', '--arg=-l')).stderr, /Use either --arg or --no-args/)
  assert.match((await ask('--multicall', 'busybox')).stderr, /Cannot use --multicall "busybox": write an absolute path/)
})

test('modes are told: a policy that is off, and a posture of block that only audits', async (context) => {
  const ask = async (mode: string): Promise<{ reason: string; notes: readonly string[] }> =>
    JSON.parse((await why(context, [...WEB, '--operation', 'exec', '--resource', '/opt/x', '-o', 'json'], MANIFESTS.replace('  process:', `  mode: ${mode}\n  process:`))).stdout) as { reason: string; notes: readonly string[] }
  const off = await ask('Off')
  assert.deepEqual([off.reason, off.notes], ['no policy selects this workload', ['switched off by their mode: shop/web']])
  const audited = await ask('Audit')
  assert.match(audited.reason, /the default posture is block, and it only audits, as the workload or every policy with such a rule is only audited$/)
  assert.match((await ask('Enforce')).reason, /the default posture is block$/)
})

test('what is not said of a workload, and would make a policy select it, is told', async (context) => {
  const text = MANIFESTS.replace('{app: web}}', '{app: web, kubearmor.io/container.name: "[main]"}}') + `---
apiVersion: security.kubearmor.com/v1
kind: KubeArmorNetworkPolicy
metadata: {name: net}
spec: {selector: {matchLabels: {app: web}}, nodeSelector: {matchLabels: {zone: a}}, egress: [{ports: [{port: ssh}]}]}
`
  const ask = async (...args: readonly string[]): Promise<{ verdict: string; notes: readonly string[] }> =>
    JSON.parse((await why(context, [...WEB, '--operation', 'egress', '--resource', '10.0.0.1:22', '-o', 'json', ...args], text)).stdout) as { verdict: string; notes: readonly string[] }
  const bare = await ask()
  assert.deepEqual([bare.verdict, bare.notes], ['Allow', ['restricted to containers, and no --container is given: shop/web', 'restricted to nodes, and no --node-labels are given: net']])
  const said = await ask('-c', 'main', '--node-labels', 'zone=a')
  assert.deepEqual([said.verdict, said.notes], ['Block', []])
  assert.deepEqual((await ask('-c', 'other', '--node-labels', 'zone=b')).notes, [])
})

test('lists of arguments of other programs cost an exec nothing', async (context) => {
  const rules = Array.from({ length: 400 }, (_, index) => `      - {path: /opt/tool-${index}, allowedArgs: [x${index}]}\n`).join('')
  const text = MANIFESTS.replace('    matchPaths:\n', `    matchPaths:\n${rules}`)
  const cost = async (...args: readonly string[]): Promise<number> => {
    const before = process.cpuUsage()
    assert.equal((await why(context, [...WEB, ...args], text)).code, 0)
    const { user, system } = process.cpuUsage(before)
    return user + system
  }
  await cost('--operation', 'exec', '--resource', '/usr/bin/ls')
  const plain = await cost('--operation', 'exec', '--resource', '/usr/bin/ls', '--no-args')
  assert.ok((await cost('--operation', 'exec', '--resource', '/usr/bin/ls')) < 5 * plain)
})
