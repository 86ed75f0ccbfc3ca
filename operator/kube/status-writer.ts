// SPDX-License-Identifier: Apache-2.0
// The leader's pen: what has become of policies and of KubeArmorConfigs goes into their status by server-side apply, transitions become Events.
// All of it goes through one queue that does at most eight writes a second: what changes faster is written as it is when its turn comes.
import type { Finding, Policy } from '../../policy/types.ts'
import { sleep, type Clock, type Timer } from '../../runtime/clock.ts'
import type { Logger } from '../../runtime/log.ts'
import { WorkQueue, type Outcome } from '../../runtime/workqueue.ts'
import type { DotIOperator } from '../dot-i.ts'
import { APPLY, KubeError, type KubeApi } from './api.ts'
import { essence, statusOf, withTimes, type Condition, type PolicyObjectStatus } from './conditions.ts'
import { eventOf, type Transition } from './events.ts'
import { GROUP, PLURALS, VERSION, type PolicyObject } from './policies.ts'
import { honoured, type ConfigObject } from './settings.ts'
import type { Tally } from './tally.ts'

export interface StatusWriterOptions {
  readonly api: KubeApi
  /** Writes what policies become. */
  readonly operator: Pick<DotIOperator, 'patchResourceStatus'>
  readonly policies: ReadonlyMap<string, PolicyObject>
  readonly configs: () => Iterable<ConfigObject>
  readonly tallies: () => ReadonlyMap<string, Tally>
  /** Finds the rules of a policy that never decide; one at a time. */
  readonly examine: (policy: Policy) => Promise<readonly Finding[]>
  /** Whether this replica may write; asked before each write. */
  readonly leads: () => boolean
  /** Of this replica. */
  readonly identity: string
  readonly clock: Clock
  readonly logger: Logger
  readonly random: () => number
}

export const FIELD_MANAGER = 'merlon-operator'
/** With the Lease's renewals and what the other replicas report that stays below ten writes a second. */
export const WRITE_INTERVAL_MS = 125
/** A count waits for the examination of policies that long: most are examined by then, and need one write instead of two. */
const PATIENCE_MS = 2_000
/** How long changes are gathered before they are counted. */
const GATHER_MS = 250
/** Between two counts is so many times what one takes: a storm of changes costs a twentieth of the time at most. */
const REST = 19
/** By then the API has shown us what we have written: if it shows something else, somebody else has written. */
const ECHO_MS = 10_000
/** An older resource may have been replaced by then, and keep all of a status. */
const PRUNED_MS = 300_000
const EVENT = 'event '
const CONFIG = 'config '

interface Written {
  /** Of the object: another one of the same name has nothing of it. */
  readonly uid: string
  readonly text: string
  readonly status: PolicyObjectStatus
  readonly at: number
  /** The resource is an older one, and has kept what it knows of it. */
  readonly isPruned: boolean
}

export class StatusWriter {
  /** For metrics and tests. */
  readonly done = { counts: 0, writes: 0, events: 0, failures: 0 }
  readonly #options: StatusWriterOptions
  readonly #queue: WorkQueue
  readonly #wanted = new Map<string, PolicyObjectStatus>()
  readonly #written = new Map<string, Written>()
  readonly #events = new Map<string, Transition>()
  #timer: Timer | undefined
  #recheck: Timer | undefined
  #isClosed = false
  #examining: Promise<void> | undefined
  /** How long the last count took. */
  #countMs = 0
  readonly #losers = new WeakMap<Policy, readonly Finding[]>()
  readonly #made = new Map<string, { readonly object: PolicyObject; readonly of: string; readonly status: PolicyObjectStatus }>()

