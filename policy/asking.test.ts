// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { askingOf, WORDS, type Asked } from './asking.ts'
import type { Question } from './types.ts'
import { wordsFor } from './words.ts'

const ask = (operation: string, resource: string, more: Partial<Asked> = {}): Question => {
  const asking = askingOf({ operation, resource, ...more })
  assert.ok(asking.ok, asking.ok ? '' : asking.problem)
  return asking.question
}
const problem = (operation: string, resource: string, more: Partial<Asked> = {}): string => {
  const asking = askingOf({ operation, resource, ...more })
  return asking.ok ? '' : asking.problem
}
const text = (bytes: Uint8Array | undefined): string => new TextDecoder().decode(bytes)

test('what changes a file is a write, whatever it changes', () => {
  for (const word of ['create', 'unlink', 'rename', 'chmod', 'setxattr', 'truncate']) assert.equal(ask(word, '/a/../b').operation, 'write')
  assert.equal(text(ask('unlink', '/a/../b').path), '/b')
  assert.deepEqual([ask('open', '/a').operation, ask('open', '/a', { write: true }).operation, ask('exec', '/a').operation], ['read', 'write', 'exec'])
})

test('whatever is done to a socket is about the socket, and some words are system calls', () => {
  for (const word of ['socket', 'connect', 'bind', 'listen', 'accept', 'network']) assert.equal(wordsFor(ask(word, 'udp')), 'a socket of family inet, type dgram, protocol udp')
  assert.equal(wordsFor(ask('mount', '')), 'system call mount')
  assert.equal(wordsFor(ask('mount', '/a//b')), 'system call mount on /a/b')
})

test('who does it, and how it was started', () => {
  const { sources, invoked, args, owner, tty, overQuota } = ask('exec', '/bin/busybox', { source: '/bin/./sh', parent: '/init', invoked: '/bin/ls', args: ['-l'], notOwner: true, tty: true })
  assert.deepEqual([sources.map(text), text(invoked), args?.map(text), owner, tty, overQuota], [['/bin/sh', '/init'], 'ls', ['', '-l'], false, true, undefined])
  assert.equal(ask('open', '/x').owner, true)
})

test('what says nothing of the operation is refused, not left out', () => {
  const cases: readonly (readonly [operation: string, resource: string, more: Partial<Asked>, complaint: RegExp])[] = [
    ['unlink', '/x', { write: true }, /^only open may be for writing$/],
    ['exec', '/x', { write: true }, /^only open/],
    ['connect', 'tcp', { notOwner: true }, /^only files have an owner$/],
    ['open', '/x', { overQuota: true }, /^only ingress and egress have limits$/],
    ['open', '/x', { parent: '/bin/sh' }, /^only exec has a parent/],
    ['open', '/x', { args: [] }, /^only exec has arguments/],
    ['dns', 'a.b', { invoked: 'x' }, /^only exec has arguments/],
  ]
  for (const [operation, resource, more, complaint] of cases) assert.match(problem(operation, resource, more), complaint)
  assert.equal(problem('rename', '/x', { notOwner: true }), '')
  assert.equal(problem('egress', '10.0.0.1:80', { overQuota: true }), '')
})

test('what cannot be asked is told', () => {
  assert.match(problem('open', 'a'), /write an absolute path$/)
  assert.match(problem('connect', '2/1/99999'), /is no object of network/)
  assert.match(problem('capability', 'fly'), /is no object of capability/)
  assert.match(problem('open', '/a', { source: 'sh' }), /the executable "sh" is no absolute path/)
  assert.match(problem('jump', '/a'), /"jump" is no operation/)
  for (const word of WORDS) assert.doesNotMatch(problem(word, ''), /is no operation/, word)
})
