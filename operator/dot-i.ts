// SPDX-License-Identifier: Apache-2.0
// @dot-i/k8s-operator on top of client-node 2 and of our informers. As published it ends the process when a watch has trouble, forgets deletions of
// a gap, and takes failed writes for done; what it is used for here, this file does again: watches that name keys, statuses and finalizers whose
// failure rejects, resources that may exist already. Tests pin all of that (docs/decisions/dot-i.md).
import { readFileSync } from 'node:fs'
import dotI from '@dot-i/k8s-operator'
import type { ResourceEvent, ResourceMeta } from '@dot-i/k8s-operator'
import { parse } from 'yaml'
import type { Clock } from '../runtime/clock.ts'
import type { Logger } from '../runtime/log.ts'
import { APPLY, KubeError, type KubeApi, type KubeMetadata, type KubeObject } from './kube/api.ts'
import { Informer } from './kube/informer.ts'

export type { ResourceEvent, ResourceMeta } from '@dot-i/k8s-operator'

export interface DotIParts {
  readonly api: KubeApi
  readonly clock: Clock
  readonly logger: Logger
  readonly random: () => number
}

/** Who writes statuses through it. */
const FIELD_MANAGER = 'merlon-operator'
const ADDED = dotI.ResourceEventType.Added
const MODIFIED = dotI.ResourceEventType.Modified
const DELETED = dotI.ResourceEventType.Deleted

export class DotIOperator extends dotI.default {
  /** By the ids of resources: `plural.group/version`. */
  readonly informers = new Map<string, Informer<KubeObject>>()
  readonly #parts: DotIParts
  readonly #paths = new Map<string, string>()

  constructor(parts: DotIParts) {
    const { logger } = parts
    super({ debug: (message) => logger.debug('Heard from dot-i', { said: message }), info: (message) => logger.debug('Heard from dot-i', { said: message }), warn: (message) => logger.warn('Heard from dot-i', { said: message }), error: (message) => logger.error('Heard from dot-i', { said: message }) })
    this.#parts = parts
  }

  /** Resources are watched as they are asked for. */
  protected override async init(): Promise<void> {}

  override stop(): void {
    void this.stopped()
  }

  async stopped(): Promise<void> {
    await Promise.all([...this.informers.values()].map((informer) => informer.stop()))
  }

  /** Returns at once. Every key that something has become of is told, at first all of them; deletions during a gap too. */
  // oxlint-disable-next-line max-params -- as the base has it
  override async watchResource(group: string, version: string, plural: string, onEvent: (event: ResourceEvent) => Promise<void>, namespace?: string): Promise<void> {
    const { api, clock, logger, random } = this.#parts
    const id = `${plural}.${group === '' ? version : `${group}/${version}`}`
    this.#paths.set(id, this.getCustomResourceApiUri(group, version, '').replace(/\/$/, ''))
    const known = new Map<string, KubeObject>()
    const tell = (key: string): void => {
      const [object, before] = [informer.get(key), known.get(key)]
      if (object) known.set(key, object)
      else known.delete(key)
      const said = object ?? before
      if (!said) return
      const meta = metaOf(id, said)
      onEvent({ meta, object: said as unknown as ResourceEvent['object'], type: object ? (before ? MODIFIED : ADDED) : DELETED }).catch((error: unknown) => logger.error('Failed to handle an event', { resource: id, name: meta.name, error }))
    }
    const informer: Informer<KubeObject> = new Informer({
      api, clock, logger, random, path: this.getCustomResourceApiUri(group, version, plural, namespace), mayBeAbsent: group !== '',
      trim: ({ apiVersion, kind, metadata, spec, status }) => ({ apiVersion: apiVersion ?? (group === '' ? version : `${group}/${version}`), kind: kind ?? '', metadata: trimMetadata(metadata), spec, status }),
      onKeys: (keys) => { for (const key of keys) tell(key) },
    })
    this.informers.set(id, informer)
    informer.start()
  }

