// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { askingOf, WORDS } from './asking.ts'
import { readDeviceKey, readFlowKey, readNetworkKey } from './keys.ts'
import type { Question } from './types.ts'
import { wordsFor } from './words.ts'

const ask = (operation: string, resource: string): Question => {
  const asking = askingOf({ operation, resource, sources: [] })
  assert.ok(asking.ok, asking.ok ? '' : asking.problem)
  return asking.question
}
const problem = (operation: string, resource: string): string => {
  const asking = askingOf({ operation, resource, sources: [] })
  return asking.ok ? '' : asking.problem
}

test('what changes a file is a write, whatever it changes', () => {
  for (const word of ['create', 'unlink', 'rename', 'chmod', 'setxattr', 'truncate']) assert.equal(ask(word, '/a/../b').operation, 'write')
  assert.equal(new TextDecoder().decode(ask('unlink', '/a/../b').path), '/b')
  assert.deepEqual([ask('open', '/a').operation, ask('exec', '/a').operation], ['read', 'exec'])
})

test('sockets are asked about by a word or by numbers, and packets and devices by their parts', () => {
  assert.deepEqual(readNetworkKey(ask('connect', 'TCP').path), { family: 2, type: 1, protocol: 6 })
  assert.deepEqual(readNetworkKey(ask('bind', '10/2/17').path), { family: 10, type: 2, protocol: 17 })
  assert.deepEqual(readDeviceKey(ask('device', '8/6/80/2').path), { class: 8, subClass: 6, protocol: 80, level: 2 })
  const packet = readFlowKey(ask('egress', 'udp/fd00::1/53/eth0').path)
  assert.deepEqual([packet?.direction, packet?.transport, packet?.port, packet?.address[0], new TextDecoder().decode(packet?.iface)], ['egress', 17, 53, 0xfd, 'eth0'])
})

test('every key is told in words', () => {
  const said: readonly (readonly [operation: string, resource: string, words: string])[] = [
    ['dns', 'WWW.a.example.', 'the name www.a.example'],
    ['capability', 'CAP_BPF', 'capability bpf'],
    ['preset', 'exec', 'preset exec'],
    ['syscall', 'unlink /a/x', 'system call unlink on /a/x'],
    ['mount', '', 'system call mount'],
    ['connect', 'udp', 'a socket of family inet, type dgram, protocol udp'],
    ['device', '8/6/80/2', 'a device of class 8, subclass 6, protocol 80 at level 2'],
    ['ingress', 'tcp/10.0.0.1/443', 'tcp from 10.0.0.1, port 443'],
  ]
  for (const [operation, resource, words] of said) assert.equal(wordsFor(ask(operation, resource)), words)
})

test('what cannot be asked is told', () => {
  assert.match(problem('open', 'a'), /is no absolute path/)
  assert.match(problem('connect', 'tcp/1'), /is no protocol/)
  assert.match(problem('connect', '2/1/99999'), /is no protocol/)
  assert.match(problem('capability', 'fly'), /is no capability/)
  assert.match(problem('syscall', 'fly'), /is no system call/)
  assert.match(problem('syscall', 'unlink x'), /is no absolute path/)
  assert.match(problem('egress', 'tcp/10.0.0.1/99999'), /is no packet/)
  assert.match(problem('jump', '/a'), /is no operation/)
  for (const word of WORDS) assert.doesNotMatch(problem(word, ''), /is no operation/, word)
})
