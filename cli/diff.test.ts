// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { captured, scratch } from './testing.ts'

const policy = (rules: string, app = 'web', name = 'p'): string => `apiVersion: security.kubearmor.com/v1
kind: KubeArmorPolicy
metadata: {name: ${name}}
spec:
  selector: {matchLabels: {app: ${app}}}
  process: {matchPaths: [${rules}]}
`

async function diff(context: TestContext, before: string, after: string, options: readonly string[] = []): Promise<{ code: number; stdout: string; stderr: string }> {
  const directory = await scratch(context)
  await writeFile(join(directory, 'old.yaml'), before)
  await writeFile(join(directory, 'new.yaml'), after)
  const { code, stdout, stderr } = await captured(['diff', join(directory, 'old.yaml'), join(directory, 'new.yaml'), ...options])
  return { code, stdout: stdout.replaceAll(`${directory}/`, ''), stderr }
}

test('operations that get another verdict, with the rules of both sides', async (context) => {
  const { code, stdout } = await diff(context, policy('{path: /a}'), policy('{path: /b}, {path: /c, fromSource: [{path: /s}]}'))
  assert.equal(code, 1)
  assert.equal(stdout, `KubeArmorPolicy default/p:
  exec /a: Block -> Allow (old.yaml:6 -> no rule)
  exec /b: Allow -> Block (no rule -> new.yaml:6)
  exec /c by /s: Allow -> Block (no rule -> new.yaml:6)
`)
})

test('what is written otherwise and means the same is nothing', async (context) => {
  assert.deepEqual(await diff(context, policy('{path: /a}, {path: /b}'), policy('{path: //b}, {path: /a}')), { code: 0, stdout: '', stderr: '' })
})

test('policies that come and go, and those that select others', async (context) => {
  const added = await diff(context, policy('{path: /a}'), `${policy('{path: /a}')}---\n${policy('{path: /b}', 'web', 'q')}`)
  assert.equal(added.stdout, 'KubeArmorPolicy default/q:\n  exec /b: Allow -> Block (no rule -> new.yaml:13)\n')
  const moved = [policy('{path: /a}'), policy('{path: /a}', 'db')] as const
  assert.match((await diff(context, ...moved)).stdout, /^KubeArmorPolicy default\/p:\n {2}its selector is another one/)
  assert.match((await diff(context, ...moved, ['-l', 'app=db'])).stdout, /^this workload:\n {2}exec \/a: Allow -> Block/)
  assert.equal((await diff(context, ...moved, ['-l', 'app=cache'])).code, 0)
})

test('json is one object a line', async (context) => {
  const { stdout } = await diff(context, policy('{path: /a}'), policy('{path: /a, action: Audit}'), ['-o', 'json'])
  assert.deepEqual(JSON.parse(stdout), {
    of: 'KubeArmorPolicy default/p', operation: 'exec /a', before: { verdict: 'Block', rule: 'old.yaml:6' }, after: { verdict: 'Audit', rule: 'new.yaml:6' },
  })
})

test('arguments, modes and what selects show', async (context) => {
  const args = await diff(context, policy('{path: /a, allowedArgs: [-x]}'), policy('{path: /a, allowedArgs: [-y]}'))
  assert.equal(args.stdout, 'KubeArmorPolicy default/p:\n  exec /a with "-x": Allow -> Block (old.yaml:6 -> new.yaml:6)\n  exec /a with "-y": Block -> Allow (old.yaml:6 -> new.yaml:6)\n')
  const switched = policy('{path: /a}').replace('spec:', 'spec:\n  mode: Off')
  assert.match((await diff(context, policy('{path: /a}'), switched)).stdout, /exec \/a: Block -> Allow \(old\.yaml:6 -> no rule\)/)
  const moved = await diff(context, policy('{path: /a}'), policy('{path: /a}', 'db'), ['-o', 'json'])
  assert.equal(moved.code, 1)
  const selector = (app: string): object => ({ matchLabels: { app }, matchExpressions: [], containers: [] })
  assert.deepEqual(JSON.parse(moved.stdout), { of: 'KubeArmorPolicy default/p', selector: { before: selector('web'), after: selector('db') } })
})

test('a default posture that changes shows, from the manifests or from the command line', async (context) => {
  const config = (posture: string): string => `---\napiVersion: operator.kubearmor.com/v1\nkind: KubeArmorConfig\nmetadata: {name: c, namespace: kubearmor}\nspec: {defaultFilePosture: ${posture}}\n`
  const allow = policy('{path: /a, action: Allow}')
  const { code, stdout } = await diff(context, allow + config('audit'), allow + config('block'))
  assert.deepEqual([code, stdout], [1, 'KubeArmorPolicy default/p:\n  exec /: Audit -> Block (the default posture -> the default posture)\n'])
  assert.equal((await diff(context, allow + config('audit'), allow + config('block'), ['--posture', 'block'])).code, 0)
})

test('refused policies cannot be compared', async (context) => {
  const { code, stdout, stderr } = await diff(context, policy('{path: /a}'), policy('{pth: /a}'))
  assert.deepEqual([code, stdout], [2, ''])
  assert.match(stderr, /MERLON_POLICY_UNKNOWN_FIELD[^]*MERLON_CLI_REFUSED/)
  assert.match((await captured(['diff', 'one'])).stderr, /Name two files or directories/)
})

test('what is no path is named as merlon why takes it', async (context) => {
  const spec = '  capabilities: {matchCapabilities: [{capability: net_raw}]}\n  syscalls: {matchPaths: [{path: /h, syscall: [unlink]}]}\n  network: {matchProtocols: [{protocol: icmp}], matchDNSQueries: [{domain: a.example}]}\n'
  const { stdout } = await diff(context, policy('{path: /a}'), policy('{path: /a}') + spec)
  assert.deepEqual(stdout.match(/^ {2}(?!dns .*local)[^:]*/gm), ['  capability net_raw', '  syscall unlink /h', '  network inet/stream/icmp', '  dns a.example'])
})

test('standard input is one side, never both: read a second time it would be empty', async (context) => {
  const file = join(await scratch(context), 'a.yaml')
  await writeFile(file, policy('{path: /a}'))
  assert.equal((await captured(['diff', file, '-'], undefined, policy('{path: /a}'))).code, 0)
  const { code, stdout, stderr } = await captured(['diff', '-', '-'], undefined, policy('{path: /a}'))
  assert.deepEqual([code, stdout], [2, ''])
  assert.match(stderr, /Standard input is either OLD or NEW/)
})
