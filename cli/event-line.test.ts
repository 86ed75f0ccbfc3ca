// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { decodeAlert, encodeAlert } from '../proto/load.ts'
import { eventJson, eventLine, type ShownEvent } from './event-line.ts'
import { isWanted } from './events.ts'

const EXEC: ShownEvent = {
  UpdatedTime: '2026-11-22T06:41:03.120000Z',
  HostName: 'node-1',
  NamespaceName: 'demo',
  PodName: 'web-0',
  ContainerName: 'web',
  ParentProcessName: '/bin/sh',
  ProcessName: '/usr/bin/wget',
  Source: '/bin/sh',
  Operation: 'Process',
  Resource: '/usr/bin/wget -q x',
  Result: 'Permission denied',
  Action: 'Block',
  PolicyName: 'block-shell-tools',
}
const plain = { colour: false }

test('an exec shows the caller, a file the process itself', () => {
  assert.equal(eventLine(EXEC, plain), 'BLOCK 06:41:03 demo/web-0/web /bin/sh exec "/usr/bin/wget -q x" by block-shell-tools')
  const file = { ...EXEC, Operation: 'File', Resource: '/etc/passwd', Action: 'Audit', ProcessName: '/bin/cat' }
  assert.equal(eventLine(file, plain), 'AUDIT 06:41:03 demo/web-0/web /bin/cat file /etc/passwd by block-shell-tools')
})

test('hosts, logs and what is missing have their words', () => {
  const host = { ...EXEC, NamespaceName: '', PodName: '', ContainerName: '', ParentProcessName: '', Source: '', UpdatedTime: '' }
  assert.equal(eventLine(host, plain), 'BLOCK --:--:-- host:node-1 ? exec "/usr/bin/wget -q x" by block-shell-tools')
  const { Action: _action, PolicyName: _policy, ...log } = EXEC
  assert.equal(eventLine(log, plain), 'LOG   06:41:03 demo/web-0/web /bin/sh exec "/usr/bin/wget -q x"')
  assert.match(eventLine({ ...EXEC, Action: 'Audit (Block)' }, plain), /^AUDIT /)
})

test('the verdict is coloured where that is wanted', () => {
  assert.ok(eventLine(EXEC, { colour: true }).startsWith('\u001b[31mBLOCK\u001b[0m 06:41:03'))
  assert.ok(eventLine({ ...EXEC, Action: 'Audit' }, { colour: true }).startsWith('\u001b[33mAUDIT\u001b[0m'))
})

test('an event cannot act on the terminal, whatever its fields hold', () => {
  const text = fc.string({ unit: 'binary' })
  const event = fc.record({
    UpdatedTime: text, HostName: text, NamespaceName: text, PodName: text, ContainerName: text, ParentProcessName: text,
    ProcessName: text, Source: text, Operation: text, Resource: text, Result: text, Action: text, PolicyName: text,
  })
  fc.assert(fc.property(event, (fields) => assert.doesNotMatch(eventLine(fields, plain), /[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u)))
})

test('long parts are cut to the width, short ones stay whole', () => {
  const line = eventLine({ ...EXEC, Resource: `/${'very-long-'.repeat(40)}end` }, { colour: false, width: 100 })
  assert.ok(Array.from(line).length <= 100, `${line.length}: ${line}`)
  assert.ok(line.startsWith('BLOCK 06:41:03 demo/web-0/web /bin/sh exec /very-long-'))
  assert.ok(line.endsWith('end by block-shell-tools'))
})

test('JSON has the names of KubeArmor and leaves out what is empty, but never user and parent 0', () => {
  const alert = decodeAlert(encodeAlert({ Timestamp: 5, PodName: 'web', HostPID: 7, Owner: { Name: 'web' }, ATags: ['a'], EventData: { Lsm: 'FILE_OPEN' }, ProcessHash: Buffer.from([1, 2]) }))
  assert.deepEqual(JSON.parse(eventJson(alert)), {
    Timestamp: 5, PodName: 'web', HostPID: 7, PPID: 0, UID: 0, ATags: ['a'], Owner: { Name: 'web' }, ProcessHash: 'AQI=', EventData: { Lsm: 'FILE_OPEN' },
  })
  assert.equal(eventJson({ Resource: 'a\nb' }), '{"Resource":"a\\nb"}')
})

test('filters narrow down, each by its own field', () => {
  const all = { namespace: undefined, pod: undefined, container: undefined, operation: undefined }
  assert.ok(isWanted(EXEC, all))
  assert.ok(isWanted(EXEC, { namespace: 'demo', pod: 'web-', container: 'web', operation: 'process' }))
  for (const other of [{ namespace: 'dem' }, { pod: 'eb-0' }, { container: 'we' }, { operation: 'File' }]) {
    assert.ok(!isWanted(EXEC, { ...all, ...other }), JSON.stringify(other))
  }
})
