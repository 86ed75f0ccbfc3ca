// SPDX-License-Identifier: Apache-2.0
// What becomes of policies, file by file: our own cases (cases/, cases.tsv), which have the shapes that people write, and the policies that others
// wrote (others.tsv). UPDATE=1 writes both anew. No rule is dropped in silence: each that is written, counted without our reader, is compiled, or
// a finding stands at it.
import assert from 'node:assert/strict'
import { globSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { planAlone } from '../../policy/alone.ts'
import { compile } from '../../policy/compile.ts'
import { readManifests, type Manifests } from '../../policy/read.ts'
import type { Plan, Policy } from '../../policy/types.ts'
import { corpus } from '../support/corpus.ts'
import { writtenRules } from '../support/count.ts'

const HEADER = 'file\tverdict\trules in\trules compiled\trules named\ttable bytes'

/** As if it were not switched off. */
function planOf(policy: Policy): Plan {
  return planAlone([{ ...policy, mode: 'Enforce' }], { filePosture: 'audit' })
}

interface Outcome {
  readonly verdict: string
  readonly rules: number
  readonly compiled: number
  readonly named: number
  readonly bytes: number
  /** Rules that are neither compiled nor named. */
  readonly dropped: readonly string[]
}

function outcomeOf(file: string, text: string): Outcome {
  const manifests = readManifests(text, file)
  const written = writtenRules(text) ?? []
  const plans = manifests.policies.map(planOf)
  const tables = plans.map((plan) => compile(plan))
  const places = plans.flatMap(({ clauses }) => clauses.map(({ origin }) => origin.position.line))
  const isAt = (lines: readonly number[], first: number, last: number): boolean => lines.some((each) => each >= first && each <= last)
  const compiled = written.filter(({ line, lastLine }) => isAt(places, line, lastLine))
  // A finding at the rule, or a refusal of all of its document, which says why.
  const { findings } = manifests
  const own = findings.map(({ position }) => position.line)
  const whole = [...manifests.refused, ...findings.filter(({ code }) => code === 'MERLON_POLICY_YAML_SYNTAX')].map(({ position }) => position.line)
  const named = written.filter((rule) => !compiled.includes(rule) && (isAt(own, rule.line, rule.lastLine) || isAt(whole, ...rule.document)))
  const dropped = written.filter((rule) => !compiled.includes(rule) && !named.includes(rule))
  return {
    verdict: verdictOf(manifests, tables.every(({ ok }) => ok)),
    rules: written.length,
    compiled: compiled.length,
    named: named.length,
    bytes: tables.reduce((sum, table) => sum + (table.ok ? table.table.length : 0), 0),
    dropped: dropped.map(({ line }) => `${file}:${line}`),
  }
}

function verdictOf({ policies, findings }: Manifests, compiles: boolean): string {
  const errors = findings.filter(({ severity }) => severity === 'error').map(({ code, position }) => `${code.replace('MERLON_POLICY_', '')}:${position.line}`)
  if (errors.length > 0) return errors.slice(0, 4).join(' ') + (errors.length > 4 ? ` and ${errors.length - 4} more` : '')
  if (!compiles) return 'does not compile'
  return policies.length > 0 ? 'accepted' : 'no policy'
}

/** Compares what becomes of every file of a directory with the golden file. */
function check(directory: string, golden: string): void {
  const files = globSync('**/*.{yaml,yml}', { cwd: directory }).sort()
  const outcomes = files.map((file) => [file, outcomeOf(file, readFileSync(join(directory, file), 'utf8'))] as const)
  assert.deepEqual(outcomes.flatMap(([, { dropped }]) => dropped), [], 'rules dropped in silence')
  for (const [file, { rules, compiled, named }] of outcomes) assert.equal(rules, compiled + named, file)
  const lines = outcomes.map(([file, { verdict, rules, compiled, named, bytes }]) => [file, verdict, rules, compiled, named, bytes].join('\t'))
  const text = `${[HEADER, ...lines].join('\n')}\n`
  const path = join(import.meta.dirname, golden)
  if (process.env['UPDATE'] === '1') writeFileSync(path, text)
  assert.equal(text, readFileSync(path, 'utf8'), `${golden}: UPDATE=1 writes it anew`)
}

test('what becomes of our own cases', () => {
  check(join(import.meta.dirname, 'cases'), 'cases.tsv')
})

const others = corpus()
test('what becomes of the policies that others wrote', { skip: others.ok ? false : others.why }, () => {
  assert.ok(others.ok)
  check(others.directory, 'others.tsv')
  assert.ok(others.expected.length > 300)
})
