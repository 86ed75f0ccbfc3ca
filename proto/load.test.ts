// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { globSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { generate } from './generate.ts'
import { decodeAgentMessage, decodeAlert, decodeEventBatch, decodeFeederMessage, decodeLog, decodeOperatorMessage, encodeAgentMessage, encodeAlert, encodeEventBatch, encodeFeederMessage, encodeLog, encodeOperatorMessage, LogService, logServiceOfBytes } from './load.ts'

describe('proto/gen', () => {
  it('is what proto/generate.ts writes', () => {
    const committed = join(import.meta.dirname, 'gen')
    const fresh = mkdtempSync(join(tmpdir(), 'merlon-gen-'))
    try {
      generate(fresh)
      const files = globSync('**/*.ts', { cwd: fresh }).toSorted()
      assert.deepEqual(globSync('**/*.ts', { cwd: committed }).toSorted(), files)
      for (const file of files) assert.equal(readFileSync(join(committed, file), 'utf8'), readFileSync(join(fresh, file), 'utf8'), `${file}: run node proto/generate.ts`)
    } finally {
      rmSync(fresh, { recursive: true, force: true })
    }
  })
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
