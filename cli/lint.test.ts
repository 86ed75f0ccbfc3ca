// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdir, symlink, writeFile } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { test, type TestContext } from 'node:test'
import { captured, scratch } from './testing.ts'

const POLICY = 'apiVersion: security.kubearmor.com/v1\nkind: KubeArmorPolicy\nmetadata: {name: NAME}\nspec:\n  file:\n    matchPaths: [{path: /a}]\n'
const good = (name: string): string => POLICY.replace('NAME', name)
const bad = good('bad').replace('path:', 'pth:')

async function tree(context: TestContext, files: Readonly<Record<string, string | Uint8Array>>): Promise<string> {
  const directory = await scratch(context)
  await mkdir(join(directory, 'below'))
  for (const [name, text] of Object.entries(files)) await writeFile(join(directory, name), text)
  return directory
}

test('a directory is read with what lies below, other files are not', async (context) => {
  const directory = await tree(context, { 'a.yaml': good('a'), 'below/b.yml': good('b'), 'c.json': '{}', 'readme.md': 'kind: [' })
  const { code, stdout } = await captured(['lint', directory])
  assert.equal(code, 0)
  assert.match(stdout, /^3 files, 2 policies, 2 rules: 0 errors, 1 warning$/m)
})

test('errors have their place, excerpt and caret, and exit code 1; other files are still looked at', async (context) => {
  const directory = await tree(context, { 'a.yaml': bad, 'b.yaml': good('b') })
  const { code, stdout } = await captured(['lint', join(directory, 'b.yaml'), join(directory, 'a.yaml')])
  assert.equal(code, 1)
  assert.match(stdout, /a\.yaml:6:19: error: unknown field spec\.file\.matchPaths\[0\]\.pth \[MERLON_POLICY_UNKNOWN_FIELD\]\n {4}6 \| .*\n {6}\| {19}\^\^\^ did you mean path\?$/m)
  assert.match(stdout, /^2 files, 1 policy, 1 rule: 2 errors, 0 warnings$/m)
})

test('a named file is read whatever it is called, and once', async (context) => {
  const directory = await tree(context, { policy: good('a') })
  const path = join(directory, 'policy')
  assert.match((await captured(['lint', path, path])).stdout, /^1 file, 1 policy/)
  assert.match((await captured(['lint', path, `${directory}/below/..//policy`, relative('.', path)])).stdout, /^1 file, 1 policy, 1 rule: 0 errors, 0 warnings/)
})

test('-o json is the documented object, also for a clean set', async (context) => {
  const directory = await tree(context, { 'a.yaml': bad })
  const { stdout } = await captured(['lint', '-o', 'json', directory])
  const report = JSON.parse(stdout) as { findings: Record<string, unknown>[] }
  assert.deepEqual(Object.keys(report), ['files', 'policies', 'rules', 'findings'])
  assert.deepEqual(Object.keys(report.findings[0] ?? {}), ['file', 'line', 'column', 'severity', 'code', 'message', 'hint'])
})

test('what cannot be read, and a directory without manifests, is trouble', async (context) => {
  const directory = await tree(context, { 'latin.yaml': Uint8Array.of(0x6b, 0xe9), 'a.txt': '' })
  const cases: readonly (readonly [string, RegExp])[] = [
    [join(directory, 'none'), /it is not there \(MERLON_CLI_UNREADABLE\)/],
    [join(directory, 'latin.yaml'), /it is not UTF-8 text \(MERLON_CLI_UNREADABLE\)/],
    [join(directory, 'below'), /There is no \*\.yaml, .*\(MERLON_CLI_NO_MANIFESTS\)/],
  ]
  for (const [path, message] of cases) {
    const { code, stdout, stderr } = await captured(['lint', path])
    assert.deepEqual([code, stdout], [2, ''])
    assert.match(stderr, message)
  }
  assert.match((await captured(['lint'])).stderr, /Name files or directories/)
})

test('standard input is read as -', async () => {
  const { code, stdout } = await captured(['lint', '-'], undefined, bad)
  assert.equal(code, 1)
  assert.match(stdout, /^\(standard input\):6:19: error: unknown field/m)
})

test('CRLF and a byte order mark change no place', async (context) => {
  const places = async (text: string): Promise<readonly unknown[]> => {
    const directory = await tree(context, { 'a.yaml': text })
    const { findings } = JSON.parse((await captured(['lint', '-o', 'json', directory])).stdout) as { findings: { line: number; column: number }[] }
    return findings.map(({ line, column }) => [line, column])
  }
  assert.deepEqual(await places(bad.replaceAll('\n', '\r\n')), await places(bad))
  assert.deepEqual(await places(`\ufeff${bad}`), await places(bad))
})

test('links are followed, into no directory twice; a volume of a ConfigMap is read once', async (context) => {
  const directory = await tree(context, { 'below/a.yaml': good('a') })
  await symlink('..', join(directory, 'below/up'))
  await symlink('below', join(directory, 'other'))
  assert.match((await captured(['lint', directory])).stdout, /^1 file, 1 policy/)
  const volume = await scratch(context)
  await mkdir(join(volume, '..2026_01'))
  await writeFile(join(volume, '..2026_01/a.yaml'), good('a'))
  await symlink('..2026_01', join(volume, '..data'))
  await symlink('..data/a.yaml', join(volume, 'a.yaml'))
  assert.match((await captured(['lint', volume])).stdout, /^1 file, 1 policy, 1 rule: 0 errors, 0 warnings/)
})

test('binary files, devices, pipes in a directory and links to nowhere are trouble, and nothing is waited for', async (context) => {
  const binary = await tree(context, { 'a.yaml': Uint8Array.of(0, 159, 146, 150) })
  const nowhere = await scratch(context)
  await symlink('gone', join(nowhere, 'a.yaml'))
  const pipe = await scratch(context)
  assert.equal(spawnSync('mkfifo', [join(pipe, 'a.yaml')]).status, 0)
  for (const [path, message] of [[binary, /not UTF-8/], [nowhere, /it is not there/], [pipe, /it is no file/], ['/dev/zero', /more than 32 MiB/]] as const) {
    const { code, stdout, stderr } = await captured(['lint', path])
    assert.deepEqual([code, stdout], [2, ''], stderr)
    assert.match(stderr, message)
  }
})

test('a file of many megabytes is refused with a finding, JSON is read as it is', async (context) => {
  const directory = await tree(context, { 'big.yaml': `#${'x'.repeat(9 << 20)}`, 'a.json': '{"apiVersion":"security.kubearmor.com/v1","kind":"KubeArmorPolicy","metadata":{"name":"j"},"spec":{"file":{"matchPaths":[{"pth":"/a"}]}}}' })
  const { code, stdout } = await captured(['lint', directory])
  assert.equal(code, 1)
  assert.match(stdout, /big\.yaml:1:1: error: the input is too large/)
  assert.match(stdout, /a\.json:1:\d+: error: unknown field spec\.file\.matchPaths\[0\]\.pth/)
})
