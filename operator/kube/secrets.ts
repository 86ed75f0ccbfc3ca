// SPDX-License-Identifier: Apache-2.0
// Secrets, ConfigMaps and token reviews of the operator's namespace, as far as identity needs them.
import type { SecretStore, StoredSecret } from '../secrets.ts'
import type { KubeApi, KubeObject } from './api.ts'

export type Api = Pick<KubeApi, 'call'>

export interface ObjectName {
  readonly namespace: string
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
}

const NOT_FOUND = 404
const CONFLICT = 409

export class KubeSecretStore implements SecretStore {
  readonly #api: Api
  readonly #object: ObjectName

  constructor(api: Api, object: ObjectName) {
    this.#api = api
    this.#object = object
  }

  async read(): Promise<StoredSecret | undefined> {
    const found = await orElse(NOT_FOUND, this.#api.call({ method: 'GET', path: `${collection(this.#object, 'secrets')}/${this.#object.name}` }))
    if (found === undefined) return undefined
    const data = (found['data'] ?? {}) as Readonly<Record<string, string>>
    return { data: mapValues(data, (text) => Buffer.from(text, 'base64').toString()), version: found.metadata?.resourceVersion ?? '' }
  }

  async write(data: Readonly<Record<string, string>>, version: string | undefined): Promise<boolean> {
    const body = secret(this.#object, 'Opaque', data)
    const path = collection(this.#object, 'secrets')
    const request = version === undefined
      ? this.#api.call({ method: 'POST', path, body })
      : this.#api.call({ method: 'PUT', path: `${path}/${this.#object.name}`, body: { ...body, metadata: { ...body.metadata, resourceVersion: version } } })
    return (await orElse(CONFLICT, request)) !== undefined
  }
}

/** Creates or replaces it, whoever wrote it before: what we write follows from the authorities, which replicas share. */
export function putSecret(api: Api, object: ObjectName, data: Readonly<Record<string, string>>): Promise<void> {
  return put(api, object, 'secrets', secret(object, 'kubernetes.io/tls', data))
}

export function putConfigMap(api: Api, object: ObjectName, data: Readonly<Record<string, string>>): Promise<void> {
  return put(api, object, 'configmaps', { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: object.name, labels: { ...object.labels } }, data })
}

async function put(api: Api, object: ObjectName, resource: string, body: KubeObject): Promise<void> {
  const path = collection(object, resource)
  if ((await orElse(CONFLICT, api.call({ method: 'POST', path, body }))) === undefined) await api.call({ method: 'PUT', path: `${path}/${object.name}`, body })
}

function collection({ namespace }: ObjectName, resource: string): string {
  return `/api/v1/namespaces/${namespace}/${resource}`
}

function secret({ name, labels }: ObjectName, type: string, data: Readonly<Record<string, string>>): KubeObject {
  return { apiVersion: 'v1', kind: 'Secret', type, metadata: { name, labels: { ...labels } }, data: mapValues(data, (text) => Buffer.from(text).toString('base64')) }
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
