// SPDX-License-Identifier: Apache-2.0
// A Kubernetes API as a source of the same world that a directory makes: every resource has an informer, informers name what has changed, and
// what has changed in one turn reaches the reconciler as one change.
import { createHash } from 'node:crypto'
import type { Finding } from '../../policy/types.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { Logger } from '../../runtime/log.ts'
import type { NamespaceManifest, NodeManifest, PodManifest, PolicyLibrary } from '../library.ts'
import type { Change, Settings } from '../world.ts'
import type { KubeApi, KubeObject } from './api.ts'
import type { DotIOperator, ResourceEvent } from '../dot-i.ts'
import { Informer, type InformerOptions } from './informer.ts'
import { Mirrors } from './mirrors.ts'
import { GROUP, PLURALS, readPolicy, VERSION, type PolicyObject } from './policies.ts'
import { Remarks, remarksOn } from './remarks.ts'
import { honoured, readConfig, settingsOf, type ConfigObject } from './settings.ts'
import { trimNamespace, trimNode, trimPod } from './trim.ts'

export interface KubernetesSourceOptions {
  readonly api: KubeApi
  /** Watches the policies. */
  readonly operator: DotIOperator
  /** Where the ConfigMap kubearmor-config is: the operator's own. */
  readonly namespace: string
  readonly library: Pick<PolicyLibrary, 'readObject'>
  /** Where no object says otherwise. */
  readonly defaults: Settings
  readonly clock: Clock
  readonly logger: Logger
  readonly random: () => number
  readonly onChange: (change: Change) => void
  /** Policies, by objectName(), of which a status has something to say. */
  readonly onPolicies?: (names: readonly string[]) => void
  readonly onConfigs?: () => void
  readonly onFinding?: (finding: Finding) => void
}

interface Unread {
  readonly kind: string
  readonly key: string
  readonly informer: Informer<KubeObject>
}

type Kept = PodManifest | NodeManifest | NamespaceManifest

/** Of reading policies in a row, before the process looks at its sockets again. */
const SLICE_MS = 10

export class KubernetesSource {
  readonly policies = new Map<string, PolicyObject>()
  readonly configs: Informer<ConfigObject>
  readonly #options: KubernetesSourceOptions
  readonly #informers: Informer<unknown>[] = []
  readonly #pods: Informer<PodManifest>
  readonly #nodes: Informer<NodeManifest>
  readonly #namespaces: Informer<NamespaceManifest>
  readonly #configMap: Informer<ConfigObject>
  /** Policies that are to be read, by objectName(). */
  readonly #unread = new Map<string, Unread>()
  readonly #changed = { pods: new Set<string>(), nodes: new Set<string>(), namespaces: new Set<string>(), settings: false }
  /** Digests of what was passed on last, to leave out changes of what is not kept. */
  readonly #known = { pods: new Map<string, string>(), nodes: new Map<string, string>(), namespaces: new Map<string, string>() }
  readonly #mirrors = new Mirrors()
  readonly #remarks: Remarks
  #scheduled = false

  constructor(options: KubernetesSourceOptions) {
    this.#options = options
    this.#remarks = new Remarks((finding) => this.#remark(finding))
    const { library } = options
    const { pods, nodes, namespaces } = this.#changed
    const note = (into: Set<string>) => (keys: readonly string[]): void => {
      for (const key of keys) into.add(key)
      this.#schedule()
    }
    const settings = (): void => {
      this.#changed.settings = true
      this.#schedule()
    }
    this.#pods = this.#add({ path: '/api/v1/pods', trim: trimPod, keyOf: ({ metadata }) => metadata?.uid ?? '', onKeys: note(pods) })
    this.#nodes = this.#add({ path: '/api/v1/nodes', trim: (object) => ({ ...trimNode(object), ...remarksOn('Node', object, library) }), onKeys: note(nodes) })
    this.#namespaces = this.#add({ path: '/api/v1/namespaces', trim: (object) => ({ ...trimNamespace(object), ...remarksOn('Namespace', object, library) }), onKeys: note(namespaces) })
    this.#configMap = this.#add({ path: `/api/v1/namespaces/${options.namespace}/configmaps`, query: { fieldSelector: 'metadata.name=kubearmor-config' }, trim: (object) => readConfig({ ...object, apiVersion: 'v1', kind: 'ConfigMap' }, library), onKeys: settings })
    this.configs = this.#add({ path: '/apis/operator.kubearmor.com/v1/kubearmorconfigs', mayBeAbsent: true, trim: (object) => readConfig({ ...object, apiVersion: 'operator.kubearmor.com/v1', kind: 'KubeArmorConfig' }, library), onKeys: settings })
  }

  get informers(): readonly Informer<unknown>[] {
    return this.#informers
  }

