// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import type { ServerDuplexStream } from '@grpc/grpc-js'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, it } from 'node:test'
import type { Finding } from '../policy/types.ts'
import type { BatchAck } from '../proto/gen/merlon/v1/BatchAck.ts'
import type { EventBatch__Output } from '../proto/gen/merlon/v1/EventBatch.ts'
import type { Message__Output } from '../proto/gen/feeder/Message.ts'
import { decodeFeederMessage, EventSink } from '../proto/load.ts'
import { systemClock } from '../runtime/clock.ts'
import { Endpoints } from '../runtime/endpoints.ts'
import { serve, type RunningServer } from '../runtime/grpc.ts'
import { silentLogger } from '../runtime/log.ts'
import { serverDuplex } from '../runtime/stream.ts'
import { Messages } from './messages.ts'

const FINDING: Finding = { code: 'MERLON_POLICY_YAML_SYNTAX', severity: 'error', message: 'not readable as YAML', position: { file: '/etc/p.yaml', line: 3, column: 12 }, text: 'name: [', hint: 'close the bracket' }

describe('Messages', { timeout: 600_000 }, () => {
  const directory = mkdtempSync(join(tmpdir(), 'merlon-messages-'))
  const address = `unix:${directory}/relay.sock`
  const received: Message__Output[] = []
  const gone: string[] = []
  let abort: AbortController
  let running: Promise<void>
  let messages: Messages
  let notify: (() => void) | undefined

  const relay = (): Promise<RunningServer> => serve({
    address,
    services: [{ definition: EventSink.service, implementation: { Push: (call: ServerDuplexStream<EventBatch__Output, BatchAck>) => void take(call) } }],
  })
  /** Whether it acknowledges what it gets. */
  let takes = true
  async function take(call: ServerDuplexStream<EventBatch__Output, BatchAck>): Promise<void> {
    const stream = serverDuplex(call)
    for await (const batch of stream.messages()) {
      gone.push(...batch.gone_nodes)
      received.push(...batch.events.map((event) => decodeFeederMessage(event.payload)))
      // What it says of logs is no acknowledgement.
      await stream.send({ sequence: takes ? batch.sequence : batch.sequence - 1, logs_wanted: true })
      notify?.()
    }
  }
  const until = async (count: number): Promise<void> => {
    while (received.length < count) await new Promise<void>((resolve) => { notify = resolve })
  }

  beforeEach(() => {
    received.length = 0
    takes = true
    abort = new AbortController()
    messages = new Messages({ relay: { endpoints: new Endpoints(address, { random: Math.random }) }, clock: systemClock, logger: silentLogger, random: () => 0.01, signal: abort.signal })
    running = messages.run()
  })
  afterEach(async () => {
    abort.abort()
    await running
    rmSync(directory, { recursive: true, force: true })
  })

  it('waits for a relay, tells it the whole finding, and finds it again', async () => {
    messages.add(FINDING)
    const first = await relay()
    await until(1)
    assert.equal(received[0]?.Level, 'ERROR')
    assert.equal(received[0]?.Message, '/etc/p.yaml:3:12: not readable as YAML ("name: [") [MERLON_POLICY_YAML_SYNTAX]: close the bracket')
    await first.stop(0)
    const second = await relay()
    messages.add({ ...FINDING, severity: 'warning', position: { file: '', line: 0, column: 0 }, text: '' })
    await until(2)
    assert.equal(received[1]?.Level, 'WARN')
    assert.equal(received[1]?.Message, 'not readable as YAML [MERLON_POLICY_YAML_SYNTAX]: close the bracket')
    abort.abort()
    await running
    await second.stop(0)
  })

  it('tells relays which nodes have left, in the order of what else there is to say', async () => {
    messages.depart('n7')
    messages.add(FINDING)
    const only = await relay()
    await until(1)
    assert.deepEqual(gone, ['n7'])
    abort.abort()
    await running
    await only.stop(0)
  })

  it('says again what a relay has not acknowledged', async () => {
    const first = await relay()
    messages.add(FINDING)
    await until(1)
    takes = false
    messages.add({ ...FINDING, message: 'second' })
    await until(2)
    await first.stop(0)
    takes = true
    const second = await relay()
    await until(3)
    assert.deepEqual(received.map(({ Message }) => Message.includes('second')), [false, true, true])
    abort.abort()
    await running
    await second.stop(0)
  })
})
