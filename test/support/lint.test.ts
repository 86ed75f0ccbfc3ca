// SPDX-License-Identifier: Apache-2.0
// The import arrows hold: a scratch tree with the same configuration and one forbidden import does not pass.

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { after, before, test } from 'node:test'

const TREE = join(import.meta.dirname, '../..')
let scratch = ''
let trees = 0

before(() => {
  scratch = mkdtempSync(join(tmpdir(), 'merlon-lint-'))
})
after(() => rmSync(scratch, { recursive: true }))

/** Writes files into a directory of its own, lints them together, and returns the rules that each of them breaks. */
function broken(files: Record<string, string>): Record<string, string[]> {
  const tree = join(scratch, String(++trees))
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(tree, path)), { recursive: true })
    writeFileSync(join(tree, path), text)
  }
  for (const each of ['.oxlintrc.json', 'tsconfig.json']) copyFileSync(join(TREE, each), join(tree, each))
  symlinkSync(join(TREE, 'node_modules'), join(tree, 'node_modules'))
  const oxlint = join(TREE, 'node_modules/oxlint/bin/oxlint')
  const { status, stdout, stderr } = spawnSync(process.execPath, [oxlint, '--deny-warnings', '-f', 'json'], { cwd: tree, encoding: 'utf8' })
  assert.match(stdout, /^\{/, `oxlint said: ${stdout}${stderr}`)
  const { diagnostics }: { diagnostics: { code: string; filename: string }[] } = JSON.parse(stdout)
  assert.equal(status, diagnostics.length > 0 ? 1 : 0)
  const rules = (path: string): string[] => [...new Set(diagnostics.filter(({ filename }) => filename === path).map(({ code }) => code))]
  return Object.fromEntries(Object.keys(files).map((path) => [path, rules(path)]))
}

const using = (module: string): string => `import { used } from '${module}';\nexport const result = used();\n`

const FORBIDDEN: readonly [string, string][] = [
  ['policy/a.ts', 'node:fs'], ['policy/a.ts', 'fs'], ['policy/a.ts', '@grpc/grpc-js'], ['policy/a.ts', '../proto/a.ts'], ['policy/a.ts', '../runtime/clock.ts'],
  ['policy/deep/a.ts', '../../agent/a.ts'], ['policy/a.test.ts', '../agent/a.ts'],
  ['proto/a.ts', '../runtime/a.ts'], ['proto/a.ts', '../agent/a.ts'], ['runtime/a.ts', '../policy/a.ts'], ['runtime/a.ts', '../native/a.ts'],
  ['agent/a.ts', '../operator/a.ts'], ['operator/a.ts', '../agent/a.ts'], ['relay/a.ts', '../operator/a.ts'], ['cli/a.ts', '../relay/a.ts'],
  ['operator/a.ts', '../native/index.ts'], ['relay/a.ts', '../native/index.ts'], ['cli/a.ts', '../native/index.ts'],
  ['native/a.ts', '../policy/a.ts'], ['native/a.ts', '../runtime/a.ts'], ['agent/a.ts', '../bench/a.ts'],
]
test('an import against the arrows does not pass', () => {
  const files = Object.fromEntries(FORBIDDEN.map(([path, module], index) => [path.replace('/a.', `/a${index}.`), using(module)]))
  for (const [path, rules] of Object.entries(broken(files))) {
    assert.ok(rules.includes('eslint(no-restricted-imports)'), `${path} imports ${files[path]} and breaks ${rules.join()}`)
  }
})

const ALLOWED: readonly [string, string][] = [
  ['policy/a.ts', './b.ts'], ['policy/deep/a.ts', '../b.ts'], ['policy/a.ts', 'yaml'], ['policy/a.ts', '@noble/hashes/sha2.js'],
  ['policy/a.test.ts', 'node:test'], ['policy/a.test.ts', 'fast-check'], ['proto/a.ts', '../policy/a.ts'], ['runtime/a.ts', '../proto/a.ts'],
  ['agent/a.ts', '../native/index.ts'], ['agent/a.ts', '../policy/a.ts'], ['operator/a.ts', '../runtime/a.ts'], ['cli/a.ts', '../proto/a.ts'],
  ['test/kernel/a.ts', '../../agent/a.ts'], ['bench/a.ts', '../native/index.ts'],
]
test('imports along the arrows pass', () => {
  const files = Object.fromEntries(ALLOWED.map(([path, module], index) => [path.replace('/a.', `/a${index}.`), using(module)]))
  for (const [path, rules] of Object.entries(broken(files))) assert.deepEqual(rules, [], `${path} imports ${files[path]}`)
})

test('files, functions and branches have a limit, circles and forgotten promises do not pass', () => {
  const lines = (count: number): string => 'count += 1;\n'.repeat(count)
  const branches = 'if (x === 1) x = 2;\n'.repeat(12)
  assert.deepEqual(broken({
    'agent/file.ts': `export let count = 0;\n${lines(400)}`,
    'agent/long.ts': `export function f(n: number): number {\nlet count = n;\n${lines(60)}return count;\n}\n`,
    'agent/branches.ts': `export function f(n: number): number {\nlet x = n;\n${branches}return x;\n}\n`,
    'agent/b.ts': "import { a } from './c.ts';\nexport const b = (): number => a();\n",
    'agent/c.ts': "import { b } from './b.ts';\nexport const a = (): number => b();\n",
    'agent/promise.ts': 'async function f(): Promise<void> {}\nexport function g(): void {\nf();\n}\n',
  }), {
    'agent/file.ts': ['eslint(max-lines)'], 'agent/long.ts': ['eslint(max-lines-per-function)'], 'agent/branches.ts': ['eslint(complexity)'],
    'agent/b.ts': ['import(no-cycle)'], 'agent/c.ts': ['import(no-cycle)'], 'agent/promise.ts': ['typescript(no-floating-promises)'],
  })
})
