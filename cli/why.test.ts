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

async function json(context: TestContext, args: readonly string[]): Promise<Json> {
  return JSON.parse((await why(context, [...args, '-o', 'json'])).stdout) as Json
}

test('text: verdict, rule with its place and line, what lost, the default, what would change', async (context) => {
  const { code, stdout } = await why(context, [...WEB, '--operation', 'exec', '--resource', '/usr/bin/ls'])
  assert.equal(code, 0)
  assert.equal(stdout, `Block: this Block rule matches
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
    [['--operation', 'connect', '--resource', '/a'], /connect is not enforced yet.*\(MERLON_CLI_NOT_ENFORCED\)/],
    [['--operation', 'open', '--resource', 'a'], /an absolute path is needed/],
    [['--operation', 'exec', '--resource', '/a', '--write'], /Only open takes --write/],
    [['--operation', 'open', '--resource', '/a', '--parent', '/b'], /Only exec takes --parent/],
    [['--operation', 'open', '--resource', '/a', '--labels', 'app'], /key=value/],
    [['--operation', 'open', '--resource', '/a', '--host', '-n', 'shop'], /A host has no --namespace/],
  ]
  for (const [args, message] of cases) {
    const { code, stdout, stderr } = await why(context, args)
    assert.deepEqual([code, stdout], [2, ''], args.join(' '))
    assert.match(stderr, message)
  }
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
