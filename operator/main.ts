// SPDX-License-Identifier: Apache-2.0
// The operator, over a directory of manifests or a Kubernetes API: reads, plans, compiles, distributes, and says what became of it.
import { parseArgs } from 'node:util'
import type { Finding, Posture, Postures } from '../policy/types.ts'
import { systemClock, type Clock } from '../runtime/clock.ts'
import { EXIT_OK, EXIT_USAGE, runMain, type Life } from '../runtime/lifecycle.ts'
import { createLogger, isLevel, LEVELS, setLogLevel, type Level, type Logger } from '../runtime/log.ts'
import { Compiler } from './compiler.ts'
import { policyLibrary } from './library.ts'
import { Messages } from './messages.ts'
import { Reconciler } from './reconcile.ts'
import { NodeSyncServer } from './serve.ts'
import { DirectorySource } from './source.ts'
import type { KubernetesSettings } from './kube/start.ts'
import { StatusBoard } from './status.ts'
import { openTransport, parseTransport, relayTarget, TRANSPORT_HELP, TRANSPORT_OPTIONS, type TransportSettings } from './transport.ts'
import type { Settings as ClusterSettings } from './world.ts'

const HELP = `Usage: node operator/main.ts --directory DIR | --kubeconfig FILE | --in-cluster [options]

Reads the KubeArmor policies, Namespaces and Pods under DIR (*.yaml, *.yml, *.json), compiles them for each workload that an
agent reports, and keeps agents up to date. A file with errors is refused, and its last good version stays in force.
Or does the same with the objects of a Kubernetes API, and writes their status there.

  --directory DIR                where the manifests are; symbolic links are followed
  --kubeconfig FILE              the Kubernetes API that this file names
  --in-cluster                   the API of the cluster that this process is a pod of
  --namespace NAME               of the operator's own Lease and ConfigMap there (default kubearmor)
  --listen ADDRESS               for agents: unix:/path or host:port (default unix:/run/merlon/operator.sock)
  --default-posture audit|block  what an allow-list does with the rest, where a namespace does not say (default audit)
  --node-labels K=V,...          labels of every node, for host policies
  --status-file FILE             write what is known about policies and nodes there, as JSON
  --relay ADDRESS                tell those who follow events what is wrong with manifests, through this relay
${TRANSPORT_HELP}  --log-level LEVEL              ${LEVELS.join(', ')} (default info); SIGUSR2 switches to debug and back
  --help                         this text

Prints "ready ADDRESS" on standard output when agents can connect. Ends on SIGTERM. Exit status: 0 ended as asked, 1 failed, 2 wrong usage.
`

interface Settings {
  /** Exactly one of the two. */
  readonly directory: string | undefined
  readonly kubernetes: KubernetesSettings | undefined
  readonly listen: string
  readonly defaultPosture: Posture
  readonly nodeLabels: Readonly<Record<string, string>>
  readonly statusFile: string | undefined
  readonly relay: string | undefined
  readonly transport: TransportSettings
  readonly logLevel: Level
}

type SettingsResult = { readonly ok: true; readonly value: Settings | 'help' } | { readonly ok: false; readonly message: string }

const TEXT = { type: 'string' } as const
const OPTIONS = {
  directory: TEXT,
  kubeconfig: TEXT,
  'in-cluster': { type: 'boolean', default: false },
  namespace: { ...TEXT, default: 'kubearmor' },
  listen: { ...TEXT, default: 'unix:/run/merlon/operator.sock' },
  'default-posture': { ...TEXT, default: 'audit' },
  'node-labels': { ...TEXT, default: '' },
  'status-file': TEXT,
  relay: TEXT,
  ...TRANSPORT_OPTIONS,
  'log-level': { ...TEXT, default: 'info' },
  help: { type: 'boolean', short: 'h' },
} as const

export function parseSettings(args: readonly string[]): SettingsResult {
  let values
  try {
    values = parseArgs({ args: [...args], options: OPTIONS, strict: true }).values
  } catch (error) {
    return { ok: false, message: (error as Error).message }
  }
  if (values.help) return { ok: true, value: 'help' }
  const { listen, relay, 'default-posture': defaultPosture, 'log-level': logLevel } = values
  const from = parseFrom(values)
  if (!from.ok) return from
  const transport = parseTransport(values, relay === undefined ? [listen] : [listen, relay])
  if (!transport.ok) return transport
  if (defaultPosture !== 'audit' && defaultPosture !== 'block') return { ok: false, message: `--default-posture must be audit or block, not "${defaultPosture}"` }
  if (!isLevel(logLevel)) return { ok: false, message: `--log-level must be one of ${LEVELS.join(', ')}, not "${logLevel}"` }
  const nodeLabels = parseLabels(values['node-labels'])
  if (nodeLabels === undefined) return { ok: false, message: '--node-labels must be key=value pairs with commas between them' }
  return { ok: true, value: { ...from.value, listen, defaultPosture, nodeLabels, statusFile: values['status-file'], relay, transport: transport.value, logLevel } }
}

