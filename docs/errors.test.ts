// SPDX-License-Identifier: Apache-2.0
// docs/errors.md explains the codes that the sources give, all of them and no others.
import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { test } from 'node:test'

const TREE = fileURLToPath(new URL('..', import.meta.url))
const ROOMS = ['policy', 'operator', 'agent', 'relay', 'cli', 'runtime', 'native', 'test'] as const
const CODE = /(?<![A-Z_])MERLON_(?:POLICY|OPERATOR|AGENT|RELAY|CLI|RUNTIME|NATIVE|TEST|SETUP)_[A-Z0-9_]*[A-Z0-9](?![A-Z0-9_])/g

/** Codes of a source by what gives them: not comments, include guards, or the names of environment variables. */
function codesOf(source: string): readonly string[] {
  const text = source
    .replaceAll(/^\s*(?:\/\/|\/?\*|#(?:ifndef|define)).*$/gm, '')
    .replaceAll(/(?:process\.env|environment)\[[^\]]*\]/g, '')
  return text.match(CODE) ?? []
}

const files = ['merlon', 'test/support/packages.sh', ...ROOMS.flatMap((room) => globSync(`${room}/**/*.{ts,cc,h}`, { cwd: TREE }))].filter((path) => !/\.test\.ts$|\/testing\b/.test(path))
const given = new Map<string, string>()
for (const file of files) for (const code of codesOf(readFileSync(`${TREE}/${file}`, 'utf8'))) given.set(code, file)

const page = readFileSync(`${TREE}/docs/errors.md`, 'utf8')
const sections = page.split(/^#{2,3} /m).slice(1).map((section) => [section.slice(0, section.indexOf('\n')), section.slice(section.indexOf('\n')).trim()] as const)
const explained = sections.filter(([heading]) => heading.startsWith('MERLON_'))

test('codes are found where they are given', () => {
  assert.deepEqual(codesOf("  fail('MERLON_CLI_USAGE')\n  return { code: \"MERLON_NATIVE_CLOSED\" }"), ['MERLON_CLI_USAGE', 'MERLON_NATIVE_CLOSED'])
  assert.deepEqual(codesOf('#ifndef MERLON_NATIVE_MAP_H\n// MERLON_CLI_USAGE\n * MERLON_CLI_USAGE\nprocess.env["MERLON_TEST_KERNELS"]\nstartsWith("MERLON_NATIVE_")'), [])
  for (const room of ROOMS) assert.ok([...given.keys()].some((code) => code.startsWith(`MERLON_${room.toUpperCase()}_`)), room)
})

test('every code that the sources give has its section', () => {
  const missing = [...given].filter(([code]) => !explained.some(([heading]) => heading === code))
  assert.deepEqual(missing, [])
})

test('every section is about a code that the sources give', () => {
  assert.deepEqual(explained.map(([heading]) => heading).filter((code) => !given.has(code)), [])
})

test('no code has two sections, and none is empty', () => {
  assert.equal(new Set(explained.map(([heading]) => heading)).size, explained.length)
  assert.deepEqual(explained.filter(([, body]) => body.length < 15).map(([code]) => code), [])
})

test('links within the page lead somewhere', () => {
  const anchors = sections.map(([heading]) => heading.toLowerCase().replaceAll(/[^a-z0-9_ -]/g, '').replaceAll(' ', '-'))
  const links = [...page.matchAll(/\]\(#([^)]+)\)/g)].map((match) => match[1] ?? '')
  assert.ok(links.length > 0)
  assert.deepEqual(links.filter((link) => !anchors.includes(link)), [])
})