  constructor(options: StatusWriterOptions) {
    this.#options = options
    const { clock, random, logger } = options
    this.#queue = new WorkQueue({
      clock, random, intervalMs: WRITE_INTERVAL_MS, work: (key) => this.#work(key),
      onError: (key, error) => {
        this.done.failures += 1
        logger.warn('Failed to write a status', { key, error })
      },
    })
    this.#queue.pause()
  }

  /** Keys that are to be written. */
  get depth(): number {
    return this.#queue.size
  }

  /** What is known may be another: counts soon, if it is this replica's business. */
  changed(): void {
    const { leads, clock, logger } = this.#options
    if (this.#isClosed || !leads()) return
    this.#timer ??= clock.after(Math.max(GATHER_MS, this.#countMs * REST), () => {
      this.#examining ??= this.#examine().finally(() => { this.#examining = undefined })
      void Promise.race([this.#examining, sleep(clock, PATIENCE_MS)]).then(() => {
        this.#timer = undefined
        this.count()
      }).catch((error: unknown) => logger.error('Failed to count what is in force', { error }))
    })
  }

  /** What is not counted when it ends is counted then. */
  async #examine(): Promise<void> {
    const { policies, examine, leads } = this.#options
    let isDone: boolean
    do {
      isDone = true
      for (const { policy } of policies.values()) {
        if (!policy || this.#losers.has(policy)) continue
        if (this.#isClosed || !leads()) return
        this.#losers.set(policy, await examine(policy))
        this.changed()
        // There may be another version of one that was passed.
        isDone = false
      }
    } while (!isDone)
  }

  /** It may write from now on, or has to stop at once. */
  lead(leads: boolean): void {
    this.#written.clear()
    if (leads) {
      this.#queue.resume()
      this.changed()
      return
    }
    this.#queue.pause()
    this.#queue.clear()
    this.#events.clear()
  }

  close(): void {
    this.#isClosed = true
    this.#timer?.cancel()
    this.#recheck?.cancel()
    this.lead(false)
  }

  count(): void {
    if (this.#isClosed) return
    const { policies, tallies, configs, clock } = this.#options
    this.done.counts += 1
    const start = clock.monotonic()
    const counted = tallies()
    for (const name of this.#wanted.keys()) if (!policies.has(name)) this.#forget(name)
    for (const [name, object] of policies) {
      const status = this.#statusOf(name, object, counted.get(name))
      this.#wanted.set(name, status)
      const written = this.#awaited(name, object)
      if (essence(status) !== (written?.text ?? essence(object.status))) this.#queue.add(name)
      else if (written && written.text !== essence(object.status)) this.#lookAgain(written)
    }
    for (const config of configs()) if (phaseOf(config, configs()).phase !== config.phase) this.#queue.add(`${CONFIG}${config.namespace}/${config.name}`)
    this.#countMs = clock.monotonic() - start
  }

  /** What was written does not show: if it never does, nothing else may ever ask. */
  #lookAgain({ isPruned }: Written): void {
    this.#recheck ??= this.#options.clock.after((isPruned ? PRUNED_MS : ECHO_MS) + GATHER_MS, () => {
      this.#recheck = undefined
      this.changed()
    })
  }

  /** The one of the last count, where it was made of the same. */
  #statusOf(name: string, object: PolicyObject, tally: Tally | undefined): PolicyObjectStatus {
    const losers = object.policy && this.#losers.get(object.policy)
    const of = `${losers !== undefined} ${JSON.stringify(tally)}`
    const known = this.#made.get(name)
    if (known?.object === object && known.of === of) return known.status
    const status = statusOf(object, tally, losers)
    this.#made.set(name, { object, of, status })
    return status
  }

  /** What was written of this object, as long as the API may not have shown it to us yet. */
  #awaited(name: string, { uid }: PolicyObject): Written | undefined {
    const written = this.#written.get(name)
    if (written?.uid !== uid) return undefined
    return this.#options.clock.monotonic() - written.at > (written.isPruned ? PRUNED_MS : ECHO_MS) ? undefined : written
  }

  /** The last status that is known of. */
  #lastOf(name: string, object: PolicyObject): Readonly<Record<string, unknown>> {
    return { ...(this.#awaited(name, object)?.status ?? object.status) }
  }

  #forget(name: string): void {
    this.#wanted.delete(name)
    this.#made.delete(name)
    this.#written.delete(name)
  }

  async #work(key: string): Promise<Outcome> {
    // Losing the lead stops writes at once: whoever leads now writes what is to be written.
    if (!this.#options.leads()) return 'nothing'
    if (key.startsWith(EVENT)) return this.#writeEvent(key)
    if (key.startsWith(CONFIG)) return this.#writeConfig(key.slice(CONFIG.length))
    return this.#writePolicy(key)
  }

  async #writePolicy(name: string): Promise<Outcome> {
    const { policies, clock, operator } = this.#options
    const [object, wanted] = [policies.get(name), this.#wanted.get(name)]
    if (!object || !wanted) return 'nothing'
    const before = this.#lastOf(name, object)
    const status = withTimes(wanted, before, new Date(clock.now()).toISOString().replace(/\.\d+Z$/, 'Z'))
    const { kind, namespace, name: own } = object
    const apiVersion = `${GROUP}/${VERSION}`
    const meta = { id: `${PLURALS[kind]}.${apiVersion}`, apiVersion, kind, name: own, resourceVersion: '', uid: object.uid, ...(namespace === '' ? {} : { namespace }) }
    let isPruned = false
    const apply = async (): Promise<void> => {
      try {
        await operator.patchResourceStatus(meta, status)
      } catch (error) {
        if (!isMistyped(error)) throw error
        isPruned = true
        await this.#merge(object, status)
      }
    }
    if (!(await this.#apply(apply()))) return 'done'
    this.#written.set(name, { uid: object.uid, text: essence(wanted), status, at: clock.monotonic(), isPruned })
    this.#note(object, wanted, before)
    return 'done'
  }

  /** KubeArmor's own resources know one word of a status: a merge leaves out the rest, where an application is refused. */
  async #merge(object: PolicyObject, status: PolicyObjectStatus): Promise<void> {
    const { kind, namespace, name } = object
    const path = `/apis/${GROUP}/${VERSION}/${namespace === '' ? '' : `namespaces/${namespace}/`}${PLURALS[kind]}/${name}/status?fieldManager=${FIELD_MANAGER}`
    await this.#options.api.call({ method: 'PATCH', path, body: { metadata: { uid: object.uid }, status }, contentType: 'application/merge-patch+json' })
  }

  async #writeConfig(key: string): Promise<Outcome> {
    const config = [...this.#options.configs()].find((each) => `${each.namespace}/${each.name}` === key)
    if (!config) return 'nothing'
    const status = phaseOf(config, this.#options.configs())
    const path = `/apis/operator.kubearmor.com/v1/namespaces/${config.namespace}/kubearmorconfigs/${config.name}`
    const body = { apiVersion: 'operator.kubearmor.com/v1', kind: 'KubeArmorConfig', metadata: metadataOf(config), status }
    await this.#apply(this.#options.api.call({ method: 'PATCH', path: `${path}/status?fieldManager=${FIELD_MANAGER}&force=true`, body, contentType: APPLY }))
    return 'done'
  }

  /** False: the object is gone, or is another of the same name. */
  async #apply(write: Promise<unknown>): Promise<boolean> {
    this.done.writes += 1
    try {
      await write
      return true
    } catch (error) {
      if (error instanceof KubeError && (error.code === 404 || error.code === 409)) return false
      throw error
    }
  }

  /** A transition of what people ask first becomes an Event. */
  #note(object: PolicyObject, wanted: PolicyObjectStatus, before: Readonly<Record<string, unknown>>): void {
    const conditions = Array.isArray(before['conditions']) ? (before['conditions'] as Partial<Condition>[]) : []
    for (const condition of wanted.conditions) {
      const known = conditions.find(({ type }) => type === condition.type)
      if (known?.status === condition.status && (condition.status !== 'False' || known.reason === condition.reason)) continue
      const key = `${EVENT}${condition.type} ${object.uid}`
      this.#events.set(key, { object, condition })
      this.#queue.add(key)
    }
  }

  async #writeEvent(key: string): Promise<Outcome> {
    const transition = this.#events.get(key)
    this.#events.delete(key)
    const { identity, clock, api, logger } = this.#options
    const event = transition && eventOf(transition, identity, clock.now())
    if (!event) return 'nothing'
    this.done.events += 1
    try {
      await api.call({ method: 'POST', path: `/apis/events.k8s.io/v1/namespaces/${event.metadata?.namespace}/events`, body: event })
    } catch (error) {
      // The status says it all; an Event is a courtesy, and its namespace may be going.
      logger.debug('Failed to write an event', { error })
    }
    return 'done'
  }
}

/** The resource does not know the fields of a status, or the object is none that it would let pass today. */
function isMistyped(error: unknown): boolean {
  return error instanceof KubeError && /failed to create typed (patch|live) object/.test(error.message)
}

/** With the uid, so that an object that was made anew meanwhile does not get the status of its predecessor. */
function metadataOf({ name, namespace, uid }: { readonly name: string; readonly namespace: string; readonly uid: string }): { name: string; namespace?: string; uid: string } {
  return { name, ...(namespace === '' ? {} : { namespace }), uid }
}

/** In KubeArmor's words. */
function phaseOf(config: ConfigObject, all: Iterable<ConfigObject>): { readonly phase: string; readonly message: string; readonly observedGeneration: number } {
  const first = honoured(all)
  const isFirst = first === undefined || first.uid === config.uid
  const message = isFirst ? '' : `KubeArmorConfig ${first.namespace}/${first.name} already manages this cluster: this one is not honoured`
  return { phase: isFirst ? 'Running' : 'Error', message, observedGeneration: config.generation }
}
