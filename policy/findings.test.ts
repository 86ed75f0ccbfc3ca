// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { FINDINGS, finding, type FindingCode } from './findings.ts'
import { NOWHERE } from './testing.ts'

const page = readFileSync(new URL('../docs/errors.md', import.meta.url), 'utf8')
const sections = new Map(
  page
    .split(/^### /m)
    .slice(1)
    .map((section) => [section.slice(0, section.indexOf('\n')).trim(), section] as const)
    .filter(([code]) => code.startsWith('MERLON_POLICY_')),
)

// That the page and the sources list the same codes is held by docs/errors.test.ts.

test('docs/errors.md gives each code its severity', () => {
  for (const [code, { severity }] of Object.entries(FINDINGS)) {
    assert.match(sections.get(code) ?? '', new RegExp(`\\*${severity}\\*`), code)
  }
})

test('every code says what it is about and what to do', () => {
  for (const [code, { message, hint }] of Object.entries(FINDINGS)) {
    assert.match(code, /^MERLON_POLICY_[A-Z_]+$/)
    assert.ok(message.length > 10 && !message.endsWith('.'), code)
    assert.ok(hint.length > 5, code)
  }
})

test('a finding fills in the words that it is given, and cuts its text to one line of 80 characters', () => {
  const code: FindingCode = 'MERLON_POLICY_NOT_ALLOWED'
  const made = finding(code, { position: NOWHERE, text: `${'x'.repeat(100)}\nsecond` }, { path: 'spec.action', suggestion: 'use one of Allow, Block' })
  assert.equal(made.message, 'spec.action does not allow this value')
  assert.equal(made.hint, 'use one of Allow, Block')
  assert.equal(made.text.length, 80)
  assert.ok(made.text.endsWith('…'))
  assert.equal(finding(code, { position: NOWHERE, text: 'a\r\nb' }).text, 'a')
})
