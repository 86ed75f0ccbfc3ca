// SPDX-License-Identifier: Apache-2.0
// Requests to a Kubernetes API with the credentials of a kubeconfig or of the pod, and its watches. This is the only door to it: what the operator
// may do there (docs/rbac) is what is asked for through it.
import type { OutgoingHttpHeaders } from 'node:http'
import { Agent, request, type RequestOptions } from 'node:https'
import { KubeConfig, Watch } from '@kubernetes/client-node'

export interface KubeMetadata {
  readonly name?: string
  readonly namespace?: string
  readonly uid?: string
  readonly resourceVersion?: string
  readonly generation?: number
  readonly labels?: Readonly<Record<string, string>>
  readonly annotations?: Readonly<Record<string, string>>
  readonly creationTimestamp?: string
  readonly ownerReferences?: readonly { readonly kind: string; readonly name: string; readonly controller?: boolean }[]
  readonly managedFields?: readonly { readonly time?: string; readonly subresource?: string }[]
}

/** As JSON has it: whoever reads more than metadata looks before. */
export interface KubeObject {
  readonly apiVersion?: string
  readonly kind?: string
  readonly metadata?: KubeMetadata
  readonly [field: string]: unknown
}

export interface Call {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  /** With the query. */
  readonly path: string
  readonly body?: unknown
  /** Of the body; default application/json. */
  readonly contentType?: string
}

export const APPLY = 'application/apply-patch+yaml'

/** What the server, or the way to it, had to say instead of an answer. */
export class KubeError extends Error {
  /** HTTP status; 0: there was no answer. */
  readonly code: number
  /** As Kubernetes calls it: Conflict, Expired, TooManyRequests, ... */
  readonly reason: string
  readonly retryAfterMs: number | undefined

  constructor(code: number, message: string, more: { readonly reason?: string; readonly retryAfterMs?: number | undefined; readonly cause?: unknown } = {}) {
    super(message, { cause: more.cause })
    this.code = code
    this.reason = more.reason ?? ''
    this.retryAfterMs = more.retryAfterMs
  }
}

export type WatchEnd =
  /** The server closed it, as it does from time to time. */
  | { readonly ok: true }
  /** `code` as in KubeError: 410 means that the list has to be made again. */
  | { readonly ok: false; readonly code: number; readonly message: string }

export interface WatchCall {
  /** Without a query. */
  readonly path: string
  readonly query: Readonly<Record<string, string | number | boolean>>
  readonly onEvent: (type: string, object: KubeObject) => void
  readonly signal: AbortSignal
}

/** What controllers need of a cluster; tests that break it put something of their own in between. */
export interface KubeApi {
  /** Rejects with KubeError. */
  call(call: Call): Promise<KubeObject>
  /** Lives until the watch ends. Never rejects. */
  watch(call: WatchCall): Promise<WatchEnd>
}

/** A request that takes longer has lost its server. */
const REQUEST_MS = 30_000
/** Bookmarks come about once a minute: three minutes of silence mean that nobody is there. client-node's own limit is 30 s. */
const SILENCE_MS = 180_000

export type Credentials = { readonly kind: 'in-cluster' } | { readonly kind: 'kubeconfig'; readonly file: string }

export function loadConfig(credentials: Credentials): KubeConfig {
  const config = new KubeConfig()
  if (credentials.kind === 'in-cluster') config.loadFromCluster()
  else config.loadFromFile(credentials.file)
  return config
}

/** Credentials that were refused are not read again more often than that. */
const RELOAD_MS = 1_000

export class ClientNodeApi implements KubeApi {
  readonly #load: () => KubeConfig
  #config: KubeConfig
  #loadedAt = performance.now()
  #agent: { readonly agent: Agent; readonly of: string } | undefined

  /** `load` is called again when the API refuses what it gave: tokens, certificates and kubeconfigs are renewed where they lie. Throws where it does at first. */
  constructor(load: () => KubeConfig) {
    this.#load = load
    this.#config = load()
  }

  get server(): string {
    return this.#config.getCurrentCluster()?.server ?? ''
  }

