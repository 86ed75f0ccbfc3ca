// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { formClassOf, isWholeKey, isWholePath, keyFormAfter, keyOfForm, pathFormAfter, type KeyForm, type PathForm } from './forms.ts'
import { capabilityKey, deviceKey, domainKey, flowKey, invokedKey, networkKey, presetKey, syscallKey } from './keys.ts'

const UTF8 = new TextEncoder()

function isPath(text: string): boolean {
  const form = [...UTF8.encode(text)].reduce<PathForm | undefined>((at, byte) => (at === undefined ? undefined : pathFormAfter(at, byte)), 'before')
  return form !== undefined && isWholePath(form)
}

function formOf(key: Uint8Array): KeyForm | undefined {
  return [...key].reduce<KeyForm | undefined>((at, byte) => (at === undefined ? undefined : keyFormAfter(at, byte)), { at: 'start' })
}

function isKey(key: Uint8Array): boolean {
  const form = formOf(key)
  return form !== undefined && isWholeKey(form)
}

test('paths are absolute, and no component is empty, . or ..', () => {
  for (const path of ['/', '/a', '/a/b', '/.a', '/..a', '/a.', '/...', '/a/.../b']) assert.ok(isPath(path), path)
  for (const path of ['', 'a', '//', '/a/', '/.', '/..', '/a/.', '/a/../b', '/a//b', '/./a']) assert.ok(!isPath(path), path)
})

const KEYS: readonly (readonly [what: string, key: Uint8Array, goesOn: boolean])[] = [
  ['a socket', networkKey({ family: 2, type: 1, protocol: 6 }), false],
  ['a capability', capabilityKey(12), false],
  ['a system call', syscallKey(87), false],
  ['a system call on a path', syscallKey(87, UTF8.encode('/a/b')), true],
  ['a name', domainKey('www.example.com'), false],
  ['a device', deviceKey({ class: 8, subClass: 6, protocol: 80, level: 2 }), false],
  ['a preset', presetKey(1), false],
  ['a packet', flowKey('egress', { transport: 6, port: 443, address: Uint8Array.of(10, 0, 0, 1), iface: '' }), true],
  ['a packet of IPv6 on an interface', flowKey('ingress', { transport: 17, port: 53, address: new Uint8Array(16), iface: 'eth0' }), true],
  ['a file that is executed by a name', invokedKey(UTF8.encode('sh'), UTF8.encode('/bin/busybox')), true],
]

for (const [what, key, goesOn] of KEYS) {
  test(`${what} is a key, what is cut off it is none, and it ${goesOn ? 'may go on' : 'is at its end'}`, () => {
    assert.ok(isKey(key))
    // Interfaces and paths may be shorter, too.
    if (!goesOn) for (let length = 0; length < key.length; length++) assert.ok(!isKey(key.slice(0, length)) || what.startsWith('a name'), String(length))
    assert.equal(isKey(Uint8Array.from([...key, 0x7a])), goesOn)
  })
}

test('bytes of one class are told apart by no form', () => {
  const forms = KEYS.flatMap(([, key]) => Array.from(key, (_, length) => formOf(key.slice(0, length))!))
  const after = (form: KeyForm, byte: number): string => {
    const next = keyFormAfter(form, byte)
    return next === undefined ? '' : keyOfForm(next)
  }
  const classes = Map.groupBy(Array.from({ length: 255 }, (_, index) => index + 1), formClassOf)
  assert.ok(classes.size > 10 && classes.size < 40)
  for (const bytes of classes.values()) for (const form of forms) assert.equal(new Set(bytes.map((byte) => after(form, byte))).size, 1, `${JSON.stringify(form)} ${bytes.join()}`)
})
