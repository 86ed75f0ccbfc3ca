// SPDX-License-Identifier: Apache-2.0
// The operator, over a directory of manifests or a Kubernetes API: reads, plans, compiles, distributes, and says what became of it.
import type { Finding, Posture, Postures } from '../policy/types.ts'
import { systemClock } from '../runtime/clock.ts'
import { health, healthService } from '../runtime/health.ts'
import type { Service } from '../runtime/grpc.ts'
import { EXIT_OK, EXIT_USAGE, runMain, switchLevels, type Life } from '../runtime/lifecycle.ts'
import { createLogger, type Logger } from '../runtime/log.ts'
import { noMetrics, type Metrics } from '../runtime/metrics.ts'
import { Compiler } from './compiler.ts'
import { policyLibrary } from './library.ts'
import { Messages } from './messages.ts'
import { makeTimings, observe, timedCompiler, timedLibrary } from './metrics.ts'
import { Reconciler } from './reconcile.ts'
import { NodeSyncServer } from './serve.ts'
import { HELP, parseSettings, type Settings } from './settings.ts'
import { fromDirectory, fromKubernetes, type SourceParts, type SourceSide } from './sides.ts'
import { openTransport, relayTarget, type ClusterIdentity } from './transport.ts'

function sameEverywhere(posture: Posture): Postures {
  return { filePosture: posture, networkPosture: posture, capabilitiesPosture: posture, devicePosture: posture }
}

async function main(life: Life, args: readonly string[]): Promise<number | void> {
  const parsed = parseSettings(args)
  if (!parsed.ok) {
    process.stderr.write(`Cannot start the operator: ${parsed.message}. See --help.\n`)
    return EXIT_USAGE
  }
  if (parsed.value === 'help') {
    process.stdout.write(HELP)
    return EXIT_OK
  }
  await run(life, parsed.value)
}

/** Beside this file, in sources as in bundles. */
const worker = new URL(`compile-worker.${import.meta.url.endsWith('.ts') ? 'ts' : 'mjs'}`, import.meta.url)

async function run(life: Life, settings: Settings): Promise<void> {
  const logger = createLogger('operator')
  const clock = systemClock
  switchLevels(settings.logLevel)
  const metrics = settings.http === undefined ? noMetrics : await (await import('../runtime/metrics.ts')).openMetrics()
  const progress: Progress = { read: false, listens: false }
  await serveHealthOf(life, settings, { metrics, logger, progress })

  const cluster = await clusterIdentity(settings)
  const security = await openTransport(settings.transport, { clock, logger, ...(cluster ? { cluster } : {}) })
  const messages = settings.relay === undefined ? undefined : new Messages({ relay: await relayTarget(settings.relay, security), clock, logger, random: Math.random, signal: life.signal })
  const onFinding = (finding: Finding): void => messages?.add(finding)
  const postures = sameEverywhere(settings.defaultPosture)
  const defaults = { postures, hostPostures: postures }
  const compiler = new Compiler({ logger, clock, program: worker })
  const timings = makeTimings(metrics)
  const reconciler = new Reconciler({
    library: timedLibrary(policyLibrary, metrics, clock), settings: defaults, clock, logger, onNodes: (nodes) => server.notify(nodes), onFinding, onNodeGone: (node) => messages?.depart(node), compileElsewhere: timedCompiler(compiler, metrics, clock),
    onSettled: (ms) => {
      timings.reconciled(ms)
      sourceSide.changed()
    },
  })
  const server = new NodeSyncServer({
    address: settings.listen, reconciler, tableVersion: policyLibrary.tableVersion, nodeLabels: settings.nodeLabels, believesAgents: settings.kubernetes === undefined, clock, logger, onChange: () => sourceSide.changed(), onAcknowledged: timings.acknowledged,
    ...(security ? { security } : {}), services: [healthOf(() => progress.read), ...(security ? [security.enrolment] : [])],
  })
  const common: SourceParts = { reconciler, server, clock, logger, onFinding, worker }
  const sourceSide: SourceSide = settings.kubernetes === undefined ? fromDirectory(settings, common) : await fromKubernetes(settings.kubernetes, defaults, common)
  progress.unread = sourceSide.unread
  observe(metrics, { reconciler, sessions: server.sessions, ...sourceSide.watches, ...(security ? { expires: () => security.own.current.notAfter } : {}) })

  life.onShutdown('compiler', () => compiler.stop())
  // Before it listens: an agent's first answer is made of policies that have been read.
  await sourceSide.start()
  progress.read = true
  life.onShutdown('source', () => sourceSide.stop())
  await server.start()
  progress.listens = true
  life.onShutdown('server', () => server.stop())
  const renewing = security?.run(life.signal)
  life.onShutdown('identity', () => renewing)
  const talking = messages?.run()
  life.onShutdown('messages', () => talking)
  await sourceSide.started()
  const { directory, kubernetes } = settings
  logger.info('Started', { address: server.address, ...(directory === undefined ? { namespace: kubernetes?.namespace } : { directory }), policies: reconciler.world.policies.size, findings: reconciler.world.findings.length })
  process.stdout.write(`ready ${server.address}\n`)
}

interface Progress {
  read: boolean
  unread?: (() => readonly string[]) | undefined
  listens: boolean
}

/** It answers from here on, while the rest is still starting. */
async function serveHealthOf(life: Life, { http }: Settings, { metrics, logger, progress }: { readonly metrics: Metrics; readonly logger: Logger; readonly progress: Progress }): Promise<void> {
  if (http === undefined) return
  const { serveHealth } = await import('../runtime/http.ts')
  const checks = [
    { name: 'policies', problem: () => (progress.read ? undefined : unreadWords(progress.unread?.() ?? [])) },
    { name: 'agents', problem: () => (progress.listens ? undefined : 'they are not served yet') },
  ]
  const endpoint = await serveHealth({ address: http, checks, metrics, logger })
  life.onShutdown('http', () => endpoint.close())
  logger.info('Serving health', { address: endpoint.address })
}

function unreadWords(resources: readonly string[]): string {
  return `not all of them have been read yet${resources.length === 0 ? '' : `: the API has not listed ${resources.join(', ')}`}`
}

function healthOf(isServing: () => boolean): Service {
  const { implementation } = health(['merlon.v1.NodeSync'], isServing)
  return { definition: healthService, implementation }
}

/** What identity needs of a cluster, where it comes from one. */
async function clusterIdentity({ kubernetes, transport }: Settings): Promise<ClusterIdentity | undefined> {
  if (!kubernetes || transport.tls.kind !== 'kubernetes') return undefined
  const { ClientNodeApi, loadConfig } = await import('./kube/api.ts')
  return { api: new ClientNodeApi(() => loadConfig(kubernetes.credentials)), namespace: kubernetes.namespace }
}

if (import.meta.main) await runMain((life) => main(life, process.argv.slice(2)), { name: 'operator' })
