// SPDX-License-Identifier: Apache-2.0
// A small client of the Kubernetes API for tests: one request at a time, no cache, errors with the server's own words.

import { Agent, request } from 'node:https'
import type { Trust } from './certificates.ts'

export interface KubeObject {
  readonly apiVersion?: string
  readonly kind?: string
  readonly metadata?: { readonly name?: string; readonly namespace?: string; readonly uid?: string; readonly resourceVersion?: string; readonly generation?: number; readonly [field: string]: unknown }
  readonly [field: string]: unknown
}

export class KubeError extends Error {
  readonly code: number
  /** The Status object, where the server sent one. */
  readonly status: KubeObject | undefined

  constructor(code: number, message: string, status?: KubeObject) {
    super(message)
    this.code = code
    this.status = status
  }
}

const PATCH_TYPES = { apply: 'application/apply-patch+yaml', merge: 'application/merge-patch+json', json: 'application/json-patch+json' } as const

export class KubeClient {
  readonly server: string
  readonly trust: Trust
  readonly #agent: Agent

  constructor(server: string, trust: Trust) {
    this.server = server
    this.trust = trust
    // An idle connection ends here long before the server ends it: a request that crosses its end would fail.
    this.#agent = new Agent({ keepAlive: true, timeout: 30_000, ca: trust.ca })
  }

  get(path: string): Promise<KubeObject> {
    return this.send('GET', path)
  }

  create(path: string, object: KubeObject): Promise<KubeObject> {
    return this.send('POST', path, object)
  }

  replace(path: string, object: KubeObject): Promise<KubeObject> {
    return this.send('PUT', path, object)
  }

  patch(path: string, patch: unknown, type: 'merge' | 'json' = 'merge'): Promise<KubeObject> {
    return this.send('PATCH', path, patch, PATCH_TYPES[type])
  }

  /** Server-side apply; the object needs apiVersion and kind. */
  apply(path: string, object: KubeObject, manager = 'test'): Promise<KubeObject> {
    return this.send('PATCH', `${path}?fieldManager=${manager}&force=true`, object, PATCH_TYPES.apply)
  }

  delete(path: string): Promise<KubeObject> {
    return this.send('DELETE', path)
  }

  /** Undefined when there is no such object. */
  async find(path: string): Promise<KubeObject | undefined> {
    try {
      return await this.get(path)
    } catch (error) {
      if (error instanceof KubeError && error.code === 404) return undefined
      throw error
    }
  }

  close(): void {
    this.#agent.destroy()
  }

  /** Throws KubeError where the server refuses. */
  async send(method: string, path: string, body?: unknown, type = 'application/json'): Promise<KubeObject> {
    const { code, text } = await this.#exchange(method, path, body === undefined ? undefined : JSON.stringify(body), type)
    const value = parse(text)
    if (code >= 200 && code < 300) return value ?? { text }
    throw new KubeError(code, `${method} ${path}: ${code} ${typeof value?.['message'] === 'string' ? value['message'] : text}`, value)
  }

  #exchange(method: string, path: string, body: string | undefined, type: string): Promise<{ code: number; text: string }> {
    const headers = { authorization: `Bearer ${this.trust.token}`, accept: 'application/json', ...(body === undefined ? {} : { 'content-type': type, 'content-length': Buffer.byteLength(body) }) }
    return new Promise((resolve, reject) => {
      const sent = request(new URL(path, this.server), { method, headers, agent: this.#agent }, (response) => {
        const chunks: Buffer[] = []
        response.on('data', (chunk: Buffer) => chunks.push(chunk))
        response.on('error', reject)
        response.on('end', () => resolve({ code: response.statusCode ?? 0, text: Buffer.concat(chunks).toString('utf8') }))
      })
      sent.on('error', reject)
      sent.end(body)
    })
  }
}

function parse(text: string): KubeObject | undefined {
  try {
    return JSON.parse(text) as KubeObject
  } catch {
    return undefined
  }
}
