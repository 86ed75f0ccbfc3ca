// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { globSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import type { MethodDefinition } from '@grpc/grpc-js'
import { loadSync } from '@grpc/proto-loader'
import fc from 'fast-check'
import protobuf, { type Field, type Type } from 'protobufjs/light.js'
import descriptor from './gen/descriptor.json' with { type: 'json' }
import { generate, PROTO_FILES } from './generate.ts'
import { decodeAgentMessage, decodeAlert, decodeEventBatch, decodeFeederMessage, decodeLog, decodeOperatorMessage, encodeAgentMessage, encodeAlert, encodeEventBatch, encodeFeederMessage, encodeLog, encodeOperatorMessage, EventSink, LogService, logServiceOfBytes, NodeSync } from './load.ts'

describe('proto/gen', () => {
  it('is what proto/generate.ts writes', () => {
    const committed = join(import.meta.dirname, 'gen')
    const fresh = mkdtempSync(join(tmpdir(), 'merlon-gen-'))
    try {
      generate(fresh)
      const files = globSync('**/*.{ts,json}', { cwd: fresh }).toSorted()
      assert.deepEqual(globSync('**/*.{ts,json}', { cwd: committed }).toSorted(), files)
      for (const file of files) assert.equal(readFileSync(join(committed, file), 'utf8'), readFileSync(join(fresh, file), 'utf8'), `${file}: run node proto/generate.ts`)
    } finally {
      rmSync(fresh, { recursive: true, force: true })
    }
  })
})

/** Any value of a field, in the form that is encoded from. */
function anyOf(field: Field): fc.Arbitrary<unknown> {
  const { resolvedType } = field.resolve()
  if (resolvedType instanceof protobuf.Enum) return fc.constantFrom(...Object.keys(resolvedType.values))
  if (resolvedType instanceof protobuf.Type) return anyMessage(resolvedType)
  const scalars: Readonly<Record<string, fc.Arbitrary<unknown>>> = { string: fc.string(), bool: fc.boolean(), bytes: fc.uint8Array().map((bytes) => Buffer.from(bytes)) }
  return scalars[field.type] ?? (field.type.startsWith('u') || field.type.startsWith('f') ? fc.nat() : fc.integer())
}

function anyMessage(type: Type): fc.Arbitrary<object> {
  const fields = type.fieldsArray.map((field): [string, fc.Arbitrary<unknown>] => {
    const one = anyOf(field)
    if (field.map) return [field.name, fc.dictionary(fc.string(), one, { maxKeys: 3 })]
    return [field.name, field.repeated ? fc.array(one, { maxLength: 3 }) : one]
  })
  return fc.record(Object.fromEntries(fields), { requiredKeys: [] })
}

describe('the definitions', () => {
  const OPTIONS = { keepCase: true, longs: Number, enums: String, defaults: true, oneofs: true, includeDirs: [import.meta.dirname] }
  const theirs = loadSync([...PROTO_FILES], OPTIONS)
  const ours = { 'merlon.v1.NodeSync': NodeSync, 'merlon.v1.EventSink': EventSink, 'feeder.LogService': LogService }
  const root = protobuf.Root.fromJSON(descriptor as protobuf.INamespace)
  for (const [name, { service }] of Object.entries(ours)) {
    const expected = theirs[name] as unknown as Record<string, MethodDefinition<object, object>>
    it(`of ${name} are those of @grpc/proto-loader, which the types are made for`, () => {
      assert.deepEqual(Object.keys(service).toSorted(), Object.keys(expected).toSorted())
      for (const [method, definition] of Object.entries(service) as [string, MethodDefinition<object, object>][]) {
        const reference = expected[method]!
        for (const key of ['path', 'requestStream', 'responseStream'] as const) assert.equal(definition[key], reference[key])
        const { requestType, responseType } = root.lookupService(name).methods[method]!
        for (const [side, type] of [['request', requestType], ['response', responseType]] as const) {
          const messages = anyMessage(root.lookupType(`${name.slice(0, name.lastIndexOf('.'))}.${type}`))
          fc.assert(fc.property(messages, (value) => {
            const bytes = reference[`${side}Serialize`](value)
            assert.deepEqual(definition[`${side}Serialize`](value), bytes)
            assert.deepEqual(definition[`${side}Deserialize`](bytes), reference[`${side}Deserialize`](bytes))
          }), { numRuns: 200 })
        }
      }
    })
  }
})

