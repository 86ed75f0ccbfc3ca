// SPDX-License-Identifier: Apache-2.0
// Policies that others wrote, with the verdicts of a real API server: MERLON_CORPUS names the directory that holds expected.jsonl.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { readManifests } from './read.ts'

interface Expected {
  readonly file: string
  readonly document: number
  readonly kind: string | null
  readonly verdict: 'accept' | 'reject' | 'yaml-error'
  readonly message: string
}

const corpus = process.env['MERLON_CORPUS']
const skip = corpus === undefined ? 'MERLON_CORPUS is not set: no corpus to compare with' : false
if (skip) console.warn(`SKIPPED: ${skip}`)

/** Codes that we add to what the API server checks. */
const OURS = /^MERLON_POLICY_(UNSUPPORTED_|INVALID_(PATTERN|PATH|REGEX))/

test('each document of the corpus is accepted or rejected as the API server does', { skip }, () => {
  const lines = readFileSync(join(corpus ?? '', 'expected.jsonl'), 'utf8').trim().split('\n')
  const differences: string[] = []
  for (const line of lines) {
    // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the corpus documents this shape
    const expected = JSON.parse(line) as Expected
    const { findings } = readManifests(readFileSync(join(corpus ?? '', expected.file), 'utf8'), expected.file)
    const errors = findings.filter(({ severity, code }) => severity === 'error' && !OURS.test(code))
    const ours = errors.length === 0 ? 'accept' : errors.some(({ code }) => code === 'MERLON_POLICY_YAML_SYNTAX') ? 'yaml-error' : 'reject'
    if (ours !== expected.verdict) differences.push(`${expected.file}: ${expected.verdict} ${expected.message}, but ${ours} ${JSON.stringify(errors[0])}`)
  }
  assert.deepEqual(differences, [])
  assert.ok(lines.length > 300, 'a corpus worth the name')
})
