// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { it } from 'node:test'
import { VERSION } from '../policy/table.ts'
import { decodeAgentMessage, encodeAgentMessage } from '../proto/load.ts'
import type { AgentMessage, AgentMessage__Output } from '../proto/gen/merlon/v1/AgentMessage.ts'
import { systemClock } from '../runtime/clock.ts'
import { silentLogger } from '../runtime/log.ts'
import type { StreamEnd } from '../runtime/stream.ts'
import { policyLibrary } from './library.ts'
import { Reconciler } from './reconcile.ts'
import { Session, type AgentStream } from './session.ts'

const read = (message: AgentMessage): AgentMessage__Output => decodeAgentMessage(encodeAgentMessage(message))

it('what a stream that was replaced had still in its buffer changes nothing', async () => {
  const settings = { postures: { filePosture: 'audit' }, hostPostures: { filePosture: 'audit' } } as const
  const reconciler = new Reconciler({ library: policyLibrary, settings, clock: systemClock, logger: silentLogger, onNodes: () => {} })
  const { promise: ended, resolve } = Promise.withResolvers<StreamEnd>()
  let isOpen = true
  const end = (): void => {
    isOpen = false
    resolve({ ok: false, code: 10, message: '' })
  }
  async function* messages(): AsyncGenerator<AgentMessage__Output, void, undefined> {
    yield read({ hello: { node: 'n1', table_versions: [VERSION] } })
    yield read({ workloads: { full: true, upserted: [{ id: 'host' }, { id: 'c1', labels: { app: 'web' } }] } })
    session.replace()
    yield read({ workloads: { full: false, removed: ['c1'] } })
  }
  const stream: AgentStream = { messages, ended, send: async () => true, sendThrough: async () => true, finish: end, fail: end, get isOpen() { return isOpen } }
  const session = new Session({ stream, reconciler, tableVersion: VERSION, nodeLabels: {}, believesAgents: true, clock: systemClock, logger: silentLogger, onHello: () => {}, onChange: () => {} })
  await session.run()
  await reconciler.settled()
  assert.deepEqual([...reconciler.desired('n1').keys()], ['host', 'c1'])
})
