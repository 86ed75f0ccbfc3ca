// SPDX-License-Identifier: Apache-2.0
// One resource of the API, kept in step: listed in pages, then watched from there; listed again when the server has forgotten where we were, and
// from time to time, since a watch may have lost something without saying so. Whoever is told gets keys, and reads what holds then.
import { Backoff } from '../../runtime/backoff.ts'
import type { Clock, Timer } from '../../runtime/clock.ts'
import type { Logger } from '../../runtime/log.ts'
import { KubeError, type KubeApi, type KubeObject } from './api.ts'

export interface InformerOptions<T> {
  readonly api: KubeApi
  /** /api/v1/pods */
  readonly path: string
  /** Of the list and of the watch: a fieldSelector. */
  readonly query?: Readonly<Record<string, string>>
  /** What is kept of an object; undefined: nothing, it does not exist for us. */
  readonly trim: (object: KubeObject) => T | undefined
  /** Default: namespace/name. */
  readonly keyOf?: (object: KubeObject) => string
  /** Something has become of these: look into the store. */
  readonly onKeys: (keys: readonly string[]) => void
  readonly clock: Clock
  readonly logger: Logger
  readonly random: () => number
  readonly relistMs?: number
  /** A custom resource, of which the API may know nothing: then there are no objects of it, and those that were known are kept. */
  readonly mayBeAbsent?: boolean
}

interface Stored<T> {
  readonly version: string
  readonly value: T
}

const PAGE = 500
const RELIST_MS = 600_000
/** A watch that lived that long has worked: the next one may begin at once. */
const HEALTHY_MS = 5_000
/** Watches that may fail in a row before the list is made again. */
const ATTEMPTS_MAX = 5
/** Answers that there is no such resource (404) in a row before that is believed: an API that starts, or what stands before it, may be wrong once. */
const ABSENT_MIN = 3

export class Informer<T> {
  readonly path: string
  /** Counts for tests and metrics. */
  readonly done = { lists: 0, watches: 0, events: 0, failures: 0 }
  readonly #options: InformerOptions<T>
  readonly #store = new Map<string, Stored<T>>()
  readonly #abort = new AbortController()
  readonly #backoff: Backoff
  readonly #logger: Logger
  #version = ''
  #lastHeard: number
  #listedAt = 0
  #absences = 0
  #running: Promise<void> | undefined
  #synced = Promise.withResolvers<void>()
  #isSynced = false

  constructor(options: InformerOptions<T>) {
    const { clock, random, logger, path } = options
    this.path = path
    this.#options = options
    this.#logger = logger.with({ path })
    this.#backoff = new Backoff({ baseMs: 250, capMs: 5_000, clock, random })
    this.#lastHeard = clock.monotonic()
  }

  /** Resolves when everything has been listed once. */
  get synced(): Promise<void> {
    return this.#synced.promise
  }

  get isSynced(): boolean {
    return this.#isSynced
  }

  get size(): number {
    return this.#store.size
  }

  /** Milliseconds since the server said something about the resource, if only that nothing happened. */
  get ageMs(): number {
    return this.#options.clock.monotonic() - this.#lastHeard
  }

  get(key: string): T | undefined {
    return this.#store.get(key)?.value
  }

  *entries(): Generator<[string, T]> {
    for (const [key, { value }] of this.#store) yield [key, value]
  }

  start(): void {
    this.#running ??= this.#run()
  }

  async stop(): Promise<void> {
    this.#abort.abort()
    await this.#running
  }

  async #run(): Promise<void> {
    const { clock } = this.#options
    const { signal } = this.#abort
    while (!signal.aborted) {
      const started = clock.monotonic()
      const isList = this.#version === ''
      const problem = isList ? await this.#list() : await this.#watch()
      if (signal.aborted) return
      if (isList && problem === undefined) continue
      if (!isList && clock.monotonic() - started > HEALTHY_MS) this.#backoff.reset()
      else await this.#pause(problem)
    }
  }

  /** Also after a watch that ended well and at once: whoever ends it so would be asked without pause. */
  async #pause(problem: KubeError | undefined): Promise<void> {
    const delayMs = Math.max(problem?.retryAfterMs ?? 0, this.#backoff.next())
    if (problem) {
      this.done.failures += 1
      if (this.#isAbsent) this.#sayAbsent(problem)
      else this.#logger.warn('Lost touch with a resource', { code: problem.code, reason: problem.message, delayMs, attempts: this.#backoff.attempts })
    }
    // A store that was restored from a backup does not know our version, and does not say so in a word of its own.
    if (this.#backoff.attempts >= ATTEMPTS_MAX) this.#version = ''
    await this.#backoff.wait(this.#abort.signal, delayMs)
  }

  async #list(): Promise<KubeError | undefined> {
    const found = new Map<string, Stored<T>>()
    let version = ''
    try {
      let next = ''
      do {
        const page = await this.#page(next)
        for (const object of page.items) this.#keep(found, object)
        version = page.version
        next = page.next
      } while (next !== '' && !this.#abort.signal.aborted)
    } catch (error) {
      if (!(error instanceof KubeError)) throw error
      this.#noteAbsence(error)
      // A list that takes longer than the server remembers (410) begins anew.
      return error
    }
    this.done.lists += 1
    if (this.#isAbsent) this.#logger.info('Found the missing custom resource', { resource: resourceName(this.path) })
    this.#absences = 0
    this.#heard()
    this.#listedAt = this.#options.clock.monotonic()
    this.#version = version
    this.#tell(this.#replace(found))
    this.#setSynced()
    return undefined
  }

  /** Whoever waits for all resources must not wait for one that is not installed. */
  #noteAbsence({ code }: KubeError): void {
    this.#absences = code === 404 ? this.#absences + 1 : 0
    if (this.#isAbsent) this.#setSynced()
  }

  get #isAbsent(): boolean {
    return this.#options.mayBeAbsent === true && this.#absences >= ABSENT_MIN
  }

  /** Once: it may stay so for good, and is looked for as long. */
  #sayAbsent({ message }: KubeError): void {
    if (this.#absences > ABSENT_MIN) return
    this.#logger.warn('Found a custom resource missing', {
      resource: resourceName(this.path), reason: message, meanwhile: 'what was known of it stays in force, and nothing new can come', remedy: 'kubectl apply --server-side -f crds/',
    })
  }

