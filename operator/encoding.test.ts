// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import type { OperatorMessage } from '../proto/gen/merlon/v1/OperatorMessage.ts'
import { decodeOperatorMessage, encodeOperatorMessage } from '../proto/load.ts'
import { encodeMessage } from './encoding.ts'

const bytes = fc.uint8Array({ maxLength: 40 }).map((value) => Buffer.from(value))
const table = fc.record({ hash: bytes, content: bytes })
const clause = fc.record({ policy: fc.string(), severity: fc.nat(10), tags: fc.array(fc.string(), { maxLength: 3 }) })
const profile = fc.record({ id: fc.string(), table: bytes, clauses: fc.array(clause, { maxLength: 4 }) })
const binding = fc.record({ workload: fc.string(), profile: fc.string(), identity: fc.record({ namespace: fc.string(), labels: fc.string() }) })
const message: fc.Arbitrary<OperatorMessage> = fc.record({
  generation: fc.nat(), full: fc.boolean(), tables: fc.array(table, { maxLength: 4 }), profiles: fc.array(profile, { maxLength: 4 }), bindings: fc.array(binding, { maxLength: 4 }), unbound: fc.array(fc.string(), { maxLength: 4 }),
})

describe('encodeMessage()', () => {
  it('means what the ordinary encoder means, for messages that share parts too', () => {
    fc.assert(fc.property(message, message, (one, other) => {
      const mixed = { ...other, tables: [...(one.tables ?? []), ...(other.tables ?? [])], profiles: [...(other.profiles ?? []), ...(one.profiles ?? [])] }
      for (const each of [one, mixed, one]) assert.deepEqual(decodeOperatorMessage(encodeMessage(each)), decodeOperatorMessage(encodeOperatorMessage(each)))
    }), { numRuns: 200 })
  })

  it('encodes what many agents get once', () => {
    let read = 0
    const shared = { id: 'p', table: Buffer.alloc(32), get clauses() {
      read += 1
      return [{ policy: 'x' }]
    } }
    for (let agent = 0; agent < 100; agent++) encodeMessage({ generation: agent, profiles: [shared] })
    const once = read
    encodeMessage({ generation: 1, profiles: [shared] })
    assert.equal(read, once)
    assert.ok(once < 20, `${once} readings`)
  })
})
