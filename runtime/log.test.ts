// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { afterEach, describe, it } from 'node:test'
import { createLogger, formatJson, formatText, isLevel, setLogLevel, type LogRecord } from './log.ts'

const record: LogRecord = { time: '2026-01-02T03:04:05.678Z', level: 'info', name: 'agent', message: 'Loaded table', fields: { hash: 'ab12', pages: 3n } }

describe('createLogger()', () => {
  afterEach(() => setLogLevel('info'))

  it('hands records to its sink, with fields of its own', () => {
    const seen: LogRecord[] = []
    const logger = createLogger('x', (entry) => seen.push(entry)).with({ node: 'n1' })
    logger.warn('Lost stream', { attempt: 2 })
    assert.equal(seen.length, 1)
    assert.deepEqual(seen[0]?.fields, { node: 'n1', attempt: 2 })
    assert.equal(seen[0]?.level, 'warn')
  })

  it('follows changes of the level while it lives, for all or for one name', () => {
    const seen: string[] = []
    const one = createLogger('one', (entry) => seen.push(entry.message))
    const two = createLogger('two', (entry) => seen.push(entry.message))
    one.debug('a')
    setLogLevel('debug')
    one.debug('b')
    setLogLevel('error', 'two')
    two.warn('c')
    two.error('d')
    assert.deepEqual(seen, ['b', 'd'])
  })

  it('knows its levels', () => {
    assert.equal(isLevel('warn'), true)
    assert.equal(isLevel('loud'), false)
  })
})

describe('formatJson()', () => {
  it('writes one object, and no field can replace the head', () => {
    const line = formatJson({ ...record, fields: { ...record.fields, level: 'fake', error: Object.assign(new Error('no'), { code: 'EPERM' }) } })
    const parsed = JSON.parse(line) as Record<string, unknown>
    assert.equal(parsed['level'], 'info')
    assert.equal(parsed['pages'], '3')
    assert.equal((parsed['error'] as Record<string, unknown>)['code'], 'EPERM')
    assert.equal((parsed['error'] as Record<string, unknown>)['message'], 'no')
    assert.equal(line.includes('\n'), false)
  })
})

describe('formatText()', () => {
  it('writes time, level, name, message and fields', () => {
    assert.equal(formatText(record), '03:04:05.678 INFO  agent: Loaded table hash=ab12 pages="3"')
  })

  it('quotes what could drive a terminal', () => {
    const line = formatText({ ...record, fields: { path: '/tmp/\u001b[2Jx', name: 'a b', bidi: 'x\u202ey', c1: '\u009b' } })
    assert.equal(line.endsWith('path="/tmp/\\u001b[2Jx" name="a b" bidi="x\\u202ey" c1="\\u009b"'), true, line)
  })
})
