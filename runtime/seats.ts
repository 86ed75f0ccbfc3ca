// SPDX-License-Identifier: Apache-2.0
// A connection to every replica of a service, where each of them must hear everything: relays, of which a client asks any. A seat is what one replica
// is told, with what waits for it. When a replica goes, its seat waits for the next that nobody else talks to: a replacement gets what the lost one missed.
import { sleep, type Clock } from './clock.ts'

export interface SeatsOptions<Seat> {
  /** Of all replicas, as they are now. */
  readonly addresses: () => Promise<readonly string[]>
  /** Makes a seat. It asks for an address whenever it is to connect; undefined: there is none for it now. */
  readonly open: (address: () => Promise<string | undefined>) => Seat
  /** Keeps it connected until `signal` aborts. */
  readonly keep: (seat: Seat, signal: AbortSignal) => Promise<void>
  readonly clock: Clock
}

/** How often new replicas are looked for. */
const LOOK_MS = 15_000
/** A seat without a replica is kept so long, unless it is the only one: others have what it has. */
const VACANT_MS = 60_000
/** More replicas than anybody runs: a name that resolves to many addresses is something else. */
const SEATS_MAX = 16

interface Taken<Seat> {
  readonly seat: Seat
  readonly abort: AbortController
  /** Of its end; undefined: not begun. */
  done: Promise<void> | undefined
  address: string | undefined
  vacantSince: number
}

export class Seats<Seat> {
  readonly #options: SeatsOptions<Seat>
  #taken: Taken<Seat>[] = []
  readonly #ending = new Set<Promise<void>>()

  constructor(options: SeatsOptions<Seat>) {
    this.#options = options
    this.#add()
  }

  /** One at least. */
  get all(): readonly Seat[] {
    return this.#taken.map(({ seat }) => seat)
  }

  /** Keeps all seats connected, and looks for replicas, until `signal` aborts. */
  async run(signal: AbortSignal): Promise<void> {
    for (const taken of this.#taken) this.#begin(taken)
    do {
      // The last resort of who resolves names is the name itself: this does not reject.
      const addresses = await this.#options.addresses()
      if (!signal.aborted) this.#fit(addresses)
    } while (await sleep(this.#options.clock, LOOK_MS, signal))
    for (const { abort } of this.#taken) abort.abort()
    await Promise.all([...this.#taken.map(({ done }) => done), ...this.#ending])
  }

  #add(): Taken<Seat> {
    const abort = new AbortController()
    const seat = this.#options.open(() => this.#find(abort))
    const taken: Taken<Seat> = { seat, abort, done: undefined, address: undefined, vacantSince: this.#options.clock.monotonic() }
    this.#taken.push(taken)
    return taken
  }

  #begin(taken: Taken<Seat>): void {
    taken.done = this.#options.keep(taken.seat, taken.abort.signal)
  }

  async #find(abort: AbortController): Promise<string | undefined> {
    const own = (): Taken<Seat> | undefined => this.#taken.find((taken) => taken.abort === abort)
    const before = own()?.address
    const addresses = await this.#options.addresses()
    const seat = own()
    if (!seat) return undefined
    const free = addresses.filter((address) => !this.#taken.some((other) => other !== seat && other.address === address))
    // The one that was just lost comes last.
    seat.address = free.find((address) => address !== before) ?? free[0]
    if (before !== undefined && seat.address === undefined) seat.vacantSince = this.#options.clock.monotonic()
    return seat.address
  }

  #fit(addresses: readonly string[]): void {
    const wanted = Math.min(Math.max(1, addresses.length), SEATS_MAX)
    while (this.#taken.length < wanted) this.#begin(this.#add())
    const until = this.#options.clock.monotonic() - VACANT_MS
    for (const taken of this.#taken.filter(({ address, vacantSince }) => address === undefined && vacantSince <= until)) {
      if (this.#taken.length <= wanted) return
      this.#taken = this.#taken.filter((other) => other !== taken)
      taken.abort.abort()
      const ending = Promise.resolve(taken.done).finally(() => this.#ending.delete(ending))
      this.#ending.add(ending)
    }
  }
}
