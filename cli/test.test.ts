// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
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
  assert.match(stdout, /^<\?xml[^]*<testsuites tests="2" failures="1">\n {2}<properties>\n {4}<property name="rules" value="1 of 2"\/>\n {4}<property name="classes" value="2 of 3"\/>\n {2}<\/properties>\n {2}<testsuite name="p\.policytest\.yaml" tests="2" failures="1">/)
  assert.match(stdout, /<testcase name="a is refused" [^>]*line="1"\/>/)
  assert.match(stdout, /<testcase name="b &lt;&amp;# c" [^/]*>\n {6}<failure message="expected Block, and the verdict is Allow">no rule matches/)
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
