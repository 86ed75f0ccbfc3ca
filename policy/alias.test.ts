// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DIRECTORY_LINKS, expand, expandPath, expandSources } from './alias.ts'

test('every well-known link and what lies below it has the name that the kernel reports', () => {
  for (const [link, target] of DIRECTORY_LINKS) {
    assert.deepEqual(expandPath(link), [link, target])
    assert.deepEqual(expandPath(`${link}/a/b`), [`${link}/a/b`, `${target}/a/b`])
  }
})

test('names that only look alike, and the targets themselves, are left alone', () => {
  for (const path of ['/binary', '/lib3/x', '/usr/bin/ls', '/run/lock/x', '/var/running', '/home/bin/x', '/']) assert.deepEqual(expandPath(path), [path])
})

test('/var/run/lock is /run/lock, whichever link one takes', () => {
  assert.deepEqual(expandPath('/var/run/lock/x'), ['/var/run/lock/x', '/run/lock/x'])
  assert.deepEqual(expandPath('/var/lock/x'), ['/var/lock/x', '/run/lock/x'])
})

test('directories keep their slash, patterns are expanded where the link is spelt out, names have no aliases', () => {
  assert.deepEqual(expand({ kind: 'dir', dir: '/sbin/', recursive: true }, 'file'), [
    { kind: 'dir', dir: '/sbin/', recursive: true },
    { kind: 'dir', dir: '/usr/sbin/', recursive: true },
  ])
  assert.deepEqual(expand({ kind: 'pattern', pattern: '/bin/*sh' }, 'file').length, 2)
  assert.deepEqual(expand({ kind: 'pattern', pattern: '/bin*/sh' }, 'file').length, 1)
  assert.deepEqual(expand({ kind: 'name', name: 'bin' }, 'file'), [{ kind: 'name', name: 'bin' }])
})

test('sources are a set in a fixed order', () => {
  assert.deepEqual(expandSources(['/usr/bin/sh', '/bin/sh', '/bin/sh']), ['/bin/sh', '/usr/bin/sh'])
})
