// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Event } from '../proto/gen/merlon/v1/Event.ts'
import { SimulatedClock } from '../runtime/clock.ts'
import { createLogger, type LogRecord } from '../runtime/log.ts'
import { Messages } from './messages.ts'

function start() {
  const pushed: (Event & { kind: string })[] = []
  const logged: LogRecord[] = []
  const messages = new Messages({
    node: 'box', cluster: 'home', clock: new SimulatedClock(), logger: createLogger('agent', (record) => { logged.push(record) }),
    sink: { push: (event, kind) => { pushed.push({ ...event, kind }) } },
  })
  return { messages, pushed, logged }
}

test('what is said goes to the log and to the relay, at its level', () => {
  const { messages, pushed, logged } = start()
  messages.say('warn', 'The ring was full')
  messages.say('info', 'Bound')
  assert.deepEqual(logged.map(({ level, message }) => [level, message]), [['warn', 'The ring was full'], ['info', 'Bound']])
  assert.deepEqual(pushed.map(({ kind, type }) => [kind, type]), [['message', 'MESSAGE'], ['message', 'MESSAGE']])
  const text = Buffer.from(pushed[0]?.payload as Uint8Array).toString('latin1')
  for (const word of ['WARN', 'The ring was full', 'box', 'home']) assert.ok(text.includes(word), word)
})

test('a problem carries its code, its workload and what to do about it', () => {
  const { messages, pushed, logged } = start()
  messages.report({ code: 'MERLON_AGENT_TABLE_INVALID', message: 'Refused a table', workload: 'web' }, { code: 'MERLON_AGENT_CANARY', message: 'It ran' })
  assert.deepEqual(logged.map(({ level, fields }) => [level, fields['code'], fields['workload']]), [['error', 'MERLON_AGENT_TABLE_INVALID', 'web'], ['error', 'MERLON_AGENT_CANARY', undefined]])
  assert.match(Buffer.from(pushed[0]?.payload as Uint8Array).toString('latin1'), /Refused a table\. .*the last good table stays.*\[MERLON_AGENT_TABLE_INVALID\]/)
  assert.equal(pushed.length, 2)
})
