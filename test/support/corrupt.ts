// SPDX-License-Identifier: Apache-2.0
// Ways to spoil a table.
import { sha256 } from '@noble/hashes/sha2.js'
import { HEADER, PAGE, STAMP_BYTES } from '../../policy/table.ts'

/** A copy with one word that holds something changed: a bit, a small step, another word of the table, or anything. */
export function mutateTable(table: Uint8Array, [where, what]: readonly [number, number]): Uint8Array {
  const copy = table.slice()
  const view = new DataView(copy.buffer)
  const used = Array.from({ length: copy.length / 4 }, (_, i) => i * 4).filter(at => at < HEADER.end || (at >= PAGE && view.getUint32(at, true) !== 0))
  const at = used[where % used.length]!
  const old = view.getUint32(at, true)
  const changes = [old ^ (1 << (what >>> 2) % 32), old + 1, old - 1, view.getUint32(used[(what >>> 2) % used.length]!, true), what]
  view.setUint32(at, changes[what % changes.length]! >>> 0, true)
  return copy
}

/** The table with the hash that fits its content: what an attacker or a defect in the compiler would bring. */
export function rehash(table: Uint8Array): Uint8Array {
  const copy = table.slice()
  copy.fill(0, HEADER.hash, HEADER.stamp + STAMP_BYTES)
  copy.set(sha256(copy), HEADER.hash)
  return copy
}
