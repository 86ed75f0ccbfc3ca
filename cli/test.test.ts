// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { captured, scratch } from './testing.ts'

const POLICY = `apiVersion: security.kubearmor.com/v1
kind: KubeArmorPolicy
metadata: {name: p}
spec:
  file:
    matchPaths:
      - {path: /a}
      - {path: /b}
`
const PASS = '{name: a is refused, open: /a, expect: Block, policy: p}'
const FAIL = '{name: "b <&# c", open: /c, expect: Block}'

async function run(context: TestContext, tests: readonly string[], options: readonly string[] = [], policy = POLICY): Promise<{ code: number; stdout: string; stderr: string }> {
  const directory = await scratch(context)
  await writeFile(join(directory, 'p.yaml'), policy)
  await writeFile(join(directory, 'p.policytest.yaml'), `tests: [${tests.join(', ')}]\n`)
  const { code, stdout, stderr } = await captured(['test', directory, ...options])
  return { code, stdout: stdout.replaceAll(`${directory}/`, ''), stderr: stderr.replaceAll(`${directory}/`, '') }
}

test('TAP: what holds, what does not and why, and which rules no test was decided by', async (context) => {
  const { code, stdout } = await run(context, [PASS, FAIL])
  assert.equal(code, 1)
  assert.equal(stdout, `TAP version 14
1..2
ok 1 - a is refused
not ok 2 - b <&\\# c
  ---
  message: "expected Block, and the verdict is Allow"
  at: "p.policytest.yaml:1"
  reason: "no rule matches, and the file section has no Allow rule, so what no rule matches is permitted"
  rule: "none"
  ...
# rules that decided a test: 1 of 2
# not tested: p.yaml:8:9
# classes of objects that a test was about: 2 of 3
# not tested: paths such as /b (default)
`)
  assert.equal((await run(context, [PASS])).code, 0)
})