  async call({ method, path, body, contentType = 'application/json' }: Call): Promise<KubeObject> {
    const text = body === undefined ? undefined : JSON.stringify(body)
    const options = await this.#options()
    const headers = { ...(options.headers as OutgoingHttpHeaders | undefined), accept: 'application/json', ...(text === undefined ? {} : { 'content-type': contentType, 'content-length': Buffer.byteLength(text) }) }
    const answer = await exchange(new URL(path, this.server), { ...options, method, headers }, text).catch((error: KubeError) => this.#refused(error))
    const value = parse(answer.text)
    if (answer.code >= 200 && answer.code < 300 && value) return value
    const said = typeof value?.['message'] === 'string' ? value['message'] : answer.text.slice(0, 500)
    const reason = typeof value?.['reason'] === 'string' ? value['reason'] : ''
    return this.#refused(new KubeError(answer.code, `${method} ${path.split('?')[0]}: ${answer.code} ${said}`, { reason, retryAfterMs: answer.retryAfterMs }))
  }

  async watch(call: WatchCall): Promise<WatchEnd> {
    const end = await this.#watch(call)
    if (!end.ok) this.#doubt(end.code)
    return end
  }

  #watch({ path, query, onEvent, signal }: WatchCall): Promise<WatchEnd> {
    const watch = new Watch(this.#config)
    Object.assign(watch, { requestTimeoutMs: SILENCE_MS })
    return new Promise((resolve) => {
      let failure: WatchEnd | undefined
      const done = (error: unknown): void => resolve(failure ?? endOf(error))
      const take = (type: string, object: KubeObject): void => {
        if (type !== 'ERROR') return onEvent(type, object)
        failure = { ok: false, code: Number(object['code'] ?? 0), message: typeof object['message'] === 'string' ? object['message'] : 'the watch failed' }
      }
      // It passes `done` whatever happens once it runs; before that (credentials that cannot be read) it rejects.
      const started = watch.watch(path, { ...query }, take, done)
      // Its controller comes with the server's answer, which may never come: whoever ends the watch does not wait for it.
      const abort = (): void => {
        resolve({ ok: true })
        void started.then((controller) => controller.abort(), () => {})
      }
      if (signal.aborted) abort()
      else signal.addEventListener('abort', abort, { once: true })
      started.catch(done)
    })
  }

  #refused(error: KubeError): never {
    this.#doubt(error.code)
    throw error
  }

  /** The credentials may be old ones: what was refused is tried again with those that there are now. */
  #doubt(code: number): void {
    if ((code !== 401 && code !== 0) || performance.now() - this.#loadedAt < RELOAD_MS) return
    this.#loadedAt = performance.now()
    try {
      const config = this.#load()
      // One that is being written may lack what it had.
      if (config.getCurrentCluster() && config.getCurrentUser()) this.#config = config
    } catch {
      // It will be there again; until then the old one is as good as any.
    }
  }

  async #options(): Promise<RequestOptions> {
    const options: RequestOptions = {}
    try {
      await this.#config.applyToHTTPSOptions(options)
    } catch (cause) {
      throw new KubeError(0, `Cannot read the credentials: ${(cause as Error).message}`, { cause })
    }
    if (this.#config.getCurrentCluster()?.proxyUrl) return options
    return { ...options, agent: this.#agentOf(options) }
  }

  /** client-node's agent opens a connection for each request; this one keeps them, as long as the certificates are the same. */
  #agentOf({ ca, cert, key, rejectUnauthorized, servername }: RequestOptions): Agent {
    const tls = Object.fromEntries(Object.entries({ ca, cert, key, rejectUnauthorized, servername }).filter(([, value]) => value !== undefined))
    const of = [ca, cert, key, rejectUnauthorized, servername].map(String).join()
    // The old one is not destroyed: requests may be under way in it, and the server ends idle connections.
    if (this.#agent?.of !== of) this.#agent = { agent: new Agent({ keepAlive: true, maxSockets: 16, ...tls }), of }
    return this.#agent.agent
  }
}

function endOf(error: unknown): WatchEnd {
  if (error === null || error === undefined) return { ok: true }
  const { statusCode, message, name } = error as { statusCode?: number; message?: string; name?: string }
  return name === 'AbortError' ? { ok: true } : { ok: false, code: statusCode ?? 0, message: message ?? String(name) }
}

interface Answer {
  readonly code: number
  readonly text: string
  readonly retryAfterMs: number | undefined
}

function exchange(url: URL, options: RequestOptions, body: string | undefined): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const fail = (cause: Error): void => reject(new KubeError(0, `Cannot reach the Kubernetes API: ${cause.message}`, { cause }))
    const sent = request(url, options, (response) => {
      const chunks: Buffer[] = []
      const after = Number(response.headers['retry-after'])
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.on('error', fail)
      response.on('end', () => resolve({ code: response.statusCode ?? 0, text: Buffer.concat(chunks).toString('utf8'), retryAfterMs: after > 0 ? after * 1000 : undefined }))
    })
    sent.setTimeout(REQUEST_MS, () => sent.destroy(new Error(`no answer within ${REQUEST_MS / 1000} s`)))
    sent.on('error', fail)
    sent.end(body)
  })
}

function parse(text: string): KubeObject | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? (value as KubeObject) : undefined
  } catch {
    return undefined
  }
}