type FromResult = { readonly ok: true; readonly value: Pick<Settings, 'directory' | 'kubernetes'> } | { readonly ok: false; readonly message: string }

interface FromValues {
  readonly directory?: string | undefined
  readonly kubeconfig?: string | undefined
  readonly 'in-cluster': boolean
  readonly namespace: string
  readonly 'status-file'?: string | undefined
}

/** Where policies come from. */
function parseFrom({ directory, kubeconfig, 'in-cluster': inCluster, namespace, 'status-file': statusFile }: FromValues): FromResult {
  if ([directory, kubeconfig, inCluster].filter(Boolean).length !== 1) return { ok: false, message: 'one of --directory, --kubeconfig and --in-cluster is required' }
  if (directory) return { ok: true, value: { directory, kubernetes: undefined } }
  if (statusFile) return { ok: false, message: '--status-file goes with --directory: in a Kubernetes API policies have a status of their own' }
  return { ok: true, value: { directory: undefined, kubernetes: { credentials: kubeconfig ? { kind: 'kubeconfig', file: kubeconfig } : { kind: 'in-cluster' }, namespace } } }
}

function parseLabels(text: string): Record<string, string> | undefined {
  const pairs = text.split(',').filter((pair) => pair.trim() !== '').map((pair) => /^\s*([^=\s]+)=([^\s]*)\s*$/.exec(pair))
  if (pairs.includes(null)) return undefined
  return Object.fromEntries(pairs.map((pair) => [pair?.[1], pair?.[2]]))
}

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

async function run(life: Life, settings: Settings): Promise<void> {
  const logger = createLogger('operator')
  const clock = systemClock
  setLogLevel(settings.logLevel)
  let level = settings.logLevel
  process.on('SIGUSR2', () => {
    level = level === 'debug' ? settings.logLevel : 'debug'
    setLogLevel(level)
  })

  const security = await openTransport(settings.transport, { clock, logger })
  const messages = settings.relay === undefined ? undefined : new Messages({ relay: await relayTarget(settings.relay, security), clock, logger, random: Math.random, signal: life.signal })
  const onFinding = (finding: Finding): void => messages?.add(finding)
  const postures = sameEverywhere(settings.defaultPosture)
  const defaults = { postures, hostPostures: postures }
  const compiler = new Compiler(logger)
  const onChange = (): void => sourceSide.changed()
  const reconciler = new Reconciler({
    library: policyLibrary, settings: defaults, clock, logger, onNodes: (nodes) => server.notify(nodes), onSettled: onChange, onFinding, compileElsewhere: (plan) => compiler.compile(plan),
  })
  const server = new NodeSyncServer({ address: settings.listen, reconciler, tableVersion: policyLibrary.tableVersion, nodeLabels: settings.nodeLabels, ...(security ? { security, services: [security.enrolment] } : {}), clock, logger, onChange })
  const common: SourceParts = { reconciler, server, clock, logger, onFinding }
  const sourceSide = settings.kubernetes === undefined ? fromDirectory(settings, common) : await fromKubernetes(settings.kubernetes, defaults, common)

  life.onShutdown('compiler', () => compiler.stop())
  // Before it listens: an agent's first answer is made of policies that have been read.
  await sourceSide.start()
  life.onShutdown('source', () => sourceSide.stop())
  await server.start()
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

interface SourceParts {
  readonly reconciler: Reconciler
  readonly server: NodeSyncServer
  readonly clock: Clock
  readonly logger: Logger
  readonly onFinding: (finding: Finding) => void
}

/** Where policies come from, and where their status goes. */
interface SourceSide {
  /** Resolves when everything has been read once. */
  start(): Promise<void>
  /** The server listens. */
  started(): Promise<void>
  /** What a status shows may have changed. */
  changed(): void
  stop(): Promise<void>
}

function fromDirectory({ directory = '', statusFile: file }: Settings, { reconciler, server, clock, logger, onFinding }: SourceParts): SourceSide {
  const board = new StatusBoard({ reconciler, sessions: server.sessions, directory, address: () => server.address, clock, logger, ...(file === undefined ? {} : { file }) })
  const source = new DirectorySource({ directory, library: policyLibrary, clock, logger, onChange: (snapshot) => reconciler.setSnapshot(snapshot), onFinding })
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
async function fromKubernetes(settings: KubernetesSettings, defaults: ClusterSettings, { reconciler, server, clock, logger, onFinding }: SourceParts): Promise<SourceSide> {
  const { Kubernetes } = await import('./kube/start.ts')
  const kubernetes = new Kubernetes({ settings, reconciler, sessions: server.sessions, library: policyLibrary, defaults, clock, logger, random: Math.random, onFinding })
  return { start: () => kubernetes.start(reconciler), started: async () => {}, changed: () => kubernetes.changed(), stop: () => kubernetes.stop() }
}

if (import.meta.main) await runMain((life) => main(life, process.argv.slice(2)), { name: 'operator' })
