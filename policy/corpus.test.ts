// SPDX-License-Identifier: Apache-2.0
// Policies that others wrote, with the verdicts of a real API server.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { corpus } from '../test/support/corpus.ts'
import { readManifests } from './read.ts'

const others = corpus()

/** Codes that we add to what the API server checks. */
const OURS = /^MERLON_POLICY_(INVALID_(PATTERN|PATH|REGEX|DOMAIN|CIDR|INTERFACE|QUOTA)|UNKNOWN_NAME|APPARMOR_LINE)/

test('each document of the corpus is accepted or rejected as the API server does', { skip: others.ok ? false : others.why }, () => {
  assert.ok(others.ok)
  const differences: string[] = []
  for (const { file, verdict, message } of others.expected) {
    const { findings } = readManifests(readFileSync(join(others.directory, file), 'utf8'), file)
    const errors = findings.filter(({ severity, code }) => severity === 'error' && !OURS.test(code))
    const ours = errors.length === 0 ? 'accept' : errors.some(({ code }) => code === 'MERLON_POLICY_YAML_SYNTAX') ? 'yaml-error' : 'reject'
    if (ours !== verdict) differences.push(`${file}: ${verdict} ${message}, but ${ours} ${JSON.stringify(errors[0])}`)
  }
  assert.deepEqual(differences, [])
  assert.ok(others.expected.length > 300, 'a corpus worth the name')
})
