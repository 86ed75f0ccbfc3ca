// SPDX-License-Identifier: Apache-2.0
// The relay's metrics: all of them are looked at when somebody reads.
import { Total, type Metrics } from '../runtime/metrics.ts'
import type { Relay } from './server.ts'

export function observeRelay(metrics: Metrics, relay: Pick<Relay, 'counts' | 'subscribers' | 'logsWanted' | 'nodes'>): void {
  const events = new Total(metrics.counter({ name: 'merlon_relay_events_total', help: 'Events that came from agents', labels: ['feed'] }))
  const lost = new Total(metrics.counter({ name: 'merlon_events_lost_total', help: 'Events lost, by where: here, those of subscribers that were too slow', labels: ['where', 'feed'] }))
  const subscribers = metrics.gauge({ name: 'merlon_relay_subscribers', help: 'Open streams of clients' })
  const logsWanted = metrics.gauge({ name: 'merlon_relay_logs_wanted', help: '1 while agents are asked to record permitted operations: somebody follows logs here' })
  const nodes = metrics.gauge({ name: 'merlon_relay_nodes', help: 'Nodes that send events, and nodes that have stopped', labels: ['state'] })
  metrics.onRead(() => {
    const { counts } = relay
    for (const [feed, count] of Object.entries(counts.published)) events.set(count, { feed })
    for (const [feed, count] of Object.entries(counts.lost)) lost.set(count, { where: 'relay_queue', feed })
    subscribers.set(relay.subscribers)
    logsWanted.set(relay.logsWanted ? 1 : 0)
    nodes.set(relay.nodes.present.length, { state: 'present' })
    nodes.set(relay.nodes.missing.length, { state: 'missing' })
  })
}
