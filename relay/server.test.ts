// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { startRelay } from './server.ts'
import { alert, connect, healthCheck, Pusher, setUp, subscribed, Watcher } from './testing.ts'

test('HealthCheck echoes the nonce', async (context) => {
  const { client } = await setUp(context)
  assert.equal(await healthCheck(client, 1234567), 1234567)
  assert.equal(await healthCheck(client, -1), -1)
})

test('alerts reach every subscriber as the bytes that were pushed', async (context) => {
  const { client, agent, relay } = await setUp(context)
  const other = connect(relay.addresses[0] as string)
  context.after(() => other.close())
  const first = new Watcher(client, 'alerts', 'policy')
  const second = new Watcher(other, 'alerts', 'all')
  await subscribed(client, relay, 2)

  const known = alert({ Timestamp: 5, PolicyName: 'p', Resource: '/bin/ls' })
  // Field 99 is in no version of the schema: a relay that decodes would lose it or move it.
  const unknown = Buffer.concat([Buffer.from([0x9a, 0x06, 0x02, 0x68, 0x69]), known])
  const pusher = new Pusher(agent)
  await pusher.push({ events: [{ type: 0, payload: known }, { type: 0, payload: unknown }] })

  for (const watcher of [first, second]) assert.deepEqual(await watcher.count(2), [known, unknown])
})

test('each feed gets its own type of event', async (context) => {
  const { client, agent, relay } = await setUp(context)
  const alerts = new Watcher(client, 'alerts', 'policy')
  const logs = new Watcher(client, 'logs', 'system')
  const messages = new Watcher(client, 'messages', '')
  await subscribed(client, relay, 3)
  const pusher = new Pusher(agent)
  const payloads = ['alert', 'log', 'message'].map((text) => Buffer.from(text))
  await pusher.push({ events: payloads.map((payload, type) => ({ type, payload })) })
  assert.deepEqual(await alerts.count(1), [payloads[0]])
  assert.deepEqual(await logs.count(1), [payloads[1]])
  // The first message says that the node has come.
  assert.deepEqual((await messages.count(2))[1], payloads[2])
  assert.deepEqual(relay.counts.published, { alerts: 1, logs: 1, messages: 2 })
})

for (const [feed, filter] of [['alerts', 'system'], ['alerts', ''], ['logs', 'policy'], ['logs', 'ALL']] as const) {
  test(`${feed} with filter "${filter}" ends at once without error`, async (context) => {
    const { client, relay } = await setUp(context)
    const watcher = new Watcher(client, feed, filter)
    assert.equal(await watcher.ended, 0)
    assert.equal(relay.subscribers, 0)
  })
}

test('a slow subscriber loses its own events only and is told how many', async (context) => {
  const { client, agent, relay, logged, clock } = await setUp(context, { capacity: 1000 })
  const quickClient = connect(relay.addresses[0] as string)
  context.after(() => quickClient.close())
  const slow = new Watcher(client, 'alerts', 'policy')
  slow.stream.pause()
  const quick = new Watcher(quickClient, 'alerts', 'policy')
  const messages = new Watcher(quickClient, 'messages', '')
  await subscribed(quickClient, relay, 3)

  const pusher = new Pusher(agent)
  const payload = alert({ Resource: 'x'.repeat(8000) })
  const total = 3000
  for (let sent = 0; sent < total; sent += 100) {
    await pusher.push({ events: Array.from({ length: 100 }, () => ({ type: 0, payload })) })
    // The quick one keeps up: it has read a batch before the next one is sent.
    await quick.count(sent + 100)
  }
  assert.equal(quick.received.length, total)
  // Where nothing else finds room any more, a denial does.
  const denied = Buffer.from('denied')
  await pusher.push({ events: [{ type: 0, payload: denied, verdict: 2 }] })

  clock.advance(1000)
  const lost = relay.counts.lost.alerts
  assert.ok(lost > 0 && lost <= total - 1000, `lost ${lost}`)
  const message = await messages.message('Lost')
  assert.match(String(message['Message']), new RegExp(`^Lost ${lost} alerts of the subscriber at 127\\.0\\.0\\.1:\\d+: `))
  assert.deepEqual([message['Type'], message['Level'], message['HostName']], ['Message', 'WARN', 'relay-host'])
  assert.deepEqual([message['Timestamp'], message['UpdatedTime']], [1_790_000_001, '2026-09-21T14:13:21.000000Z'])
  assert.ok(logged.some((line) => line.startsWith(`warn Lost ${lost} alerts`)))

  // What it was not told to be lost does arrive once it reads again.
  slow.stream.resume()
  await slow.count(total - lost + 1)
  assert.deepEqual(slow.received.at(-1), denied)
  await pusher.push({ events: [{ type: 0, payload: Buffer.from('last') }] })
  await slow.count(total - lost + 2)
  assert.equal(slow.received.at(-1)?.toString(), 'last')
  clock.advance(1000)
  assert.equal(relay.counts.lost.alerts, lost)
})

