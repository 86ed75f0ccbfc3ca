// SPDX-License-Identifier: Apache-2.0
// Tables for tests: a header and filler, enough for what the agent reads, and a check that knows them.
import { createHash } from 'node:crypto'
import { HASH_BYTES, PAGE, TABLE, TABLE_MAGIC, TABLE_VERSION, view } from '../abi.ts'
import type { TableCheck } from '../tables.ts'

/** A table of two pages with this many clauses; `salt` makes tables differ. */
export function fakeTable(clauses: number, salt = 0, pages = 2): Uint8Array {
  const bytes = new Uint8Array(pages * PAGE)
  const data = view(bytes)
  data.setUint32(TABLE.magic, TABLE_MAGIC, true)
  data.setUint32(TABLE.version, TABLE_VERSION, true)
  data.setUint32(TABLE.pages, pages, true)
  data.setUint32(TABLE.clauses, clauses, true)
  data.setUint32(PAGE, salt, true)
  bytes.set(digest(bytes), TABLE.hash)
  return bytes
}

export function tableHash(bytes: Uint8Array): string {
  return Buffer.from(bytes.subarray(TABLE.hash, TABLE.hash + HASH_BYTES)).toString('hex')
}

function digest(bytes: Uint8Array): Uint8Array {
  const copy = new Uint8Array(bytes) // slice() of a Buffer would be a view
  copy.fill(0, TABLE.hash, TABLE.hash + HASH_BYTES)
  return createHash('sha256').update(copy).digest()
}

export const fakeCheck: TableCheck = (bytes) => {
  const isSound = bytes.length >= 2 * PAGE && Buffer.from(digest(bytes)).toString('hex') === tableHash(bytes)
  return isSound ? { ok: true } : { ok: false, problem: 'the hash does not agree with the content' }
}
