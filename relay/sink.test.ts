// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { EventEmitter } from 'node:events'
import { test } from 'node:test'
import type { BatchAck } from '../proto/gen/merlon/v1/BatchAck.ts'
import { SimulatedClock } from '../runtime/clock.ts'
import { silentLogger } from '../runtime/log.ts'
import { Hub } from './hub.ts'
import { Nodes } from './nodes.ts'
import { eventSink, type Stream } from './sink.ts'

for (const end of ['end', 'cancelled', 'close', 'error']) {
  test(`an agent whose stream is over (${end}) is told nothing more`, () => {
    const hub = new Hub({ capacity: 1, hostName: 'h', clock: new SimulatedClock(), logger: silentLogger })
    const written: BatchAck[] = []
    const stream = Object.assign(new EventEmitter(), { writableEnded: false, write: (ack: BatchAck) => written.push(ack) > 0, end: () => {} })
    const { Push } = eventSink(hub, new Nodes(hub)).implementation
    ;(Push as (stream: Stream) => void)(stream as unknown as Stream)
    assert.deepEqual(written, [{ sequence: 0, logs_wanted: false }])
    stream.emit(end)
    hub.demand.arrive()
    assert.equal(written.length, 1)
  })
}