test('losses that an agent reports are published', async (context) => {
  const { client, agent, relay } = await setUp(context)
  const messages = new Watcher(client, 'messages', 'anything')
  await subscribed(client, relay, 1)
  const pusher = new Pusher(agent)
  await pusher.push({ losses: [{ where: 'denials_ring', count: 17 }] })
  const message = await messages.message('denials_ring')
  assert.match(String(message['Message']), /^Lost 17 events on node node-1 \(denials_ring\)/)
  assert.equal(message['HostName'], 'node-1')
})

test('a batch out of sequence or without a node is refused with a code', async (context) => {
  const { agent } = await setUp(context)
  const skipping = new Pusher(agent)
  await skipping.push({})
  void skipping.push({ sequence: 3 })
  assert.match((await skipping.ended)?.details ?? '', /MERLON_RELAY_BAD_SEQUENCE: expected batch 2 .* got 3/)
  const nameless = new Pusher(agent)
  void nameless.push({ node: '' })
  assert.match((await nameless.ended)?.details ?? '', /MERLON_RELAY_NO_NODE/)
})

test('events of a type that the relay does not know are counted aloud', async (context) => {
  const { agent, logged } = await setUp(context)
  await new Pusher(agent).push({ events: [{ type: 77, payload: Buffer.from('?') }] })
  assert.ok(logged.some((line) => line.startsWith('error Lost 1 events of node node-1: of a type')), logged.join('\n'))
})

test('a subscriber that leaves is forgotten', async (context) => {
  const { client, relay } = await setUp(context)
  const watcher = new Watcher(client, 'alerts', 'all')
  await subscribed(client, relay, 1)
  watcher.stream.cancel()
  await subscribed(client, relay, 0)
})

test('closing ends open streams without error', async (context) => {
  const { client, agent, relay } = await setUp(context)
  const watcher = new Watcher(client, 'messages', '')
  const pusher = new Pusher(agent)
  await pusher.push({})
  await subscribed(client, relay, 1)
  await relay.close()
  assert.equal(await watcher.ended, 0)
  assert.equal(await pusher.ended, undefined)
})

test('a port in use is refused with what to do', async (context) => {
  const { relay } = await setUp(context)
  const directory = await mkdtemp(join(tmpdir(), 'merlon-relay-'))
  context.after(() => rm(directory, { recursive: true }))
  const again = startRelay({ listen: relay.addresses, agents: `unix:${directory}/r.sock`, hostName: 'h' })
  await assert.rejects(again, (error: Error & { code: string }) => {
    assert.equal(error.code, 'MERLON_RELAY_CANNOT_LISTEN')
    assert.equal(error.message, `Cannot listen on ${relay.addresses[0]}: another process listens there: stop it or choose another address`)
    return true
  })
})

test('IPv6 is served beside IPv4', async (context) => {
  const { relay } = await setUp(context, { listen: ['127.0.0.1:0', '[::1]:0'] })
  const client = connect(relay.addresses[1] as string)
  context.after(() => client.close())
  assert.match(relay.addresses[1] as string, /^\[::1\]:[1-9]\d*$/)
  assert.equal(await healthCheck(client, 6), 6)
})

test('grpc.health.v1 tells known services from others', async (context) => {
  const { client } = await setUp(context)
  const check = async (service: string): Promise<number | string> =>
    new Promise((resolve) => {
      const request = service === '' ? Buffer.alloc(0) : Buffer.concat([Buffer.from([10, service.length]), Buffer.from(service)])
      client.makeUnaryRequest('/grpc.health.v1.Health/Check', (bytes: Buffer) => bytes, (bytes) => bytes, request, (error, reply) => {
        resolve(error === null ? (reply?.[1] ?? -1) : error.details)
      })
    })
  assert.equal(await check(''), 1)
  assert.equal(await check('feeder.LogService'), 1)
  assert.equal(await check('nobody'), 'unknown service "nobody"')
})

test('clients cannot push events', async (context) => {
  const { client, relay } = await setUp(context)
  const pusher = new Pusher(client)
  void pusher.push({ events: [{ type: 0, payload: Buffer.from('forged') }] })
  assert.equal((await pusher.ended)?.code, 12)
  assert.equal(relay.counts.published.alerts, 0)
})
