// SPDX-License-Identifier: Apache-2.0
// Where policies come from, and where their status goes: a directory, or a Kubernetes API.
import type { Finding } from '../policy/types.ts'
import type { Clock } from '../runtime/clock.ts'
import type { Logger } from '../runtime/log.ts'
import type { KubernetesSettings } from './kube/start.ts'
import { LastGood } from './last-good.ts'
import { policyLibrary } from './library.ts'
import type { Observed } from './metrics.ts'
import type { Reconciler } from './reconcile.ts'
import type { NodeSyncServer } from './serve.ts'
import type { Settings } from './settings.ts'
import { DirectorySource } from './source.ts'
import { StatusBoard } from './status.ts'
import type { Settings as ClusterSettings } from './world.ts'

export interface SourceParts {
  readonly reconciler: Reconciler
  readonly server: NodeSyncServer
  readonly clock: Clock
  readonly logger: Logger
  readonly onFinding: (finding: Finding) => void
  /** compile-worker, where it is. */
  readonly worker: URL
}

export interface SourceSide {
  /** Resolves when everything has been read once. */
  start(): Promise<void>
  /** The server listens. */
  started(): Promise<void>
  /** What a status shows may have changed. */
  changed(): void
  stop(): Promise<void>
  /** What has not been read yet. Absent: not known piece by piece. */
  readonly unread?: () => readonly string[]
  /** For metrics: since the last event of each watch, and whether this replica writes status. */
  readonly watches?: Pick<Observed, 'watchAges' | 'leads'>
}

export function fromDirectory({ directory = '', statusFile: file, lastGood }: Settings, { reconciler, server, clock, logger, onFinding }: SourceParts): SourceSide {
  const board = new StatusBoard({ reconciler, sessions: server.sessions, directory, address: () => server.address, clock, logger, ...(file === undefined ? {} : { file }) })
  const source = new DirectorySource({ directory, library: policyLibrary, clock, logger, onChange: (snapshot) => reconciler.setSnapshot(snapshot), onFinding, ...(lastGood === undefined ? {} : { lastGood: new LastGood(lastGood) }) })
  return {
    start: () => source.start(),
    started: () => board.flush(),
    changed: () => board.changed(),
    stop: async () => {
      source.close()
      board.close()
      await board.flush()
    },
  }
}

/** Imported when it is needed only: what it brings costs a second and 86 MB. */
export async function fromKubernetes(settings: KubernetesSettings, defaults: ClusterSettings, { reconciler, server, clock, logger, onFinding, worker }: SourceParts): Promise<SourceSide> {
  const { Kubernetes } = await import('./kube/start.ts')
  const kubernetes = new Kubernetes({ settings, reconciler, sessions: server.sessions, library: policyLibrary, defaults, clock, logger, random: Math.random, onFinding, worker })
  return {
    start: () => kubernetes.start(reconciler),
    started: async () => {},
    changed: () => kubernetes.changed(),
    stop: () => kubernetes.stop(),
    unread: () => kubernetes.source.informers.filter(({ isSynced }) => !isSynced).map(({ path }) => nameOf(path)),
    watches: { leads: () => kubernetes.election.leads, watchAges: () => new Map(kubernetes.source.informers.map(({ path, ageMs }) => [nameOf(path), ageMs])) },
  }
}

/** Of a resource: the last part of its path. */
function nameOf(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1)
}
