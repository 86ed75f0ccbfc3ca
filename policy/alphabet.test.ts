// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import test from 'node:test'
import fc from 'fast-check'
import { ANY, byteSet, bytesOf, classesOf, complement, dumpAlphabet, hasByte, makeAlphabet, showByteSet, union, WITHIN_COMPONENT } from './alphabet.ts'

const bytes = fc.uniqueArray(fc.integer({ min: 1, max: 255 }), { maxLength: 40 })

test('complement() holds every byte but NUL and the members', () => {
  fc.assert(
    fc.property(bytes, members => {
      const rest = complement(byteSet(...members))
      assert.equal(hasByte(rest, 0), false)
      for (let byte = 1; byte < 256; byte++) assert.equal(hasByte(rest, byte), !members.includes(byte))
    }),
  )
})

test('union() and bytesOf() agree with sets of numbers', () => {
  fc.assert(
    fc.property(bytes, bytes, (a, b) => {
      assert.deepEqual(bytesOf(union(byteSet(...a), byteSet(...b))), [...new Set([...a, ...b])].sort((x, y) => x - y))
    }),
  )
})

test('makeAlphabet() is the coarsest partition that cuts no set', () => {
  fc.assert(
    fc.property(bytes, fc.array(bytes, { maxLength: 5 }), (singles, lists) => {
      const sets = lists.map(list => byteSet(...list))
      const { classOf, count } = makeAlphabet(byteSet(...singles), sets)
      const look = (byte: number): string => `${singles.includes(byte) ? byte : ''}:${lists.map(list => Number(list.includes(byte))).join('')}`
      const looks = new Map<string, number>()
      for (let byte = 1; byte < 256; byte++) {
        const known = looks.get(look(byte))
        if (known === undefined) looks.set(look(byte), classOf[byte]!)
        else assert.equal(classOf[byte], known)
      }
      assert.equal(looks.size, count)
      assert.deepEqual([...new Set(looks.values())], Array.from({ length: count }, (_, i) => i), 'classes come in the order of their lowest byte')
      for (const set of sets) {
        const classes = new Set(classesOf({ classOf, count }, set))
        for (let byte = 1; byte < 256; byte++) assert.equal(classes.has(classOf[byte]!), hasByte(set, byte))
      }
    }),
  )
})

test('makeAlphabet() has 255 classes when every byte is told apart', () => {
  assert.equal(makeAlphabet(ANY, []).count, 255)
})

test('showByteSet() is short', () => {
  assert.equal(showByteSet(byteSet(0x61)), 'a')
  assert.equal(showByteSet(byteSet(0x61, 0x62, 0x63, 0x7a)), '[a-cz]')
  assert.equal(showByteSet(WITHIN_COMPONENT), '[^/]')
  assert.equal(showByteSet(byteSet(0x0a)), '\\x0a')
})

test('dumpAlphabet() has a line for each class', () => {
  assert.equal(dumpAlphabet(makeAlphabet(byteSet(0x2f), [byteSet(0x61, 0x62)])), 'class 0: [^/ab]\nclass 1: /\nclass 2: [ab]\n')
})
