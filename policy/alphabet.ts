// SPDX-License-Identifier: Apache-2.0
// Sets of bytes, and the partition of all bytes into classes that no expression tells apart.

/** 256 bits: bit `b & 31` of word `b >> 5`. */
export type ByteSet = Uint32Array

export function byteSet(...bytes: readonly number[]): ByteSet {
  const set = new Uint32Array(8)
  for (const byte of bytes) set[byte >> 5]! |= 1 << (byte & 31)
  return set
}

export function hasByte(set: ByteSet, byte: number): boolean {
  return ((set[byte >> 5]! >>> (byte & 31)) & 1) === 1
}

/** Every byte of a path that is not in the set: NUL is never in a path. */
export function complement(set: ByteSet): ByteSet {
  const result = set.map(word => ~word)
  result[0]! &= ~1
  return result
}

export function union(a: ByteSet, b: ByteSet): ByteSet {
  return a.map((word, i) => word | b[i]!)
}

/** The members, ascending. */
export function bytesOf(set: ByteSet): number[] {
  const bytes: number[] = []
  for (let byte = 0; byte < 256; byte++) if (hasByte(set, byte)) bytes.push(byte)
  return bytes
}

/** Equal exactly for equal sets. */
export function byteSetKey(set: ByteSet): string {
  return Array.from(set, word => word.toString(36)).join('.')
}

export const SLASH = 0x2f
export const ANY: ByteSet = complement(byteSet())
export const WITHIN_COMPONENT: ByteSet = complement(byteSet(SLASH))

export interface Alphabet {
  /** Class of each byte. NUL, which never occurs, is in class 0. */
  readonly classOf: Uint8Array
  readonly count: number
}

/** The coarsest partition in which every byte of `singles` is alone and no set of `sets` cuts a class. Numbered by their lowest byte. */
export function makeAlphabet(singles: ByteSet, sets: Iterable<ByteSet>): Alphabet {
  let group = new Int32Array(256)
  for (let byte = 1; byte < 256; byte++) group[byte] = hasByte(singles, byte) ? byte : 0
  for (const set of sets) {
    const ids = new Map<number, number>()
    const next = new Int32Array(256)
    for (let byte = 1; byte < 256; byte++) {
      const key = group[byte]! * 2 + (hasByte(set, byte) ? 1 : 0)
      if (!ids.has(key)) ids.set(key, ids.size)
      next[byte] = ids.get(key)!
    }
    group = next
  }
  const numbers = new Map<number, number>()
  const classOf = new Uint8Array(256)
  for (let byte = 1; byte < 256; byte++) {
    const key = group[byte]!
    if (!numbers.has(key)) numbers.set(key, numbers.size)
    classOf[byte] = numbers.get(key)!
  }
  return { classOf, count: numbers.size }
}

/** The classes of a set that the alphabet does not cut, ascending. */
export function classesOf(alphabet: Alphabet, set: ByteSet): number[] {
  const seen = new Uint8Array(alphabet.count)
  for (const byte of bytesOf(set)) seen[alphabet.classOf[byte]!] = 1
  const classes: number[] = []
  for (let c = 0; c < seen.length; c++) if (seen[c]) classes.push(c)
  return classes
}

/** One byte for people. */
export function showByte(byte: number): string {
  return byte > 0x20 && byte < 0x7f ? String.fromCharCode(byte) : `\\x${byte.toString(16).padStart(2, '0')}`
}

export function showByteSet(set: ByteSet): string {
  const bytes = bytesOf(set)
  if (bytes.length === 1) return showByte(bytes[0]!)
  const negated = bytes.length > 128
  const shown = negated ? bytesOf(complement(set)) : bytes
  const ranges: string[] = []
  for (let i = 0; i < shown.length; ) {
    let j = i
    while (shown[j + 1] === shown[j]! + 1) j++
    ranges.push(j - i < 2 ? shown.slice(i, j + 1).map(showByte).join('') : `${showByte(shown[i]!)}-${showByte(shown[j]!)}`)
    i = j + 1
  }
  return `[${negated ? '^' : ''}${ranges.join('')}]`
}

/** `merlon compile --dump=alphabet`. */
export function dumpAlphabet(alphabet: Alphabet): string {
  const lines: string[] = []
  for (let c = 0; c < alphabet.count; c++) {
    const members: number[] = []
    for (let byte = 1; byte < 256; byte++) if (alphabet.classOf[byte] === c) members.push(byte)
    lines.push(`class ${c}: ${showByteSet(byteSet(...members))}`)
  }
  return lines.join('\n') + '\n'
}
