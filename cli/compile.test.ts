// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { openTable } from '../policy/lookup.ts'
import { verifyTable } from '../policy/verify.ts'
import { captured, scratch } from './testing.ts'

const policy = (name: string, rest: string, kind = 'KubeArmorPolicy'): string => `apiVersion: security.kubearmor.com/v1\nkind: ${kind}\nmetadata: {name: ${name}}\nspec: {${rest}}\n`
const A = policy('a', 'selector: {matchLabels: {app: web}}, file: {matchPaths: [{path: /a}]}')
const B = policy('b', 'selector: {matchExpressions: [{key: label, operator: In, values: [app=web]}]}, file: {matchPaths: [{path: /b}]}', 'KubeArmorClusterPolicy')
const HOST = policy('h', 'nodeSelector: {matchLabels: {kubernetes.io/hostname: node-1}}, file: {matchPaths: [{path: /h}]}', 'KubeArmorHostPolicy')

async function file(context: TestContext, text: string): Promise<string> {
  const path = join(await scratch(context), 'p.yaml')
  await writeFile(path, text)
  return path
}

test('each policy on its own, whatever it selects', async (context) => {
  const { code, stdout } = await captured(['compile', await file(context, [A, B, HOST].join('---\n'))])
  assert.equal(code, 0)
  const lines = stdout.trim().split('\n')
  assert.deepEqual(lines.map((line) => /^(\w+ \S+) \(.*: clauses (\d+), states \d+, bytes \d+, [0-9a-f]{12}$/.exec(line)?.slice(1)), [
    ['KubeArmorPolicy default/a', '1'], ['KubeArmorClusterPolicy b', '1'], ['KubeArmorHostPolicy h', '1'],
  ])
})

test('with a workload, all that select it together', async (context) => {
  const path = await file(context, [A, B, HOST].join('---\n'))
  assert.match((await captured(['compile', path, '--labels', 'app=web'])).stdout, /^this workload of namespace default: clauses 2,/)
  assert.match((await captured(['compile', path, '--labels', 'app=db'])).stdout, /^this workload of namespace default: clauses 0,/)
  assert.match((await captured(['compile', path, '--host', '--labels', 'kubernetes.io/hostname=node-1'])).stdout, /^this host: clauses 1,/)
})

test('-o writes a table that decides', async (context) => {
  const path = await file(context, A)
  const out = `${path}.table`
  assert.equal((await captured(['compile', path, '-o', out])).code, 0)
  const table = new Uint8Array(await readFile(out))
  assert.equal(verifyTable(table).ok, true)
  const question = { operation: 'read', owner: true, path: new TextEncoder().encode('/a'), sources: [] } as const
  assert.equal(openTable(table).decide(question).verdict, 'Block')
  assert.match((await captured(['compile', path, '-o', join(path, 'x')])).stderr, /MERLON_CLI_CANNOT_WRITE/)
})

test('--stats gives every number, --dump a step', async (context) => {
  const path = await file(context, A)
  assert.match((await captured(['compile', path, '--stats'])).stdout, /^ {2}states +\d+\n(?: {2}\w+ +\d+\n)*$/m)
  assert.equal((await captured(['compile', path, '--dump', 'expression'])).stdout, 'literal /a\n')
  assert.match((await captured(['compile', await file(context, `${A}---\n${B}`), '--dump', 'expression'])).stdout, /^# KubeArmorPolicy.*\nliteral \/a\n# KubeArmorClusterPolicy.*\nliteral \/b\n$/)
})

test('--prove shows that the table says what the rules say', async (context) => {
  const { code, stdout } = await captured(['compile', await file(context, [A, HOST].join('---\n')), '--prove'])
  assert.equal(code, 0)
  assert.equal(stdout.match(/^ {2}proven: .* \(\d+ pairs/gm)?.length, 2)
  assert.match((await captured(['compile', 'x', '--prove', '--stats'])).stderr, /Use one of --stats, --dump, --prove and --output/)
})

test('patterns that multiply are refused with their place, and exit code 1', async (context) => {
  // Which of the last 40 characters were an a: 2^40 states, whatever is split off.
  const patterns = [`{pattern: "/**a${'?'.repeat(40)}"}`]
  const { code, stdout, stderr } = await captured(['compile', await file(context, policy('many', `file: {matchPatterns: [${patterns.join(', ')}]}`))])
  assert.equal(code, 1)
  assert.equal(stdout, '')
  assert.match(stderr, /p\.yaml:4:\d+: error: Cannot compile .*\[MERLON_POLICY_TOO_MANY_STATES\]/)
})

test('what makes no sense is refused', async (context) => {
  const path = await file(context, `${A}---\n${B}`)
  const cases: readonly (readonly [readonly string[], RegExp])[] = [
    [[], /Name files or directories/],
    [[path, '--dump', 'soup'], /Cannot use --dump "soup": use plan, pattern, expression,/],
    [[path, '--stats', '--dump', 'dfa'], /Use one of --stats, --dump, --prove and --output/],
    [[path, '-o', '/tmp/never'], /A file takes one table, and these are 2/],
  ]
  for (const [args, message] of cases) {
    const { code, stderr } = await captured(['compile', ...args])
    assert.equal(code, 2, args.join(' '))
    assert.match(stderr, message)
  }
  const refused = await captured(['compile', await file(context, A.replace('path:', 'pth:'))])
  assert.deepEqual([refused.code, refused.stdout], [1, ''])
})
