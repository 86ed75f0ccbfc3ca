// SPDX-License-Identifier: Apache-2.0
// Nothing is exported that nobody uses: a function or constant that only its own file mentions once is dead.
import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'

const TREE = join(import.meta.dirname, '../..')
const ROOMS = '{agent,bench,cli,docs,native,operator,policy,proto,relay,runtime,test}/**/*.ts'
const EXPORT = /^export (?:async )?(?:function\*?|const|class) (\w+)/gm

/** `file name` of each export of a value whose name occurs once in all texts. */
function dead(texts: ReadonlyMap<string, string>): readonly string[] {
  const counts = new Map<string, number>()
  for (const text of texts.values()) for (const [word] of text.matchAll(/\b[A-Za-z_]\w*\b/g)) counts.set(word, (counts.get(word) ?? 0) + 1)
  return [...texts].flatMap(([file, text]) => [...text.matchAll(EXPORT)].flatMap(([, name = '']) => (counts.get(name) === 1 ? [`${file} ${name}`] : [])))
}

test('the check finds what is dead, and takes a use in a test for a use', () => {
  const texts = new Map([['a.ts', 'export const used = 1\nexport function gone() {}\nexport async function later() {}\n'], ['a.test.ts', 'later(used)\n']])
  assert.deepEqual(dead(texts), ['a.ts gone'])
})

test('no export is dead', () => {
  const files = globSync(ROOMS, { cwd: TREE }).filter((file) => !/(^|\/)(node_modules|build|gen)\//.test(file))
  assert.ok(files.length > 300)
  assert.deepEqual(dead(new Map(files.map((file) => [file, readFileSync(join(TREE, file), 'utf8')]))), [])
})