describe('codecs', () => {
  it('keep the field names and numbers of KubeArmor', () => {
    const bytes = encodeAlert({ PodName: 'web', HostPID: 7, ATags: ['a', 'b'], Owner: { Ref: 'Deployment', Name: 'web' }, EventData: { k: 'v' } })
    const alert = decodeAlert(bytes)
    assert.equal(alert.PodName, 'web')
    assert.deepEqual(alert.ATags, ['a', 'b'])
    assert.deepEqual(alert.EventData, { k: 'v' })
    assert.equal(alert.Owner?.Ref, 'Deployment')
    assert.equal(alert.ExecEvent, null)
    // PodName is field 6, a string: tag 6 << 3 | 2.
    assert.deepEqual([...bytes.subarray(0, 5)], [0x32, 3, 0x77, 0x65, 0x62])
  })

  it('read what they wrote, logs and messages too', () => {
    assert.equal(decodeLog(encodeLog({ Resource: '/bin/ls', PPID: -1 })).PPID, -1)
    assert.equal(decodeFeederMessage(encodeFeederMessage({ Level: 'WARN', Timestamp: 1_790_000_000 })).Timestamp, 1_790_000_000)
  })

  it('carry bytes, oneofs, enums and large numbers', () => {
    const batch = decodeEventBatch(encodeEventBatch({ sequence: 2 ** 40, events: [{ type: 'LOG', payload: Buffer.from([1, 2]), time_unix_ns: '1790000000123456789' }] }))
    assert.equal(batch.sequence, 2 ** 40)
    assert.equal(batch.events[0]?.type, 'LOG')
    assert.deepEqual(batch.events[0]?.payload, Buffer.from([1, 2]))
    assert.ok(Math.abs((batch.events[0]?.time_unix_ns ?? 0) - Number('1790000000123456789')) <= 256)
    const hello = decodeAgentMessage(encodeAgentMessage({ hello: { node: 'n', held_tables: [Buffer.alloc(32, 7)], node_labels: { a: 'b' } } }))
    assert.equal(hello.message, 'hello')
    assert.equal(hello.workloads, undefined)
    assert.deepEqual(hello.hello?.held_tables[0], Buffer.alloc(32, 7))
    const message = decodeOperatorMessage(encodeOperatorMessage({ generation: 3, full: true, unbound: ['x'] }))
    assert.deepEqual([message.generation, message.full, message.unbound, message.tables], [3, true, ['x'], []])
  })

  it('accept a plain Uint8Array, and throw on a wrong type', () => {
    assert.equal(decodeAlert(new Uint8Array(encodeAlert({ UID: 5 }))).UID, 5)
    assert.throws(() => encodeAlert({ Owner: 'x' } as unknown as Parameters<typeof encodeAlert>[0]), TypeError)
  })
})

describe('logServiceOfBytes', () => {
  it('has the paths of LogService and passes responses through', () => {
    const bytes = Buffer.from([1, 2, 3])
    assert.equal(logServiceOfBytes.WatchAlerts.path, '/feeder.LogService/WatchAlerts')
    assert.equal((logServiceOfBytes.WatchAlerts.responseSerialize as unknown as (value: Buffer) => Buffer)(bytes), bytes)
    assert.equal(logServiceOfBytes.HealthCheck.responseSerialize, LogService.service.HealthCheck.responseSerialize)
  })
})