  #setSynced(): void {
    this.#isSynced = true
    this.#synced.resolve()
  }

  async #page(next: string): Promise<{ items: readonly KubeObject[]; version: string; next: string }> {
    const query = new URLSearchParams({ ...this.#options.query, limit: String(PAGE), ...(next === '' ? {} : { continue: next }) })
    const list = await this.#options.api.call({ method: 'GET', path: `${this.path}?${query.toString()}` })
    const { resourceVersion = '', continue: more = '' } = (list.metadata ?? {}) as { resourceVersion?: string; continue?: string }
    return { items: Array.isArray(list['items']) ? (list['items'] as KubeObject[]) : [], version: resourceVersion, next: more }
  }

  /** The keys of all that differs. */
  #replace(found: ReadonlyMap<string, Stored<T>>): string[] {
    const gone = [...this.#store.keys()].filter((key) => !found.has(key))
    const changed = [...found].filter(([key, { version }]) => this.#store.get(key)?.version !== version)
    for (const key of gone) this.#store.delete(key)
    for (const [key, stored] of changed) this.#store.set(key, stored)
    return [...gone, ...changed.map(([key]) => key)]
  }

  async #watch(): Promise<KubeError | undefined> {
    const { api, clock, random, relistMs = RELIST_MS, query } = this.#options
    const over = new AbortController()
    const end = (): void => over.abort()
    this.#abort.signal.addEventListener('abort', end, { once: true })
    // Watches of many clients do not all end at once, and neither do ours.
    const timeoutSeconds = Math.floor(300 + random() * 300)
    const relist: Timer = clock.after(Math.max(0, this.#listedAt + relistMs * (0.9 + 0.2 * random()) - clock.monotonic()), () => {
      this.#version = ''
      end()
    })
    this.done.watches += 1
    const result = await api.watch({
      path: this.path,
      query: { ...query, resourceVersion: this.#version, allowWatchBookmarks: true, timeoutSeconds },
      onEvent: (type, object) => { if (!over.signal.aborted) this.#take(type, object) },
      signal: over.signal,
    })
    relist.cancel()
    this.#abort.signal.removeEventListener('abort', end)
    if (result.ok) return undefined
    if (result.code !== 410) return new KubeError(result.code, result.message)
    this.#version = ''
    return undefined
  }

  #take(type: string, object: KubeObject): void {
    this.#heard()
    const version = object.metadata?.resourceVersion
    if (version !== undefined) this.#version = version
    if (type === 'BOOKMARK') return
    this.done.events += 1
    const key = this.#keyOf(object)
    if (type === 'DELETED') this.#store.delete(key)
    else if (!this.#keep(this.#store, object)) this.#store.delete(key)
    this.#tell([key])
  }

  #keep(into: Map<string, Stored<T>>, object: KubeObject): boolean {
    try {
      const value = this.#options.trim(object)
      if (value === undefined) return false
      into.set(this.#keyOf(object), { version: object.metadata?.resourceVersion ?? '', value })
      return true
    } catch (error) {
      this.#logger.error('Failed to read an object', { name: object.metadata?.name, namespace: object.metadata?.namespace, error })
      return false
    }
  }

  #keyOf(object: KubeObject): string {
    if (this.#options.keyOf) return this.#options.keyOf(object)
    const { namespace = '', name = '' } = object.metadata ?? {}
    return namespace === '' ? name : `${namespace}/${name}`
  }

  #heard(): void {
    this.#lastHeard = this.#options.clock.monotonic()
  }

  /** A defect of whoever listens must not end the watch, nor the process. */
  #tell(keys: readonly string[]): void {
    if (keys.length === 0) return
    try {
      this.#options.onKeys(keys)
    } catch (error) {
      this.#logger.error('Failed to pass on changes', { error })
    }
  }
}

/** As its definition is called: kubearmorpolicies.security.kubearmor.com. */
function resourceName(path: string): string {
  const [, , group = '', ...rest] = path.split('/')
  return `${rest.at(-1) ?? ''}.${group}`
}
