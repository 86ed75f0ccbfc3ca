// SPDX-License-Identifier: Apache-2.0
// The operator's side towards a Kubernetes API, put together: source, election, status. Imported only where an API is used: client-node takes a
// second and 86 MB.
import { hostname } from 'node:os'
import type { Finding } from '../../policy/types.ts'
import type { Clock } from '../../runtime/clock.ts'
import type { Logger } from '../../runtime/log.ts'
import type { Policy } from '../../policy/types.ts'
import { Examiner } from '../compiler.ts'
import type { PolicyLibrary } from '../library.ts'
import { DotIOperator } from '../dot-i.ts'
import type { Reconciler } from '../reconcile.ts'
import type { Session } from '../session.ts'
import type { Settings } from '../world.ts'
import { ClientNodeApi, loadConfig, type Credentials, type KubeApi } from './api.ts'
import { LeaderElection } from './lease.ts'
import { Replicas } from './replicas.ts'
import { KubernetesSource } from './source.ts'
import { StatusWriter } from './status-writer.ts'
import { Tallies } from './tally.ts'

export interface KubernetesSettings {
  readonly credentials: Credentials
  /** Of the operator's Lease and ConfigMap. */
  readonly namespace: string
}

export interface KubernetesParts {
  readonly settings: KubernetesSettings
  readonly reconciler: Reconciler
  readonly sessions: ReadonlyMap<string, Session>
  readonly library: PolicyLibrary
  readonly defaults: Settings
  readonly clock: Clock
  readonly logger: Logger
  readonly random: () => number
  readonly onFinding?: (finding: Finding) => void
  /** Tests put something between us and the API. */
  readonly api?: KubeApi
  /** compile-worker, where it is not beside compiler.ts. */
  readonly worker?: URL
  readonly times?: { readonly durationMs: number; readonly renewMs: number; readonly retryMs: number }
}

/** Which rules of a policy never decide is not worth more. */
const EXAMINE_MS = 30_000
export const LEASE = 'merlon-operator'

export class Kubernetes {
  readonly source: KubernetesSource
  readonly election: LeaderElection
  readonly status: StatusWriter
  readonly replicas: Replicas
  readonly identity: string
  readonly #examiner: Examiner

  constructor(parts: KubernetesParts) {
    const { settings, reconciler, sessions, clock, logger, random } = parts
    const api = parts.api ?? new ClientNodeApi(() => loadConfig(settings.credentials))
    this.identity = `${hostname()}_${Math.floor(random() * 2 ** 32).toString(16)}`
    const operator = new DotIOperator({ api, clock, logger, random })
    this.source = new KubernetesSource({
      api, operator, namespace: settings.namespace, library: parts.library, defaults: parts.defaults, clock, logger, random,
      onChange: (change) => reconciler.change(change), onPolicies: () => this.changed(), onConfigs: () => this.changed(),
      ...(parts.onFinding ? { onFinding: parts.onFinding } : {}),
    })
    this.election = new LeaderElection({
      api, namespace: settings.namespace, name: LEASE, identity: this.identity, clock, logger, random, onChange: (leads) => this.status.lead(leads), ...parts.times,
    })
    this.replicas = new Replicas({
      api, namespace: settings.namespace, identity: this.identity, tallies: new Tallies({ reconciler, sessions }), clock, logger, random,
      served: () => new Set([...sessions].flatMap(([node, session]) => (session.isOpen ? [node] : []))), leads: () => this.election.leads, generationOf: (name) => this.source.policies.get(name)?.generation ?? -1, onReport: () => this.status.changed(),
    })
    this.#examiner = new Examiner({ logger, clock, ...(parts.worker ? { program: parts.worker } : {}) })
    this.status = new StatusWriter({
      examine: (policy: Policy) => this.#examiner.examine(policy, EXAMINE_MS), api, operator, policies: this.source.policies, configs: () => [...this.source.configs.entries()].map(([, config]) => config), tallies: () => this.replicas.total(),
      leads: () => this.election.leads, identity: this.identity, clock, logger, random,
    })
  }

  /** Resolves when everything has been read once and decided: an agent's first answer is made of all of it. */
  async start(reconciler: Reconciler): Promise<void> {
    await this.source.start()
    await reconciler.settled()
    this.election.start()
    this.replicas.start()
  }

  /** What a status shows may have changed. */
  changed(): void {
    this.status.changed()
    this.replicas.changed()
  }

  async stop(): Promise<void> {
    this.status.close()
    await this.election.stop()
    await this.replicas.stop()
    await this.source.stop()
    await this.#examiner.stop()
  }
}