  /** An existing resource is left as it is. */
  override async registerCustomResourceDefinition(crdFile: string): ReturnType<InstanceType<typeof dotI.default>['registerCustomResourceDefinition']> {
    const crd = parse(readFileSync(crdFile, 'utf8'), { merge: true }) as { apiVersion?: string; spec: { group: string; versions: never[]; names: { plural: string } } }
    if (!crd.apiVersion?.startsWith('apiextensions.k8s.io/')) throw new Error(`Cannot register "${crdFile}": it is no CustomResourceDefinition`)
    try {
      await this.#parts.api.call({ method: 'POST', path: '/apis/apiextensions.k8s.io/v1/customresourcedefinitions', body: crd })
    } catch (error) {
      if (!(error instanceof KubeError) || error.code !== 409) throw error
    }
    const { group, versions, names } = crd.spec
    return { group, versions, plural: names.plural }
  }

  /** A path: the server is the API's business. */
  override getCustomResourceApiUri(group: string, version: string, plural: string, namespace?: string): string {
    return `${group === '' ? '/api' : `/apis/${group}`}/${version}/${namespace ? `namespaces/${namespace}/` : ''}${plural}`
  }

  /** By server-side apply; rejects with KubeError. */
  override async patchResourceStatus(meta: ResourceMeta & { readonly uid?: string }, status: unknown): Promise<ResourceMeta> {
    const { name, namespace, uid, apiVersion, kind } = meta
    const metadata = { name, ...(namespace ? { namespace } : {}), ...(uid ? { uid } : {}) }
    return this.#send(meta, { method: 'PATCH', path: `/status?fieldManager=${FIELD_MANAGER}&force=true`, body: { apiVersion, kind, metadata, status }, contentType: APPLY })
  }

  /** Replaces it, if the object is still the one that `meta` tells of. */
  override async setResourceStatus(meta: ResourceMeta, status: unknown): Promise<ResourceMeta> {
    const { name, namespace, apiVersion, kind, resourceVersion } = meta
    return this.#send(meta, { method: 'PUT', path: '/status', body: { apiVersion, kind, metadata: { name, ...(namespace ? { namespace } : {}), resourceVersion }, status } })
  }

  override async setResourceFinalizers(meta: ResourceMeta, finalizers: string[]): Promise<void> {
    await this.#send(meta, { method: 'PATCH', path: '', body: { metadata: { finalizers } }, contentType: 'application/merge-patch+json' })
  }

  /** The base's own, open to callers: it adds, runs and removes, and with setResourceFinalizers() above it rejects where that fails. */
  override handleResourceFinalizer(event: ResourceEvent, finalizer: string, deleteAction: (event: ResourceEvent) => Promise<void>): Promise<boolean> {
    return super.handleResourceFinalizer(event, finalizer, deleteAction)
  }

  async #send(meta: ResourceMeta, { path, ...call }: { readonly method: 'PUT' | 'PATCH'; readonly path: string; readonly body: unknown; readonly contentType?: string }): Promise<ResourceMeta> {
    const root = this.#paths.get(meta.id)
    if (root === undefined) throw new Error(`Cannot write "${meta.name}": ${meta.id} is not watched`)
    const plural = meta.id.slice(0, meta.id.indexOf('.'))
    const object = await this.#parts.api.call({ ...call, path: `${root}/${meta.namespace ? `namespaces/${meta.namespace}/` : ''}${plural}/${meta.name}${path}` })
    return metaOf(meta.id, object)
  }
}

/** What kubectl and the server keep about an object is as long as the object. */
function trimMetadata({ managedFields: _managed, annotations = {}, ...metadata }: KubeMetadata = {}): KubeMetadata {
  const { 'kubectl.kubernetes.io/last-applied-configuration': _applied, ...rest } = annotations
  return { ...metadata, annotations: rest }
}

/** Lists leave out what their own kind says already. */
function metaOf(id: string, { apiVersion = '', kind = '', metadata = {} }: KubeObject): ResourceMeta {
  const { name = '', namespace, resourceVersion = '' } = metadata
  return { id, name, resourceVersion, apiVersion, kind, ...(namespace === undefined ? {} : { namespace }) }
}
