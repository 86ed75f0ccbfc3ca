// SPDX-License-Identifier: Apache-2.0
// The verdicts that a real API server gave (test/cluster/validator.test.ts asks it), and what it gives for metadata and for status.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, test } from 'node:test'
import { readDefinitions } from '../crds/definitions.ts'
import { randomObjects, RECORD, recordOf, type Verdict } from '../test/support/documents.ts'
import { admit, isCustomKind } from './admission.ts'
import { parseDocuments } from './document.ts'
import { Notes } from './notes.ts'
import { text } from './tree.ts'
import type { Finding } from './types.ts'

function errorsOf(object: unknown): readonly Finding[] {
  const { source, roots } = parseDocuments(JSON.stringify(object), 'object')
  const notes = new Notes(source)
  const [root] = roots
  assert.ok(root !== undefined)
  const [kind, version] = [text(root, 'kind') ?? '', text(root, 'apiVersion') ?? '']
  assert.ok(isCustomKind(kind, version))
  admit(root, kind, version, notes)
  return notes.findings.filter(({ severity }) => severity === 'error')
}

function judge(object: unknown): Verdict {
  const errors = errorsOf(object)
  return { strict: errors.length === 0, lenient: errors.every(({ code }) => code === 'MERLON_POLICY_UNKNOWN_FIELD') }
}

test('500 objects get the verdicts that an API server gave', () => {
  const recorded = readFileSync(RECORD, 'utf8')
  const count = recorded.split('\n').slice(3).join('').length
  assert.ok(count >= 500)
  const objects = randomObjects(readDefinitions(), count).map(({ object }) => object)
  assert.equal(recordOf(objects, objects.map(judge)), recorded, 'after a change of crds/ or of the objects, UPDATE=1 node --test test/cluster/validator.test.ts')
})

describe('metadata', () => {
  const policy = (metadata: unknown): unknown => ({ apiVersion: 'security.kubearmor.com/v1', kind: 'KubeArmorPolicy', metadata, spec: {} })
  const codes = (metadata: unknown): readonly string[] => errorsOf(policy(metadata)).map(({ code }) => code.replace('MERLON_POLICY_', ''))

  test('a name, or what one is made from', () => {
    for (const metadata of [{ name: 'a.b-c' }, { generateName: 'a-' }, { name: 'x'.repeat(253) }, { name: 'a', generateName: 'A' }]) assert.deepEqual(codes(metadata), [], JSON.stringify(metadata))
    for (const metadata of [{}, null, { name: '' }, { name: '', generateName: '' }]) assert.deepEqual(codes(metadata), ['REQUIRED'], JSON.stringify(metadata))
    for (const metadata of [{ name: 'A' }, { name: 'a b' }, { name: '-a' }, { name: 'a..b' }, { name: 'x'.repeat(254) }, { generateName: 'a.' }]) assert.deepEqual(codes(metadata), ['INVALID_NAME'], JSON.stringify(metadata))
  })

  test('labels and annotations', () => {
    const labels = (key: string, value: unknown): readonly string[] => codes({ name: 'x', labels: { [key]: value } })
    assert.deepEqual([labels('a.b/c_D', ''), labels('a', 'x'.repeat(63)), labels('a', null)], [[], [], []])
    assert.deepEqual([labels('a', 'x'.repeat(64)), labels('a/b/c', ''), labels('x'.repeat(64), ''), labels('A/b', ''), labels('a', 1)], [['INVALID_NAME'], ['INVALID_NAME'], ['INVALID_NAME'], ['INVALID_NAME'], ['WRONG_TYPE']])
    const annotations = (key: string, value: unknown): readonly string[] => codes({ name: 'x', annotations: { [key]: value } })
    assert.deepEqual([annotations('A/b', 'any text\n'), annotations('a b', ''), annotations('a', 'x'.repeat(256 * 1024))], [[], ['INVALID_NAME'], ['TOO_LONG']])
  })

  test('fields that the server writes have their types', () => {
    assert.deepEqual(codes({ name: 'x', creationTimestamp: null, uid: 'u', generation: 3, finalizers: ['a/b'], managedFields: [{}] }), [])
    assert.deepEqual([codes({ name: 'x', creationTimestamp: '2026-02-30T00:00:00Z' }), codes({ name: 'x', generation: '3' }), codes({ name: 'x', unknown: 1 })], [['BAD_FORMAT'], ['WRONG_TYPE'], ['UNKNOWN_FIELD']])
  })
})

test('a status is dropped on creation: only fields that there are not are told', () => {
  const codes = (status: unknown): readonly string[] => errorsOf({ apiVersion: 'security.kubearmor.com/v1', kind: 'KubeArmorPolicy', metadata: { name: 'x' }, spec: {}, status }).map(({ code, message }) => `${code.replace('MERLON_POLICY_', '')} ${message}`)
  assert.deepEqual(codes({ status: 3, conditions: 'none', rules: { total: 'many' } }), [])
  assert.deepEqual(codes({ odd: 1, conditions: [{ odd: 2 }], failures: { odd: 3 } }), ['UNKNOWN_FIELD unknown field status.odd', 'UNKNOWN_FIELD unknown field status.conditions[0].odd', 'UNKNOWN_FIELD unknown field status.failures.odd'])
})

test('what is absent is not told apart from null, but in lists', () => {
  const codes = (spec: unknown): readonly string[] => errorsOf({ apiVersion: 'security.kubearmor.com/v1', kind: 'KubeArmorPolicy', metadata: { name: 'x' }, spec }).map(({ code }) => code.replace('MERLON_POLICY_', ''))
  assert.deepEqual([codes(null), codes({ process: null, selector: { matchLabels: { a: null } }, file: { matchPaths: [{ path: '/x', pts: null, readOnly: null }] } })], [[], []])
  assert.deepEqual([codes({ file: { matchPaths: [null] } }), codes({ tags: [null] }), codes({ file: { matchPaths: [{ path: null }] } })], [['WRONG_TYPE'], ['WRONG_TYPE'], ['REQUIRED']])
})
