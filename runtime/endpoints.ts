// SPDX-License-Identifier: Apache-2.0
// Which replica of a service to connect to next. Every client goes through them in an order of its own, so that many spread over all, and whoever
// loses one moves to another. Names are resolved again for each round: replicas come and go.
import { lookup } from 'node:dns/promises'
import { isIP } from 'node:net'
import { formatAddress, parseAddress } from './address.ts'

export interface EndpointsOptions {
  /** From 0 (inclusive) to 1 (exclusive). */
  readonly random: () => number
  /** All addresses of a host name. Default: the system's resolver. */
  readonly resolve?: (host: string) => Promise<readonly string[]>
}

export class Endpoints {
  readonly #addresses: readonly string[]
  readonly #options: EndpointsOptions
  #round: string[] = []
  #last = ''

  /** `addresses`: one or several, with commas between; each unix:/path or host:port. Throws on others. */
  constructor(addresses: string, options: EndpointsOptions) {
    this.#addresses = splitAddresses(addresses)
    this.#options = options
    for (const address of this.#addresses) {
      const parsed = parseAddress(address)
      if (!parsed.ok) throw new Error(parsed.message)
    }
  }

  /** Each once, as they are now. A name that cannot be resolved stands for itself. */
  async all(): Promise<readonly string[]> {
    return [...new Set((await Promise.all(this.#addresses.map((address) => this.#resolve(address)))).flat())]
  }

  /** The next one to try. Where there are others, never the same one twice in a row: it was just lost. */
  async next(): Promise<string> {
    if (this.#round.length === 0) {
      this.#round = shuffle([...(await this.all())], this.#options.random)
      if (this.#round.length > 1 && this.#round[0] === this.#last) this.#round.push(this.#round.shift() as string)
    }
    this.#last = this.#round.shift() as string
    return this.#last
  }

  async #resolve(address: string): Promise<readonly string[]> {
    const parsed = parseAddress(address)
    if (!parsed.ok || parsed.value.kind === 'unix' || isIP(parsed.value.host) !== 0) return [address]
    const { host, port } = parsed.value
    try {
      const found = await (this.#options.resolve ?? resolveHost)(host)
      return found.length === 0 ? [address] : found.map((ip) => formatAddress({ kind: 'tcp', host: ip, port }))
    } catch {
      // Connecting to the name fails too, and says why.
      return [address]
    }
  }
}

export function splitAddresses(text: string): readonly string[] {
  return text.split(',').map((address) => address.trim())
}

async function resolveHost(host: string): Promise<readonly string[]> {
  return (await lookup(host, { all: true })).map(({ address }) => address)
}

function shuffle<T>(items: T[], random: () => number): T[] {
  for (let end = items.length - 1; end > 0; end--) {
    const other = Math.floor(random() * (end + 1))
    const item = items[end] as T
    items[end] = items[other] as T
    items[other] = item
  }
  return items
}
