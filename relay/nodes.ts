// SPDX-License-Identifier: Apache-2.0
// Which nodes send events now, and which have stopped: a client that sees no alerts must be able to tell peace from silence.
import type { Hub } from './hub.ts'

export class Nodes {
  readonly #hub: Hub
  /** Open streams of each node ever seen. An agent that reconnects may hold two for a moment. */
  readonly #streams = new Map<string, number>()

  constructor(hub: Hub) {
    this.#hub = hub
  }

  arrive(node: string): void {
    const before = this.#streams.get(node)
    this.#streams.set(node, (before ?? 0) + 1)
    if (before === undefined) this.#hub.announce('INFO', `Node ${node} sends events`, node)
    if (before === 0) this.#hub.announce('INFO', `Node ${node} is back and sends events`, node)
  }

  leave(node: string): void {
    const left = (this.#streams.get(node) ?? 1) - 1
    this.#streams.set(node, left)
    if (left === 0) this.#hub.announce('WARN', `Node ${node} is missing: its event stream has ended`, node)
  }

  get missing(): readonly string[] {
    return [...this.#streams].filter(([, streams]) => streams === 0).map(([node]) => node)
  }

  get present(): readonly string[] {
    return [...this.#streams].filter(([, streams]) => streams > 0).map(([node]) => node)
  }
}
