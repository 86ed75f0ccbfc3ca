// SPDX-License-Identifier: Apache-2.0
// Fan-out: every event to every subscriber of its feed, without looking into it.
import type { Clock } from '../runtime/clock.ts'
import { encodeFeederMessage } from '../proto/load.ts'
import type { Logger } from '../runtime/log.ts'
import { Demand } from './demand.ts'
import { Subscriber, type Outlet } from './subscriber.ts'
import type { FeedName, MessageLevel, Payload } from './wire.ts'

export interface HubOptions {
  /** Events that wait for one slow subscriber at most, and denials as many again. KubeArmor's bound is 1000. */
  readonly capacity: number
  readonly hostName: string
  readonly clock: Clock
  readonly logger: Logger
}

export interface HubCounts {
  readonly published: Readonly<Record<FeedName, number>>
  readonly lost: Readonly<Record<FeedName, number>>
}

const LOG_LEVEL = { INFO: 'info', WARN: 'warn', ERROR: 'error' } as const satisfies Record<MessageLevel, string>

export class Hub {
  /** For logs. */
  readonly demand: Demand
  readonly #options: HubOptions
  readonly #subscribers: Readonly<Record<FeedName, Set<Subscriber>>> = { alerts: new Set(), logs: new Set(), messages: new Set() }
  readonly #published: Record<FeedName, number> = { alerts: 0, logs: 0, messages: 0 }
  readonly #lost: Record<FeedName, number> = { alerts: 0, logs: 0, messages: 0 }

  constructor(options: HubOptions) {
    this.#options = options
    this.demand = new Demand(options.clock)
  }

  subscribe(feed: FeedName, peer: string, outlet: Outlet): Subscriber {
    const subscriber = new Subscriber({ feed, peer, outlet, capacity: this.#options.capacity })
    this.#subscribers[feed].add(subscriber)
    if (feed === 'logs') this.demand.arrive()
    return subscriber
  }

  unsubscribe(subscriber: Subscriber): void {
    if (!this.#subscribers[subscriber.feed].delete(subscriber)) return
    if (subscriber.feed === 'logs') this.demand.leave()
    subscriber.close()
    this.#reportLost(subscriber)
  }

  publish(feed: FeedName, bytes: Payload, isDenial = false): void {
    this.#published[feed] += 1
    for (const subscriber of this.#subscribers[feed]) subscriber.offer(bytes, isDenial)
  }

  /** Says something to everyone who watches messages, and to the log. */
  announce(level: MessageLevel, text: string, node: string = this.#options.hostName): void {
    // The sentence is the message here: the log and the stream are to say the same.
    this.#options.logger[LOG_LEVEL[level]](text, { node })
    this.publish('messages', this.message(level, text, node))
  }

  message(level: MessageLevel, text: string, node: string = this.#options.hostName): Payload {
    const now = this.#options.clock.now()
    return encodeFeederMessage({
      Timestamp: Math.floor(now / 1000),
      // KubeArmor writes microseconds; a clock of milliseconds has zeros there.
      UpdatedTime: new Date(now).toISOString().replace('Z', '000Z'),
      ClusterName: 'default',
      HostName: node,
      Type: 'Message',
      Level: level,
      Message: text,
    })
  }

  /** Tells what slow subscribers have lost since the last call. To be called about once a second. */
  reportLosses(): void {
    for (const subscribers of Object.values(this.#subscribers)) {
      for (const subscriber of subscribers) this.#reportLost(subscriber)
    }
  }

  get counts(): HubCounts {
    return { published: { ...this.#published }, lost: { ...this.#lost } }
  }

  get subscribers(): number {
    return Object.values(this.#subscribers).reduce((sum, set) => sum + set.size, 0)
  }

  /** Ends every stream. */
  end(): void {
    this.demand.end()
    for (const subscribers of Object.values(this.#subscribers)) {
      for (const subscriber of subscribers) subscriber.end()
      subscribers.clear()
    }
  }

  #reportLost(subscriber: Subscriber): void {
    const lost = subscriber.takeLost()
    if (lost === 0) return
    this.#lost[subscriber.feed] += lost
    this.announce('WARN', `Lost ${lost} ${subscriber.feed} of the subscriber at ${subscriber.peer}: it reads more slowly than they arrive`)
  }
}
