// SPDX-License-Identifier: Apache-2.0
// Which of the operator's replicas writes: the one that holds a Lease. It counts its own time from before each request, so that it has stopped
// before anybody else may begin, whatever the network did with the answer; the others count from when they saw the Lease change, so that
// no two clocks are compared.
import type { Clock } from '../../runtime/clock.ts'
import { sleep } from '../../runtime/clock.ts'
import type { Logger } from '../../runtime/log.ts'
import { KubeError, type KubeApi, type KubeObject } from './api.ts'
import { record } from './trim.ts'

export interface LeaseOptions {
  readonly api: KubeApi
  readonly namespace: string
  readonly name: string
  /** Of this replica, unlike all others. */
  readonly identity: string
  readonly clock: Clock
  readonly logger: Logger
  readonly random: () => number
  /** It has become the leader (true), or may no longer write (false). */
  readonly onChange: (leads: boolean) => void
  /** Others may take over when the Lease has not changed for that long. */
  readonly durationMs?: number
  /** The leader gives up when it could not renew for that long. */
  readonly renewMs?: number
  /** Between two attempts. */
  readonly retryMs?: number
}

/** As Kubernetes's own components have them. */
const TIMES = { durationMs: 15_000, renewMs: 10_000, retryMs: 2_000 }

interface Held {
  readonly holder: string
  readonly version: string
  readonly transitions: number
  readonly acquiredAt: string
}

export class LeaderElection {
  readonly #options: LeaseOptions & typeof TIMES
  readonly #abort = new AbortController()
  /** What was seen last, and when that was new to us. */
  #seen: { readonly version: string; readonly at: number } | undefined
  #leads = false
  #renewedAt = 0
  #deadline: { cancel(): void } | undefined
  #running: Promise<void> | undefined

  constructor(options: LeaseOptions) {
    this.#options = { ...TIMES, ...options }
  }

  /** True while it is certain that nobody else leads. Ask right before each write. */
  get leads(): boolean {
    return this.#leads && this.#options.clock.monotonic() - this.#renewedAt < this.#options.renewMs
  }

  start(): void {
    this.#running ??= this.#run()
  }

  /** Gives the Lease back, so that another replica need not wait for its end. */
  async stop(): Promise<void> {
    this.#abort.abort()
    await this.#running
    if (!this.leads) return
    this.#set(false)
    try {
      const held = await this.#read()
      if (held?.holder === this.#options.identity) await this.#write(held, '')
    } catch (error) {
      this.#options.logger.debug('Failed to release the lease', { error })
    }
  }

  async #run(): Promise<void> {
    const { clock, retryMs, random } = this.#options
    const { signal } = this.#abort
    while (!signal.aborted) {
      await this.#attempt()
      // Replicas that start together do not go on together.
      await sleep(clock, retryMs * (0.8 + 0.4 * random()), signal)
    }
  }

  async #attempt(): Promise<void> {
    const { clock, logger, identity, renewMs } = this.#options
    const started = clock.monotonic()
    try {
      const held = await this.#read()
      if (held?.holder !== identity && !this.#isFree(held)) return this.#set(false)
      await this.#write(held, identity)
      this.#renewedAt = started
      // An answer that took that long may be older than another leader.
      this.#set(clock.monotonic() - started < renewMs)
    } catch (error) {
      // A conflict: somebody else was faster. Anything else: until its time is up it still leads.
      const isConflict = error instanceof KubeError && error.code === 409
      if (isConflict) this.#set(false)
      else logger.warn('Failed to renew the lease', { error, leads: this.leads })
    }
  }

  #isFree(held: Held | undefined): boolean {
    const { clock, durationMs } = this.#options
    if (!held || held.holder === '') return true
    if (this.#seen?.version !== held.version) this.#seen = { version: held.version, at: clock.monotonic() }
    return clock.monotonic() - this.#seen.at >= durationMs
  }

  async #read(): Promise<Held | undefined> {
    try {
      const { metadata, spec } = await this.#options.api.call({ method: 'GET', path: this.#path })
      const { holderIdentity = '', leaseTransitions = 0, acquireTime = '' } = record(spec) as { holderIdentity?: string; leaseTransitions?: number; acquireTime?: string }
      return { holder: holderIdentity, version: metadata?.resourceVersion ?? '', transitions: leaseTransitions, acquiredAt: acquireTime }
    } catch (error) {
      if (error instanceof KubeError && error.code === 404) return undefined
      throw error
    }
  }

  async #write(held: Held | undefined, identity: string): Promise<void> {
    const { api, namespace, name, clock, durationMs } = this.#options
    // MicroTime wants six digits.
    const now = new Date(clock.now()).toISOString().replace('Z', '000Z')
    const isNew = held?.holder !== identity
    const spec = {
      holderIdentity: identity,
      leaseDurationSeconds: Math.max(1, Math.round(durationMs / 1000)),
      acquireTime: isNew || held.acquiredAt === '' ? now : held.acquiredAt,
      renewTime: now,
      leaseTransitions: (held?.transitions ?? 0) + (held && isNew && identity !== '' ? 1 : 0),
    }
    const lease: KubeObject = { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', metadata: { name, namespace, ...(held ? { resourceVersion: held.version } : {}) }, spec }
    if (held) await api.call({ method: 'PUT', path: this.#path, body: lease })
    else await api.call({ method: 'POST', path: this.#path.slice(0, this.#path.lastIndexOf('/')), body: lease })
  }

  get #path(): string {
    const { namespace, name } = this.#options
    return `/apis/coordination.k8s.io/v1/namespaces/${namespace}/leases/${name}`
  }

  #set(leads: boolean): void {
    const { clock, renewMs, logger, onChange } = this.#options
    this.#deadline?.cancel()
    // Nobody may have to ask to find out that the time is up.
    if (leads) this.#deadline = clock.after(this.#renewedAt + renewMs - clock.monotonic(), () => this.#set(false))
    if (this.#leads === leads) return
    this.#leads = leads
    logger.info(leads ? 'Became the leader' : 'Lost the lead', { identity: this.#options.identity })
    onChange(leads)
  }
}