  /** Resolves when everything has been listed once, and passed on. */
  async start(): Promise<void> {
    for (const informer of this.#informers) informer.start()
    for (const [kind, plural] of Object.entries(PLURALS)) this.#addPolicies(kind, plural)
    await Promise.all(this.#informers.map((informer) => informer.synced))
    this.#changed.settings = true
    while (await this.#flush());
  }

  async stop(): Promise<void> {
    await Promise.all(this.#informers.map((informer) => informer.stop()))
  }

  #add<T>(options: Pick<InformerOptions<T>, 'path' | 'trim' | 'keyOf' | 'onKeys' | 'query' | 'mayBeAbsent'>): Informer<T> {
    const { api, clock, logger, random } = this.#options
    const informer = new Informer<T>({ api, clock, logger, random, ...options })
    this.#informers.push(informer)
    return informer
  }

  /** Through dot-i's adapter. Objects are kept as they are: reading takes too long to be done for each of a hundred updates. */
  #addPolicies(kind: string, plural: string): void {
    const { operator } = this.#options
    const note = async ({ meta: { namespace = '', name, id } }: ResourceEvent): Promise<void> => {
      const informer = operator.informers.get(id)
      if (informer) this.#unread.set(`${kind}/${namespace}/${name}`, { kind, key: namespace === '' ? name : `${namespace}/${name}`, informer })
      this.#schedule()
    }
    void operator.watchResource(GROUP, VERSION, plural, note)
    const informer = operator.informers.get(`${plural}.${GROUP}/${VERSION}`)
    if (informer) this.#informers.push(informer)
  }

  /** One flush for all that comes in one turn. */
  #schedule(): void {
    if (this.#scheduled) return
    this.#scheduled = true
    setImmediate(() => {
      this.#scheduled = false
      this.#flush().then((more) => { if (more) this.#schedule() }, (error: unknown) => this.#options.logger.error('Failed to pass on changes', { error }))
    })
  }

  /** True when there is more to read. */
  async #flush(): Promise<boolean> {
    const change: { -readonly [field in keyof Change]: Change[field] } = {
      ...this.#podsByUid(), ...this.#objects('nodes', this.#nodes), ...this.#objects('namespaces', this.#namespaces), ...this.#settings(),
    }
    const names = this.#readPolicies()
    if (names.length > 0) {
      change.policies = new Map(names.map((name) => [name, this.policies.get(name)?.policy]))
      change.refused = new Map(names.map((name) => [name, this.policies.get(name)?.refusal]))
    }
    if (Object.keys(change).length > 0) this.#options.onChange(change)
    if (names.length > 0) this.#options.onPolicies?.(names)
    if (this.#unread.size === 0) return false
    await new Promise((resolve) => setImmediate(resolve))
    return true
  }

  #podsByUid(): Change {
    const { pods } = this.#objects('pods', this.#pods)
    return pods ? { pods: this.#mirrors.resolve(pods) } : {}
  }

  #objects<T extends Kept>(field: 'pods' | 'nodes' | 'namespaces', informer: Informer<T>): Change {
    const known = this.#known[field]
    const changed = new Map<string, T | undefined>()
    for (const key of this.#changed[field]) {
      const value = informer.get(key)
      const digest = value === undefined ? undefined : createHash('sha256').update(JSON.stringify(value)).digest('base64')
      if (known.get(key) === digest) continue
      if (digest === undefined) known.delete(key)
      else known.set(key, digest)
      changed.set(key, value)
      if (field !== 'pods') this.#remarks.note(`${field}/${key}`, value !== undefined && 'findings' in value ? value.findings : [])
    }
    this.#changed[field].clear()
    return changed.size === 0 ? {} : { [field]: changed }
  }

  #settings(): Change {
    if (!this.#changed.settings) return {}
    this.#changed.settings = false
    const { defaults, onConfigs } = this.#options
    const [configMap] = [...this.#configMap.entries()].map(([, value]) => value)
    const config = honoured([...this.configs.entries()].map(([, value]) => value))
    onConfigs?.()
    const settings = settingsOf(defaults, [configMap, config])
    this.#remarks.note('settings', settings.findings)
    return { settings }
  }

  #remark(finding: Finding): void {
    const { code, message, hint, position } = finding
    this.#options.logger.warn('Found a problem in an object', { code, problem: message, object: position.file, hint })
    this.#options.onFinding?.(finding)
  }

  /** Names of those that have become another policy, another refusal, or nothing. */
  #readPolicies(): string[] {
    const { clock } = this.#options
    const until = clock.monotonic() + SLICE_MS
    const names: string[] = []
    for (const [name, unread] of this.#unread) {
      if (clock.monotonic() >= until) break
      this.#unread.delete(name)
      if (this.#readPolicy(name, unread)) names.push(name)
    }
    return names
  }

  #readPolicy(name: string, { kind, key, informer }: Unread): boolean {
    const { library, onFinding } = this.#options
    const before = this.policies.get(name)
    const object = informer.get(key)
    if (!object) return this.policies.delete(name)
    const after = readPolicy(object, kind, library, before)
    this.policies.set(name, after)
    if (before && before.policy === after.policy && before.refusal === after.refusal) return false
    for (const finding of after.findings) onFinding?.(finding)
    return true
  }
}
