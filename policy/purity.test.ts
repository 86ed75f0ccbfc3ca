// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { test } from 'node:test'

const directory = new URL('./', import.meta.url)
const sources = readdirSync(directory).filter((name) => name.endsWith('.ts') && !name.endsWith('.test.ts') && name !== 'testing.ts')

test('policy/ imports nothing but itself, yaml and @noble/hashes, and asks for no time, chance or environment', () => {
  assert.ok(sources.length > 10)
  for (const name of sources) {
    const text = readFileSync(new URL(name, directory), 'utf8')
    const imports = [...text.matchAll(/^(?:import|export)\b[^'"]*?from\s+['"]([^'"]+)['"]|\bimport\(\s*['"]([^'"]+)['"]/gm)].map((found) => found[1] ?? found[2] ?? '')
    for (const from of imports) assert.match(from, /^(\.\/[\w-]+\.ts|yaml|@noble\/hashes\/.+)$/, `${name} imports ${from}`)
    const code = text.replaceAll(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, '')
    assert.doesNotMatch(code, /\b(Date|performance|Math\.random|process\.|globalThis|fetch|setTimeout|require)\b\s*[.(]/, name)
  }
})
