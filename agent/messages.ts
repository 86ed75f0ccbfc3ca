// SPDX-License-Identifier: Apache-2.0
// What the agent says: to its log, and through the relay to the clients of WatchMessages.
import { encodeFeederMessage } from '../proto/load.ts'
import type { Clock } from '../runtime/clock.ts'
import type { Logger } from '../runtime/log.ts'
import { formatTime } from './observed.ts'
import { describe, type AgentProblem } from './errors.ts'
import type { Sink } from './sink.ts'

export interface MessagesOptions {
  readonly node: string
  readonly cluster: string
  readonly sink: Pick<Sink, 'push'>
  readonly logger: Logger
  readonly clock: Clock
}

export class Messages {
  readonly #options: MessagesOptions

  constructor(options: MessagesOptions) {
    this.#options = options
  }

  report(...problems: readonly AgentProblem[]): void {
    for (const problem of problems) {
      this.#options.logger.error('Met a problem', { code: problem.code, problem: problem.message, workload: problem.workload })
      this.#send('ERROR', describe(problem))
    }
  }

  say(level: 'info' | 'warn', message: string): void {
    this.#options.logger[level](message)
    this.#send(level === 'warn' ? 'WARN' : 'INFO', message)
  }

  #send(level: string, text: string): void {
    const { node, cluster, sink, clock } = this.#options
    const unixNs = BigInt(Math.round(clock.now() * 1000)) * 1000n
    const payload = encodeFeederMessage({
      Timestamp: Number(unixNs / 1_000_000_000n), UpdatedTime: formatTime(unixNs), ClusterName: cluster, HostName: node, Type: 'Message', Level: level, Message: text,
    })
    sink.push({ type: 'MESSAGE', payload, time_unix_ns: unixNs.toString() }, 'message')
  }
}
