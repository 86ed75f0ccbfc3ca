// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { EVENT, view } from './abi.ts'
import { readEvent, readRecords } from './records.ts'
import { batch, record } from './testing/event.ts'

test('readEvent() gives every field', () => {
  const event = readEvent(record({ path: '/usr/bin/ls', args: ['ls', '', '-l'], boundId: 7n, uid: 1000, reason: 2 }))
  assert.deepEqual(event, {
    kind: 1, op: 0, verdict: 2, timeNs: 5_000_000_000n, cgroupId: 11n, boundId: 7n, generation: 0n, serial: 1, clause: 1, reason: 2, flags: 0,
    hostPid: 3826, hostTid: 0, hostPpid: 3820, pid: 55, ppid: 1, uid: 1000, mntNs: 0, pidNs: 0, comm: 'dash', tty: 'pts0',
    path: '/usr/bin/ls', exe: '/bin/dash', parentExe: '/usr/bin/runc', args: ['ls', '', '-l'],
  })
})

test('readRecords() finds each record of a batch, whatever their lengths', () => {
  const paths = ['/a', '/ab', '/abc', '/abcd', '/abcde', '/abcdef', '/abcdefg', '/abcdefgh', '/abcdefghi']
  const { events, malformed } = readRecords(batch(...paths.map((path) => record({ path }))))
  assert.deepEqual(events.map((event) => event.path), paths)
  assert.equal(malformed, 0)
})

test('bytes that are not UTF-8 are replaced, not dropped', () => {
  assert.equal(readEvent(record({ path: new Uint8Array([0x2f, 0xff, 0x61]) }))?.path, '/\ufffda')
})

test('a byte order mark at the beginning of a name is a part of it', () => {
  assert.deepEqual(readEvent(record({ args: ['\ufeffls', '\ufeff'] }))?.args, ['\ufeffls', '\ufeff'])
})

test('records whose lengths disagree are counted, and the next one is found', () => {
  const lying = record()
  view(lying).setUint16(EVENT.path_len, 60_000, true)
  const { events, malformed } = readRecords(batch(lying, new Uint8Array(10), record({ path: '/ok' })))
  assert.deepEqual(events.map((event) => event.path), ['/ok'])
  assert.equal(malformed, 2)
})

test('a full comm and an empty tty are read to their ends', () => {
  const event = readEvent(record({ comm: 'sixteen-bytes-xy', tty: '' }))
  assert.deepEqual([event?.comm, event?.tty], ['sixteen-bytes-xy', ''])
})