test('--mutants says which changes of rules no test notices', async (context) => {
  const { code, stdout } = await run(context, [PASS], ['--mutants'])
  assert.equal(code, 0)
  assert.match(stdout, /^# changes of a rule that a test noticed: 3 of 8$/m)
  assert.match(stdout, /^# not noticed: p\.yaml:7:9 widened to what begins like it: file path \/a$/m)
  assert.match(stdout, /^# not noticed: p\.yaml:8:9 dropped: file path \/b$/m)
  assert.doesNotMatch((await run(context, [PASS])).stdout, /noticed/)
})

test('JUnit: the same, as XML', async (context) => {
  const { code, stdout } = await run(context, [PASS, FAIL], ['-o', 'junit'])
  assert.equal(code, 1)
  assert.match(stdout, /^<\?xml[^]*<testsuites tests="2" failures="1" errors="0">\n {2}<properties>\n {4}<property name="rules" value="1 of 2"\/>\n {4}<property name="classes" value="2 of 3"\/>\n {2}<\/properties>\n {2}<testsuite name="p\.policytest\.yaml" tests="2" failures="1" errors="0">/)
  assert.match(stdout, /<testcase name="a is refused" [^>]*line="1"\/>/)
  assert.match(stdout, /<testcase name="b &lt;&amp;# c" [^/]*>\n {6}<failure message="expected Block, and the verdict is Allow">no rule matches/)
})

/** Text of the nodes that an XPath expression finds, by a parser that knows nothing of us. */
function xpath(xml: string, expression: string): string {
  const { status, stdout, stderr } = spawnSync('xmllint', ['--nonet', '--xpath', expression, '-'], { input: xml, encoding: 'utf8' })
  assert.equal(status, 0, stderr)
  return stdout.replace(/\n$/, '')
}

test('JUnit: an XML parser reads back every name, whatever is in it', async (context) => {
  const names = ['quotes " and \' and `', 'a < b & c > d', ']]>', '&amp; &#65;', 'größe 漢字 \u{1f600}', '<!-- x --><?y?>', 'a\tb\nc\0d\x1b[2Je', '\u202etxt \u2028 \ufffe\uffff', ' spaces  within ', '-']
  const quoted = (text: string): string => JSON.stringify(text).replaceAll(/[^ -~]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
  const tests = names.map((name) => `{name: ${quoted(name)}, open: /x, expect: Audit, policy: ${quoted(name)}}`)
  const { stdout } = await run(context, tests, ['-o', 'junit'])
  const escaped: Readonly<Record<number, string>> = { 6: 'a\\tb\\nc\\x00d\\e[2Je', 7: '\\u{202e}txt \\u{2028} \\u{fffe}\\u{ffff}' }
  for (const [index, name] of names.entries()) assert.equal(xpath(stdout, `string(//testcase[${index + 1}]/@name)`), escaped[index] ?? name)
  assert.equal(xpath(stdout, 'string(//testcase[2]/failure/@message)'), 'expected Audit, and the verdict is Allow; expected the policy a < b & c > d to decide, and it is none')
  assert.equal(xpath(stdout, 'count(/testsuites/testsuite/testcase/failure)'), String(names.length))
  assert.equal(xpath(stdout, 'string(/testsuites/@failures)'), String(names.length))
})

test('rules about what is no path count, and so do classes of what they are about', async (context) => {
  const rules = `  network: {matchProtocols: [{protocol: tcp}], matchDNSQueries: [{domain: evil.example}]}
  capabilities: {matchCapabilities: [{capability: net_raw}]}
  syscalls: {matchSyscalls: [{syscall: [unlink]}]}
  presets: [{name: filelessExec}]
`
  const policy = POLICY.replace('  file:\n', `${rules}  file:\n`)
  const tests = ['{network: tcp, expect: Block}', '{dns: www.evil.example, expect: Block}', '{capability: net_raw, expect: Block}', '{syscall: unlink, expect: Audit}', '{preset: filelessExec, expect: Block}']
  const { code, stdout } = await run(context, [...tests, PASS], [], policy)
  assert.equal(code, 0, stdout)
  assert.match(stdout, /^# rules that decided a test: 6 of 7$/m)
  // Two each of sockets, capabilities, system calls and presets, five names with their suffixes, three paths; six of them are the ones above.
  assert.match(stdout, /^# classes of objects that a test was about: 6 of 16$/m)
  assert.match(stdout, /^# not tested: capability such as chown \(default\)$/m)
  assert.match((await run(context, tests.slice(1), [], policy)).stdout, /^# not tested: p\.yaml:5:30$/m)
})

test('what is wrong with a file is in the reports too: CI systems look at nothing else', async (context) => {
  const refused = POLICY.replace('path: /b', 'pth: "/b"')
  const good = '{open: /c, expect: Allow}'
  const { code, stdout } = await run(context, [good], [], refused)
  assert.equal(code, 1)
  assert.match(stdout, /^1\.\.3\nok 1 - open \/c\nnot ok 2 - p\.yaml is right\n {2}---\n {2}message: "unknown field spec\.file\.matchPaths\[1\]\.pth"\n {2}at: "p\.yaml:8"\n {2}code: "MERLON_POLICY_UNKNOWN_FIELD"\n {2}hint: "did you mean path\?"\n {2}\.\.\.\nnot ok 3 /m)
  const junit = (await run(context, [good], ['-o', 'junit'], refused)).stdout
  assert.deepEqual(['tests', 'failures', 'errors'].map((name) => xpath(junit, `string(/testsuites/testsuite/@${name})`)), ['3', '0', '2'])
  assert.equal(xpath(junit, 'string(//testcase[3]/error/@message)'), 'spec.file.matchPaths[1].path is required')
  const tests = (await run(context, [good, '{open: /a, expect: Blok}'], ['-o', 'junit'])).stdout
  assert.deepEqual(['tests', 'failures', 'errors'].map((name) => xpath(tests, `string(/testsuites/@${name})`)), ['1', '0', '1'], 'none of a file with errors is run')
})

test('wrong tests and manifests fail, with their place', async (context) => {
  const wrong = await run(context, ['{open: /a, expect: Blok}'])
  assert.equal(wrong.code, 1)
  assert.match(wrong.stderr, /p\.policytest\.yaml:1:28: error: .*\[MERLON_POLICY_NOT_ALLOWED\]/)
  const refused = await run(context, [FAIL.replace('Block', 'Allow')], [], POLICY.replace('path: /b', 'pth: /b'))
  assert.deepEqual([refused.code, /MERLON_POLICY_UNKNOWN_FIELD/.test(refused.stderr), /^ok 1/m.test(refused.stdout)], [1, true, true])
})

test('manifests that the file lists, and directories without tests', async (context) => {
  const directory = await scratch(context)
  await writeFile(join(directory, 'other.yaml'), POLICY.replace('/a', '/z'))
  await writeFile(join(directory, 'p.yaml'), POLICY)
  assert.match((await captured(['test', directory])).stderr, /MERLON_CLI_NO_TESTS/)
  await writeFile(join(directory, 'x.policytest.yaml'), `manifests: [other.yaml]\ntests: [{open: /z, expect: Block}, {open: /a, expect: Allow}]`)
  assert.equal((await captured(['test', join(directory, 'x.policytest.yaml')])).code, 0)
  assert.match((await captured(['lint', directory])).stdout, /^2 files,/m, 'tests are no manifests')
})

test('the example’s promises hold', async () => {
  const { code, stdout } = await captured(['test', join(import.meta.dirname, '../examples')])
  assert.equal(code, 0, stdout)
  assert.match(stdout, /rules that decided a test: 3 of 3/)
})
