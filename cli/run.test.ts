// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { captured } from './testing.ts'
import { checkDirectory, shortcomings } from './preflight.ts'
import { VERBS } from './verbs.ts'

test('without a verb the overview goes to stderr, with code 2', async () => {
  const { code, stdout, stderr } = await captured([])
  assert.deepEqual([code, stdout], [2, ''])
  assert.match(stderr, /^Usage: merlon VERB/)
})

test('--help lists every verb, and each verb explains itself', async () => {
  const overview = await captured(['--help'])
  assert.equal(overview.code, 0)
  for (const name of Object.keys(VERBS)) {
    assert.match(overview.stdout, new RegExp(`^  ${name} `, 'm'))
    for (const args of [[name, '--help'], ['help', name], [name, '-h', '--bogus']]) {
      const { code, stdout } = await captured(args)
      assert.equal(code, 0)
      assert.ok(stdout.startsWith(`Usage: merlon ${name}`), stdout)
      assert.ok(stdout.split('\n').every((line) => line.length <= 140))
    }
  }
})

test('an unknown verb suggests the nearest one', async () => {
  assert.deepEqual(await captured(['evnts']), { code: 2, stdout: '', stderr: 'merlon: unknown verb evnts: did you mean merlon events?\n' })
  assert.match((await captured(['frobnicate'])).stderr, /merlon --help lists the verbs/)
  // What is typed may be pasted: it is quoted like anything else.
  assert.match((await captured(['\u001b[2J'])).stderr, /unknown verb "\\e\[2J"/)
  assert.equal((await captured(['constructor'])).code, 2)
})

test('wrong options and arguments are refused with the usage line and code 2', async () => {
  const cases: readonly (readonly [string[], RegExp])[] = [
    [['events', '--bogus'], /Unknown option '--bogus'/],
    [['events', '-n'], /argument missing/],
    [['events', '--limit', '-1'], /--limit/],
    [['events', '--limit', '0'], /Cannot use --limit "0": a positive whole number is needed/],
    [['events', '--filter', 'some'], /Cannot use --filter "some": use policy, system, all/],
    [['events', 'extra'], /Unexpected argument "extra"/],
    [['up'], /Name the directory/],
    [['up', 'a', 'b'], /Unexpected argument "b"/],
    [['up', '.', '--unbound', 'deny'], /Cannot use --unbound "deny": use allow, audit, block/],
    [['up', '.', '--listen', 'nowhere'], /Cannot use address "nowhere"/],
    [['up', '.', '--state-dir', 'here'], /an absolute path is needed/],
  ]
  for (const [args, message] of cases) {
    const { code, stdout, stderr } = await captured(args)
    assert.deepEqual([code, stdout], [2, ''], args.join(' '))
    assert.match(stderr, message)
    assert.match(stderr, new RegExp(`^Usage: merlon ${args[0]}`, 'm'))
  }
})

test('up names what is wrong with the directory', async (context) => {
  const directory = await mkdtemp(join(tmpdir(), 'merlon-cli-'))
  context.after(() => rm(directory, { recursive: true }))
  await writeFile(join(directory, 'file.yaml'), '')
  assert.deepEqual(await checkDirectory(directory), { ok: true, manifests: 1 })
  const absent = await captured(['up', join(directory, 'absent')])
  assert.equal(absent.code, 2)
  assert.match(absent.stderr, /There is no directory .*absent: create it and put policies into it \(MERLON_CLI_NO_DIRECTORY\)/)
  assert.match((await captured(['up', join(directory, 'file.yaml')])).stderr, /is not a directory/)
})

test('each thing that a host lacks is one sentence, with what still works', () => {
  const good = { root: true, lsm: ['capability', 'bpf'], btf: true, cgroup2: true }
  assert.deepEqual(shortcomings(good), [])
  assert.deepEqual(shortcomings({ ...good, lsm: undefined }), [], 'a kernel that does not tell may well have it: the agent finds out')
  for (const [lack, word] of [[{ lsm: ['capability'] }, 'lsm='], [{ btf: false }, 'CONFIG_DEBUG_INFO_BTF'], [{ cgroup2: false }, 'cgroup v2']] as const) {
    const [found, ...more] = shortcomings({ ...good, ...lack })
    assert.deepEqual(more, [])
    assert.ok(found?.sentence.includes(word) && found.sentence.includes('nothing is blocked or audited') && !found.fatal, found?.sentence)
  }
  assert.equal(shortcomings({ ...good, root: false })[0]?.fatal, true)
})

test('rescue does nothing without --yes', async () => {
  const { code, stderr } = await captured(['rescue'])
  assert.equal(code, 2)
  assert.match(stderr, /merlon rescue --yes/)
})

test('version names Merlon, the table format and Node.js', async () => {
  assert.match((await captured(['--version'])).stdout, /^merlon \d+\.\d+\.\d+, table format 2, Node\.js 24\./)
})
