// SPDX-License-Identifier: Apache-2.0
// What the README tells a newcomer to type, in a fresh clone: only what is committed is there. Downloads come from this machine's caches.
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'

const TREE = new URL('../..', import.meta.url).pathname
const MINUTES = 60_000
/** What make demo promises. */
const STEPS = [
  ['start Merlon', /ready in [0-9.]+ s: 2 policies .*a forbidden probe was refused/],
  ['start a container', /demo-web/],
  ['run what is allowed', /ls works/],
  ['run what is blocked', /find: Permission denied/],
  ['see the alert', /Block of \/usr\/bin\/find in demo\/demo-web by block-shell-tools/],
  ['edit the policy', /Block refused it again, no restart/],
  ['kill the agent', /still refused; the next agent adopted it/],
  ['break a policy file', /refused, the others hold/],
  ['stop', /merlon rescue ended that/],
] as const
let home = ''
let clone = ''

interface Run {
  readonly status: number
  readonly output: string
}

function run(file: string, args: readonly string[], cwd: string, environment: Readonly<Record<string, string>> = {}): Promise<Run> {
  // What a test run or an npm script leaves in the environment is not what a newcomer's shell has. Whose certificates a network needs is.
  const inherited = Object.entries(process.env).filter(([name]) => name === 'NODE_EXTRA_CA_CERTS' || !/^(NODE_|npm_|MERLON_|MAKE)/.test(name))
  const env = { ...Object.fromEntries(inherited), ...environment }
  return new Promise((resolve) => {
    execFile(file, [...args], { cwd, env, timeout: 60 * MINUTES, maxBuffer: 64 << 20 }, (error, stdout, stderr) => {
      const status = error === null ? 0 : typeof error.code === 'number' ? error.code : 128
      resolve({ status, output: stdout + stderr })
    })
  })
}

before(async () => {
  home = await mkdtemp(join(tmpdir(), 'merlon-clone-'))
  clone = join(home, 'merlon')
  const { status, output } = await run('git', ['clone', '--quiet', '--no-hardlinks', TREE, clone], home)
  assert.equal(status, 0, output)
})

after(() => rm(home, { recursive: true, force: true }))

test('make setup, and once more with nothing left to do', async () => {
  const first = await run('make', ['setup'], clone)
  assert.equal(first.status, 0, first.output)
  const second = await run('make', ['setup'], clone)
  assert.equal(second.status, 0, second.output)
  assert.match(second.output, /Nothing to be done/)
})

test('make demo: says where it runs; every step comes about, and says so', async () => {
  const { status, output } = await run('make', ['demo'], clone)
  assert.match(output, /^(On this machine$|Not on this machine: .*\nIn a guest with Linux )/m)
  for (const [index, [name, outcome]] of STEPS.entries()) {
    const line = output.split('\n').find((each) => each.startsWith(`${index + 1}/${STEPS.length} ${name}: `))
    assert.match(line ?? '', outcome, `step ${index + 1}:\n${output}`)
  }
  assert.match(output, /All of it came about, in [0-9.]+ s\n$/)
  assert.equal(status, 0, output)
})

test('make test', async () => {
  // Lint, types and one unit file: all of it here would be this test again, in a clone of the clone.
  const { status, output } = await run('make', ['test'], clone, { MERLON_TEST_SUITES: 'lint types unit', MERLON_TEST_FILES: 'policy/verify.test.ts' })
  assert.equal(status, 0, output)
  assert.match(output, /\d+ passed, 0 failed/)
})

test('./merlon runs from any directory', async () => {
  const { status, output } = await run(join(clone, 'merlon'), ['--help'], '/')
  assert.equal(status, 0, output)
  assert.match(output, /Usage: merlon VERB/)
})
