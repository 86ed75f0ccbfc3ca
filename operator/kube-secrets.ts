// SPDX-License-Identifier: Apache-2.0
// Secrets and ConfigMaps of the operator's namespace, as far as identity needs them.
import type { SecretStore, StoredSecret } from './secrets.ts'

interface Metadata {
  readonly name?: string
  readonly resourceVersion?: string
  readonly labels?: Record<string, string>
}

interface Body {
  metadata: { name: string; labels: Record<string, string>; resourceVersion?: string }
  data: Record<string, string>
  type?: string
}

interface Named {
  name: string
  namespace: string
}

/** What is needed of @kubernetes/client-node's CoreV1Api. */
export interface CoreApi {
  readNamespacedSecret(request: Named): Promise<{ readonly metadata?: Metadata; readonly data?: Record<string, string> }>
  createNamespacedSecret(request: { namespace: string; body: Body }): Promise<unknown>
  replaceNamespacedSecret(request: Named & { body: Body }): Promise<unknown>
  createNamespacedConfigMap(request: { namespace: string; body: Body }): Promise<unknown>
  replaceNamespacedConfigMap(request: Named & { body: Body }): Promise<unknown>
}

export interface KubeObject {
  readonly namespace: string
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
}

const NOT_FOUND = 404
const CONFLICT = 409

export class KubeSecretStore implements SecretStore {
  readonly #api: CoreApi
  readonly #object: KubeObject

  constructor(api: CoreApi, object: KubeObject) {
    this.#api = api
    this.#object = object
  }

  async read(): Promise<StoredSecret | undefined> {
    const { namespace, name } = this.#object
    const found = await orElse(NOT_FOUND, this.#api.readNamespacedSecret({ namespace, name }))
    if (found === undefined) return undefined
    return { data: mapValues(found.data ?? {}, (text) => Buffer.from(text, 'base64').toString()), version: found.metadata?.resourceVersion ?? '' }
  }

  async write(data: Readonly<Record<string, string>>, version: string | undefined): Promise<boolean> {
    const body = secretBody(this.#object, data)
    const { namespace, name } = this.#object
    const request = version === undefined
      ? this.#api.createNamespacedSecret({ namespace, body })
      : this.#api.replaceNamespacedSecret({ namespace, name, body: { ...body, metadata: { ...body.metadata, resourceVersion: version } } })
    return (await orElse(CONFLICT, request.then(() => true))) ?? false
  }
}

/** Creates or replaces it, whoever wrote it before: what we write follows from the authorities, which replicas share. */
export async function putSecret(api: CoreApi, object: KubeObject, data: Readonly<Record<string, string>>): Promise<void> {
  const body = { ...secretBody(object, data), type: 'kubernetes.io/tls' }
  const { namespace, name } = object
  const created = await orElse(CONFLICT, api.createNamespacedSecret({ namespace, body }).then(() => true))
  if (!created) await api.replaceNamespacedSecret({ namespace, name, body })
}

export async function putConfigMap(api: CoreApi, object: KubeObject, data: Readonly<Record<string, string>>): Promise<void> {
  const { namespace, name, labels } = object
  const body = { metadata: { name, labels: { ...labels } }, data: { ...data } }
  const created = await orElse(CONFLICT, api.createNamespacedConfigMap({ namespace, body }).then(() => true))
  if (!created) await api.replaceNamespacedConfigMap({ namespace, name, body })
}

function secretBody({ name, labels }: KubeObject, data: Readonly<Record<string, string>>): Body {
  return { metadata: { name, labels: { ...labels } }, data: mapValues(data, (text) => Buffer.from(text).toString('base64')), type: 'Opaque' }
}

function mapValues(values: Readonly<Record<string, string>>, change: (text: string) => string): Record<string, string> {
  return Object.fromEntries(Object.entries(values).map(([key, value]) => [key, change(value)]))
}

/** Undefined where the API server answers with this HTTP status. */
async function orElse<T>(code: number, request: Promise<T>): Promise<T | undefined> {
  try {
    return await request
  } catch (error) {
    if ((error as { code?: unknown }).code === code) return undefined
    throw error
  }
}
