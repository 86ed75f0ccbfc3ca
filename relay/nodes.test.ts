// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { connect, Pusher, setUp, subscribed, Watcher } from './testing.ts'

test('a node that stops sending is said to be missing, also to those who come later, and said to be back', async (context) => {
  const { client, agent, relay } = await setUp(context)
  const before = new Watcher(client, 'messages', '')
  await subscribed(client, relay, 1)
  const first = new Pusher(agent)
  await first.push({})
  assert.equal((await before.message('sends events'))['HostName'], 'node-1')
  assert.deepEqual(relay.nodes.present, ['node-1'])

  first.stream.cancel()
  await before.message('Node node-1 is missing')
  assert.deepEqual(relay.nodes.missing, ['node-1'])
  const later = new Watcher(client, 'messages', '')
  assert.match(String((await later.message('missing'))['Message']), /^Node node-1 is missing: no event stream/)

  const second = new Pusher(agent)
  await second.push({})
  await later.message('Node node-1 is back')
  assert.deepEqual(relay.nodes.missing, [])
})

test('an agent with two streams for a moment is not missing when the old one ends', async (context) => {
  const { agent, relay, logged } = await setUp(context)
  const old = new Pusher(agent)
  await old.push({})
  const fresh = new Pusher(agent)
  await fresh.push({})
  old.stream.end()
  await old.ended
  await fresh.push({})
  assert.deepEqual(relay.nodes.present, ['node-1'])
  assert.deepEqual(logged, ['info Node node-1 sends events'])
})

test('what an operator says of policies does not stand for the agent of its host', { timeout: 600_000 }, async (context) => {
  const { agent, client, relay } = await setUp(context)
  const other = connect(relay.agentsAddress)
  context.after(() => other.close())
  const watcher = new Watcher(client, 'messages', '')
  await subscribed(client, relay, 1)
  const [operator, pusher] = [new Pusher(other), new Pusher(agent)]
  await pusher.push({ node: 'n1', events: [] })
  await operator.push({ node: 'n1', about_policies: true, events: [{ type: 2, payload: Buffer.alloc(0) }] })
  assert.deepEqual(relay.nodes.present, ['n1'])
  pusher.stream.cancel()
  await watcher.message('Node n1 is missing')
  operator.stream.cancel()
  const next = new Pusher(other)
  await next.push({ node: 'operator-7d9f', about_policies: true, events: [] })
  assert.deepEqual([relay.nodes.present, relay.nodes.missing], [[], ['n1']])
})

test('a node that has left the cluster is missed no longer, whether its stream ended before or after', { timeout: 600_000 }, async (context) => {
  const { agent, client, relay } = await setUp(context)
  const other = connect(relay.agentsAddress)
  context.after(() => other.close())
  const watcher = new Watcher(client, 'messages', '')
  await subscribed(client, relay, 1)
  const operator = new Pusher(other)
  const [before, after] = [new Pusher(agent), new Pusher(agent)]
  for (const [pusher, node] of [[before, 'n1'], [after, 'n2']] as const) await pusher.push({ node, events: [] })
  before.stream.cancel()
  await watcher.message('Node n1 is missing')
  await operator.push({ node: 'operator', about_policies: true, gone_nodes: ['n1', 'n2', 'never-seen'] })
  await watcher.message('Node n1 has left the cluster')
  assert.deepEqual([relay.nodes.present, relay.nodes.missing], [['n2'], []])
  after.stream.cancel()
  await watcher.message('Node n2 has left the cluster')
  assert.deepEqual([relay.nodes.present, relay.nodes.missing], [[], []])
  const back = new Pusher(agent)
  await back.push({ node: 'n2', events: [] })
  back.stream.cancel()
  await watcher.message('Node n2 is missing')
  assert.deepEqual(relay.nodes.missing, ['n2'])
})
