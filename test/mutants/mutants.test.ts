// SPDX-License-Identifier: Apache-2.0
// The seeded bugs still apply to the tree as it is. Whether the tests find them is what `make mutants` says.
import assert from 'node:assert/strict'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { MUTANTS } from './list.ts'
import { seed, type Mutant } from './mutant.ts'
import { TREE } from './tree.ts'
import { tryOut } from './trial.ts'

test('every mutant applies, has a name of its own and names tests that are there', () => {
  for (const mutant of MUTANTS) {
    const text = readFileSync(join(TREE, mutant.file), 'utf8')
    assert.notEqual(seed(mutant, text), text, mutant.name)
    assert.match(mutant.name, /^[a-z][a-z0-9-]+$/)
    assert.ok(mutant.tests.length > 0 && mutant.tests.every((file) => existsSync(join(TREE, file))), mutant.name)
  }
  assert.equal(new Set(MUTANTS.map(({ name }) => name)).size, MUTANTS.length)
  assert.ok(MUTANTS.length >= 20)
})

test('a mutant whose anchor is gone, or there twice, or that changes nothing, is an error', () => {
  const mutant: Mutant = { name: 'x', bug: '', file: 'a.ts', find: 'one', replace: 'two', tests: ['t'] }
  assert.equal(seed(mutant, 'a one b'), 'a two b')
  assert.throws(() => seed(mutant, 'a b'), /occurs 0 times in a\.ts/)
  assert.throws(() => seed(mutant, 'one one'), /occurs 2 times/)
  assert.throws(() => seed({ ...mutant, replace: 'one' }, 'one'), /changes nothing/)
})

test('a test that fails, hangs, or eats memory ends, and is told apart', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'merlon-trial-'))
  const outcome = async (body: string, seconds: number, residentMb = 4096): Promise<string> => {
    writeFileSync(join(directory, 'a.test.mjs'), `import { test } from 'node:test'\ntest('it', () => { ${body} })\n`)
    return (await tryOut({ directory, file: 'a.test.mjs', seconds, environment: {}, memory: { heapMb: 256, residentMb } })).kind
  }
  // Each runs into one limit alone, however slow the machine: a fresh page may cost a busy one milliseconds of processor time.
  const [SOME, NO_END] = [1, 600]
  try {
    assert.deepEqual([await outcome('', NO_END), await outcome('throw new Error()', NO_END), await outcome('for (;;);', SOME)], ['passed', 'failed', 'hung'])
    assert.equal(await outcome('const all = []; for (;;) all.push(new Array(1 << 20).fill(0.5))', NO_END), 'exhausted')
    // No faster than somebody looks who is kept waiting: it would take the machine with it.
    assert.equal(await outcome('const all = []; for (;;) { all.push(new Uint8Array(1 << 24).fill(1)); Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20) }', NO_END, 512), 'exhausted')
  } finally {
    rmSync(directory, { recursive: true })
  }
})
