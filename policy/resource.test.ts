// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { CAPABILITIES, PRESETS } from './names.ts'
import { readResource } from './resource.ts'
import { SYSCALL_NUMBERS } from './syscalls.ts'
import { OPERATIONS, type Operation } from './types.ts'
import { resourceFor, wordsFor } from './words.ts'

/** What was understood, in the words of `merlon why`; or the complaint. */
function understood(operation: Operation, text: string): string {
  const read = readResource(operation, text)
  return read.ok ? wordsFor({ operation, path: read.path }) : `? ${read.problem}`
}

const CASES: readonly (readonly [operation: Operation, text: string, words: string])[] = [
  ['exec', '/bin//ls', '/bin/ls'],
  ['network', 'tcp', 'a socket of family inet, type stream, protocol tcp'],
  ['network', 'UNIX', 'a socket of family unix, type stream, protocol 0'],
  ['network', 'inet6/dgram/udp', 'a socket of family inet6, type dgram, protocol udp'],
  ['network', '16/3/0x1', 'a socket of family netlink, type raw, protocol icmp'],
  ['dns', 'WWW.Example.com.', 'the name www.example.com'],
  ['capability', 'CAP_NET_RAW', 'capability net_raw'],
  ['syscall', 'unlink', 'system call unlink'],
  ['syscall', 'unlink /home/a b', 'system call unlink on /home/a b'],
  ['preset', 'FILELESSEXEC', 'preset filelessExec'],
  ['device', 'mass-storage', 'a device of class 8, subclass 0, protocol 0 at level 1'],
  ['device', 'audio/video@3', 'a device of class 16, subclass 0, protocol 0 at level 3'],
  ['device', '8/0x6/80@2', 'a device of class 8, subclass 6, protocol 80 at level 2'],
  ['egress', '10.0.0.1:443', 'tcp to 10.0.0.1, port 443'],
  ['ingress', '[fd00::1]:53/udp%eth0', 'udp from fd00:0:0:0:0:0:0:1, port 53, on eth0'],
  ['egress', 'fd00::1/icmpv6', 'icmpv6 to fd00:0:0:0:0:0:0:1, port 0'],
]

for (const [operation, text, words] of CASES) test(`${operation} ${text}`, () => assert.equal(understood(operation, text), words))

test('what is understood can be written again, and means the same', () => {
  for (const [operation, text] of CASES) {
    const read = readResource(operation, text)
    assert.ok(read.ok)
    assert.deepEqual(readResource(operation, resourceFor({ operation, path: read.path })), read, `${operation} ${text}`)
  }
})

test('what is none is refused with how to write it, and with what may have been meant', () => {
  const wrong: readonly (readonly [Operation, string, RegExp])[] = [
    ['exec', 'ls', /write an absolute path$/],
    ['network', 'tpc', /did you mean tcp\?$/],
    ['network', 'inet/stream', /FAMILY\/TYPE\/PROTOCOL/],
    ['network', 'inet/stream/tcp/x', /FAMILY/],
    ['dns', '', /a name, such as/],
    ['capability', 'net_rwa', /did you mean net_raw\?$/],
    ['syscall', 'unlnik', /did you mean unlink\?$/],
    ['syscall', 'unlink home', /perhaps a path/],
    ['preset', 'x', /one of filelessExec/],
    ['device', '256', /CLASS/],
    ['device', 'MASS-STORAG', /did you mean MASS-STORAGE\?$/],
    ['egress', '10.0.0.256', /ADDRESS/],
    ['egress', '10.0.0.1:70000', /ADDRESS/],
    ['egress', '10.0.0.0/8', /ADDRESS|no object/],
  ]
  for (const [operation, text, complaint] of wrong.slice(0, -1)) assert.match(understood(operation, text), new RegExp(`^\\? .* is no object of ${operation}: .*${complaint.source}`), `${operation} ${text}`)
  assert.equal(understood('egress', '10.0.0.0/8'), 'protocol 8 to 10.0.0.0, port 0', 'a number after the slash is a transport')
})

test('every capability, system call and preset is understood by its name', () => {
  for (const name of CAPABILITIES) assert.equal(understood('capability', name), `capability ${name}`)
  for (const name of SYSCALL_NUMBERS.keys()) assert.equal(readResource('syscall', name).ok, true, name)
  for (const name of PRESETS) assert.equal(understood('preset', name), `preset ${name}`)
})

test('any text gets an answer, and bytes without NUL', () => {
  fc.assert(
    fc.property(fc.constantFrom(...OPERATIONS), fc.oneof(fc.string({ unit: 'binary' }), fc.constantFrom(...CASES.map(([, text]) => text))), (operation, text) => {
      const read = readResource(operation, text)
      if (read.ok) {
        assert.ok(!read.path.includes(0), text)
        assert.deepEqual(readResource(operation, resourceFor({ operation, path: read.path })), read, text)
      } else assert.ok(read.problem.length > 0)
    }),
    { numRuns: 2000, seed: 3 },
  )
})
