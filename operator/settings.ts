// SPDX-License-Identifier: Apache-2.0
// The operator's options.
import { parseArgs } from 'node:util'
import type { Posture } from '../policy/types.ts'
import { isLevel, LEVELS, type Level } from '../runtime/log.ts'
import type { KubernetesSettings } from './kube/start.ts'
import { parseTransport, TRANSPORT_HELP, TRANSPORT_OPTIONS, type TransportSettings } from './transport.ts'

export const HELP = `Usage: node operator/main.ts --directory DIR | --kubeconfig FILE | --in-cluster [options]

Reads the KubeArmor policies, Namespaces and Pods under DIR (*.yaml, *.yml, *.json), compiles them for each workload that an
agent reports, and keeps agents up to date. A file with errors is refused, and its last good version stays in force.
Or does the same with the objects of a Kubernetes API, and writes their status there.

  --directory DIR                where the manifests are; symbolic links are followed
  --kubeconfig FILE              the Kubernetes API that this file names
  --in-cluster                   the API of the cluster that this process is a pod of
  --namespace NAME               of the operator's own Lease and ConfigMap there (default kubearmor)
  --listen ADDRESS               for agents, NodeSync and grpc.health.v1: unix:/path or host:port (default unix:/run/merlon/operator.sock)
  --default-posture audit|block  what an allow-list does with the rest, where a namespace does not say (default audit)
  --node-labels K=V,...          labels of every node, for host policies
  --last-good DIR                keep the last good version of each file there, so that it stays in force when the operator starts again
  --status-file FILE             write what is known about policies and nodes there, as JSON
  --relay ADDRESS                tell those who follow events what is wrong with manifests, through this relay
${TRANSPORT_HELP}  --http ADDRESS                 /livez, /readyz, /metrics and, for this machine alone, /loglevel
  --log-level LEVEL              ${LEVELS.join(', ')} (default info); SIGUSR2 switches to debug and back
  --help                         this text

Prints "ready ADDRESS" on standard output when agents can connect. Ends on SIGTERM. Exit status: 0 ended as asked, 1 failed, 2 wrong usage.
`

export interface Settings {
  /** Exactly one of the two. */
  readonly directory: string | undefined
  readonly kubernetes: KubernetesSettings | undefined
  readonly listen: string
  readonly defaultPosture: Posture
  readonly nodeLabels: Readonly<Record<string, string>>
  readonly lastGood: string | undefined
  readonly statusFile: string | undefined
  readonly relay: string | undefined
  readonly transport: TransportSettings
  /** Of the health endpoint; undefined: none. */
  readonly http: string | undefined
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
  'last-good': TEXT,
  'status-file': TEXT,
  relay: TEXT,
  http: TEXT,
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
  return { ok: true, value: { ...from.value, listen, defaultPosture, nodeLabels, lastGood: values['last-good'], statusFile: values['status-file'], relay, transport: transport.value, http: values.http, logLevel } }
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
