// SPDX-License-Identifier: Apache-2.0
// From mutated manifests to tables: no throw that is no finding, no hang, nothing accepted in silence. MERLON_FUZZ sets how many are read (1,000);
// with MERLON_SEED a run is the same again.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { composeDocuments, parseDocuments, type Node } from '../../policy/document.ts'
import { compile } from '../../policy/compile.ts'
import { evaluate } from '../../policy/evaluate.ts'
import { FINDINGS } from '../../policy/findings.ts'
import { lint } from '../../policy/lint.ts'
import { openTable } from '../../policy/lookup.ts'
import { makePlan } from '../../policy/plan.ts'
import { readManifests, type Manifests } from '../../policy/read.ts'
import { renderJson, renderText } from '../../policy/render.ts'
import { ask } from '../../policy/testing.ts'
import { isPathMatch } from '../../policy/types.ts'
import { makeSource } from '../../policy/source.ts'
import type { Finding, PathMatch, Policy, Workload } from '../../policy/types.ts'
import { verifyTable } from '../../policy/verify.ts'
import { unaccounted } from './account.ts'
import { mutated } from './mutate.ts'
import { seeds } from './seeds.ts'

const COUNT = Number(process.env['MERLON_FUZZ'] ?? 1000)
const SEED = Number(process.env['MERLON_SEED'] ?? 11)
/** A hang has no end: what is only slow on a busy machine takes a hundredth of it. Processor time of this process. */
const MOST_MICROSECONDS = 20_000_000

const SEEDS = seeds()

function checkFinding({ code, severity, message, hint, position, text }: Finding, content: string): void {
  assert.ok(Object.hasOwn(FINDINGS, code), code)
  assert.ok(severity === 'error' || severity === 'warning')
  assert.ok(position.line >= 1 && position.column >= 1 && position.line <= content.split(/\r\n|\r|\n/).length + 1, `${code} at ${position.line}:${position.column}`)
  assert.ok(text.length <= 80 && message !== '' && hint !== '' && !/\bundefined\b|\[object /.test(message + hint), `${message}: ${hint}`)
  // A word that nobody filled in; what people write in braces is quoted from their text.
  for (const [word] of (message + hint).matchAll(/\{[a-z]+\}/g)) assert.ok(content.includes(word.slice(1, -1)), message + hint)
}

function workloadOf({ kind, namespace, selector: { matchLabels, containers } }: Policy): Workload {
  return { host: kind === 'KubeArmorHostPolicy', namespace: namespace || 'default', pod: '', container: containers[0] ?? '', labels: matchLabels }
}

/** What a plan of these policies says, and what its table says: the same, or why there is none. */
function checkTables({ policies }: Manifests): void {
  for (const policy of policies) {
    const plan = makePlan(policies, workloadOf(policy), { filePosture: 'block' })
    const result = compile(plan)
    if (!result.ok) {
      assert.ok(result.findings.length > 0)
      continue
    }
    assert.deepEqual(verifyTable(result.table), { ok: true })
    const table = openTable(result.table)
    const questions = plan.clauses.slice(0, 5).flatMap(({ matches }) => (['exec', 'read', 'write'] as const).map((operation) => ask(operation, near(matches.find(isPathMatch)))))
    for (const question of questions) assert.deepEqual(table.decide(question), evaluate(plan, question))
  }
}

/** A path that the match covers, or one like it. */
function near(match: PathMatch | undefined): string {
  switch (match?.kind) {
    case 'path':
      return match.path
    case 'dir':
      return `${match.dir}x`
    case 'name':
      return `/${match.name}`
    case 'pattern':
      return match.pattern
    case undefined:
      return '/'
  }
}

/** The quick reader gives the tree that the complete one gives, places and all, or leaves the text to it. */
function checkReaders(content: string): boolean {
  const { quick, roots } = parseDocuments(content, 'x.yaml')
  if (!quick) return false
  const complete = composeDocuments(content, makeSource(content, 'x.yaml'))
  assert.deepEqual(complete.findings, [])
  assert.deepEqual(roots.map((root) => shown(root, content)), complete.roots.map((root) => shown(root, content)))
  return true
}

/** A tree with all that is said of it: values, where they begin, and their first line. */
function shown(node: Node, content: string): unknown {
  const at = node.span.start
  const text = content.slice(at, node.span.end).split(/\r?\n/, 1)[0]
  if (node.kind === 'scalar') return { at, text, value: node.value }
  if (node.kind === 'list') return { at, text, items: node.items.map((item) => shown(item, content)) }
  return { at, text, entries: [...node.entries].map(([key, entry]) => [key, entry.key.start, shown(entry.value, content)]) }
}

function check(content: string): Manifests {
  const before = process.cpuUsage()
  const read = readManifests(content, 'x.yaml')
  for (const each of read.findings) checkFinding(each, content)
  assert.deepEqual(unaccounted(content, read), [])
  const report = lint([{ file: 'x.yaml', text: content }])
  assert.ok(read.findings.every(({ code }) => report.findings.some((each) => each.code === code)), 'lint says all that the reader says')
  JSON.parse(renderJson(report))
  assert.doesNotMatch(renderText(report, new Map([['x.yaml', content]])).replaceAll('\n', ''), /\p{Cc}/u)
  checkTables(read)
  assert.ok(process.cpuUsage(before).user < MOST_MICROSECONDS, 'it took too long')
  return read
}

test('the seeds themselves are read: every policy is there, or refused with a reason', () => {
  for (const content of SEEDS) check(content)
  const read = SEEDS.map((content) => readManifests(content, 'x.yaml'))
  assert.ok(read.flatMap(({ policies }) => policies).length >= 4)
  assert.ok(read.flatMap((each) => [...each.policies, ...each.refused]).length >= 8)
})

test('mutated manifests: findings or tables, and never neither', () => {
  const seen = { policies: 0, refused: 0, quick: 0, findings: new Set<string>() }
  fc.assert(
    fc.property(mutated(SEEDS), (content) => {
      const { policies, refused, findings } = check(content)
      if (checkReaders(content)) seen.quick++
      seen.policies += policies.length
      seen.refused += refused.length
      for (const { code } of findings) seen.findings.add(code)
    }),
    { numRuns: COUNT, seed: SEED },
  )
  // Mutations that are all refused at the door, or none, would test nothing.
  assert.ok(seen.policies > COUNT / 20 && seen.refused > COUNT / 20 && seen.quick > COUNT / 20 && seen.findings.size > 15, JSON.stringify({ ...seen, findings: [...seen.findings] }))
})
