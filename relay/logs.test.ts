// SPDX-License-Identifier: Apache-2.0
// Logs through a relay with real peers: they come to those who follow them, agents hear whether anybody does, and denials find their way beside a flood.
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import type { Client } from '@grpc/grpc-js'
import { SimulatedClock } from '../runtime/clock.ts'
import { startRelay, type Relay } from './server.ts'
import { alert, connect, log, Pusher, readLog, Watcher } from './testing.ts'

const VERDICT_BLOCK = 2

interface Setup {
  readonly relay: Relay
  readonly client: Client
  readonly agent: Client
  readonly clock: SimulatedClock
}

async function setUp(context: TestContext): Promise<Setup> {
  const directory = await mkdtemp(join(tmpdir(), 'merlon-logs-'))
  const clock = new SimulatedClock(1_790_000_000_000)
  const relay = await startRelay({ listen: ['127.0.0.1:0'], agents: `unix:${directory}/relay.sock`, hostName: 'relay-host', clock })
  const [client, agent] = [connect(relay.addresses[0] as string), connect(relay.agentsAddress)]
  context.after(async () => {
    client.close()
    agent.close()
    await relay.close()
    await rm(directory, { recursive: true })
  })
  return { relay, client, agent, clock }
}

/** Resolves once the relay has this many subscribers: each batch's acknowledgement is a turn of its loop. */
async function subscribed({ relay }: Setup, pusher: Pusher, count: number): Promise<void> {
  while (relay.subscribers !== count) await pusher.push({})
}

test('agents hear at once that logs are wanted, those who come later as well, and that they are not any more', async (context) => {
  const { relay, client, agent, clock } = await setUp(context)
  const early = new Pusher(agent)
  assert.deepEqual(await early.hear(1), [[0, false]])
  await early.push({})
  const alerts = new Watcher(client, 'alerts', 'all')
  const logs = new Watcher(client, 'logs', 'system')
  assert.deepEqual((await early.hear(3)).slice(1), [[1, false], [1, true]])
  assert.equal(relay.logsWanted, true)
  const late = new Pusher(agent)
  assert.deepEqual(await late.hear(1), [[0, true]])

  const payload = log({ Operation: 'File', Resource: '/etc/hosts', Result: 'Passed', NamespaceName: 'shop' })
  await late.push({ events: [{ type: 1, payload }] })
  assert.deepEqual(await logs.count(1), [payload])
  const seen = readLog(logs.received[0] as Buffer)
  assert.deepEqual([seen['Operation'], seen['Resource'], seen['Result'], seen['NamespaceName']], ['File', '/etc/hosts', 'Passed', 'shop'])

  logs.stream.cancel()
  while (relay.subscribers > 1) await late.push({})
  const before = late.heard.length
  clock.advance(1_999)
  await late.push({})
  assert.equal((await late.hear(before + 1)).at(-1)?.[1], true)
  clock.advance(1)
  const last = late.heard.at(-1)?.sequence
  assert.deepEqual((await late.hear(before + 2)).at(-1), [last, false])
  assert.deepEqual((await early.hear(4)).at(-1), [1, false])
  assert.deepEqual([relay.logsWanted, alerts.received], [false, []])
})

test('a filter that KubeArmor does not know follows nothing', async (context) => {
  const { relay, client, agent } = await setUp(context)
  const watcher = new Watcher(client, 'logs', 'policy')
  assert.equal(await watcher.ended, 0)
  assert.deepEqual(await new Pusher(agent).hear(1), [[0, false]])
  assert.equal(relay.logsWanted, false)
})

test('who follows alerts beside logs, and cannot keep up with these, gets every denial', async (context) => {
  const setup = await setUp(context)
  const { relay, client, agent, clock } = setup
  const logs = new Watcher(client, 'logs', 'all')
  logs.stream.pause()
  const alerts = new Watcher(client, 'alerts', 'all')
  const pusher = new Pusher(agent)
  await subscribed(setup, pusher, 2)
  const flood = Array.from({ length: 300 }, () => ({ type: 1, payload: log({ Resource: 'x'.repeat(2000) }) }))
  const denials: Buffer[] = []
  for (let round = 0; round < 10; round++) {
    const payload = alert({ Resource: `/bin/denied-${round}` })
    denials.push(payload)
    await pusher.push({ events: [{ type: 0, payload, verdict: VERDICT_BLOCK }, ...flood] })
  }
  assert.deepEqual(await alerts.count(10), denials)
  clock.advance(1_000)
  assert.equal(relay.counts.lost.alerts, 0)
  assert.ok(relay.counts.lost.logs > 1_000, `${relay.counts.lost.logs} logs are lost`)
})
