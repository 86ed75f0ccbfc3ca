// SPDX-License-Identifier: Apache-2.0
// Which nodes send events now, and which have stopped: a client that sees no alerts must be able to tell peace from silence.
import type { Hub } from './hub.ts'

export class Nodes {
  readonly #hub: Hub
  /** Open streams of each node ever seen. An agent that reconnects may hold two for a moment. */
  readonly #streams = new Map<string, number>()
  /** Have left the cluster, while their agents' streams were still open. */
  readonly #gone = new Set<string>()

  constructor(hub: Hub) {
    this.#hub = hub
  }

  arrive(node: string): void {
    const before = this.#streams.get(node)
    this.#gone.delete(node)
    this.#streams.set(node, (before ?? 0) + 1)
    if (before === undefined) this.#hub.announce('INFO', `Node ${node} sends events`, node)
    if (before === 0) this.#hub.announce('INFO', `Node ${node} is back and sends events`, node)
  }

  leave(node: string): void {
    const left = (this.#streams.get(node) ?? 1) - 1
    this.#streams.set(node, left)
    if (left > 0) return
    if (this.#gone.has(node)) return this.#forget(node)
    this.#hub.announce('WARN', `Node ${node} is missing: its event stream has ended`, node)
  }

  /** It is no part of the cluster any more: that it is silent is as it should be. */
  depart(node: string): void {
    const streams = this.#streams.get(node)
    if (streams === 0) this.#forget(node)
    else if (streams !== undefined) this.#gone.add(node)
  }

  #forget(node: string): void {
    this.#gone.delete(node)
    this.#streams.delete(node)
    this.#hub.announce('INFO', `Node ${node} has left the cluster`, node)
  }

  get missing(): readonly string[] {
    return [...this.#streams].filter(([, streams]) => streams === 0).map(([node]) => node)
  }

  get present(): readonly string[] {
    return [...this.#streams].filter(([, streams]) => streams > 0).map(([node]) => node)
  }
}
