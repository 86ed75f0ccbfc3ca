// SPDX-License-Identifier: Apache-2.0
import { isAbsolute } from 'node:path'
import { parseArgs } from 'node:util'
import { STATE_DIRECTORIES } from './containers/oci.ts'
import { checkTransport } from '../runtime/address.ts'
import { isLevel, LEVELS, type Level } from '../runtime/log.ts'
import type { Unbound } from './hold.ts'

export interface AgentOptions {
  readonly operator: string
  readonly relay: string
  readonly bpfObject: string
  readonly pinDirectory: string
  readonly node: string
  readonly cluster: string
  readonly unbound: Unbound
  readonly stateDirectories: readonly string[]
  readonly nodeLabels: Readonly<Record<string, string>>
  /** Absent: plaintext. */
  readonly tls: { readonly trustFile: string; readonly tokenFile: string } | undefined
  /** Of the health endpoint (HTTP); absent: none. */
  readonly http: string | undefined
  /** Of grpc.health.v1; absent: none. */
  readonly grpcHealth: string | undefined
  readonly logLevel: Level
  /** Only find out whether this machine can enforce. */
  readonly check: boolean
  readonly detach: boolean
  readonly release: boolean
}

export type OptionsResult =
  | { readonly kind: 'options'; readonly value: AgentOptions }
  | { readonly kind: 'help' }
  | { readonly kind: 'problem'; readonly message: string }

export const HELP = `Usage: agent [options]

Loads what the operator sends into the kernel, finds containers, and sends events to the relay.

  --operator ADDRESS,...     unix:/path or host:port; of several, and of all that a name stands for, one is taken at random (default unix:/run/merlon/operator.sock)
  --relay ADDRESS,...        of several, and of all that a name stands for, each gets every event (default unix:/run/merlon/relay.sock)
  --ca-file FILE             PEM of the operator's authorities; with it, connections are TLS, and this agent gets a certificate for its node
  --token-file FILE          what proves this node to the operator (default /var/run/secrets/merlon/token)
  --plaintext                no TLS, although the operator or the relay is on another machine
  --http ADDRESS             /livez, /readyz, /metrics and, for this machine alone, /loglevel
  --grpc-health ADDRESS      grpc.health.v1, for the kubelet
  --log-level LEVEL          ${LEVELS.join(', ')} (default info); SIGUSR2 switches to debug and back
  --node NAME                name of this node (default: the host name)
  --cluster NAME             name of the cluster in events (default: default)
  --unbound allow|audit|block
                             what becomes of containers that nobody claims (default allow)
  --state-directory DIR      a further state directory of crun or runc; may be repeated
  --node-label KEY=VALUE     a label of this node, for host policies; may be repeated. Where an API tells
                             the operator of nodes, only its labels count
  --bpf-object PATH          the BPF programs (default: beside this program)
  --pin-directory DIR        in a bpffs (default /sys/fs/bpf/merlon)
  --check                    load the programs, attach nothing, say what is missing for enforcement, and end
  --detach                   remove all programs, maps and pins, and end: nothing is enforced after that
  --release                  let go of containers that an agent held when it was killed, and end; enforcement goes on
  --help

Ends with status 0 after a signal (enforcement goes on), 1 on an error, 2 on wrong options, 4 when nothing can be enforced here.
`

export interface Defaults {
  readonly bpfObject: string
  readonly hostName: string
}

export function parseOptions(argv: readonly string[], defaults: Defaults): OptionsResult {
  const text = (value: string) => ({ type: 'string', default: value }) as const
  const list = { type: 'string', multiple: true, default: [] as string[] } as const
  try {
    const { values } = parseArgs({
      args: [...argv],
      options: {
        operator: text('unix:/run/merlon/operator.sock'), relay: text('unix:/run/merlon/relay.sock'), node: text(defaults.hostName), cluster: text('default'),
        unbound: text('allow'), 'state-directory': list, 'node-label': list, 'bpf-object': text(defaults.bpfObject),
        'ca-file': { type: 'string' }, 'token-file': text('/var/run/secrets/merlon/token'), plaintext: { type: 'boolean', default: false },
        http: { type: 'string' }, 'grpc-health': { type: 'string' }, 'log-level': text('info'),
        'pin-directory': text('/sys/fs/bpf/merlon'), check: { type: 'boolean', default: false }, detach: { type: 'boolean', default: false },
        release: { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h' },
      },
    })
    if (values.help) return { kind: 'help' }
    const { unbound, 'log-level': logLevel } = values
    if (!isLevel(logLevel)) return { kind: 'problem', message: `Cannot use --log-level "${logLevel}": it is one of ${LEVELS.join(', ')}` }
    if (!isUnbound(unbound)) return { kind: 'problem', message: `Cannot use --unbound "${unbound}": it is allow, audit or block` }
    if (!isAbsolute(values['pin-directory'])) return { kind: 'problem', message: `Cannot use --pin-directory "${values['pin-directory']}": it is an absolute path in a bpffs` }
    const modes = (['check', 'detach', 'release'] as const).filter((mode) => values[mode])
    if (modes.length > 1) return { kind: 'problem', message: `Cannot use --${modes.join(' and --')} together: each does one thing and ends` }
    if (values.node === '') return { kind: 'problem', message: 'Cannot use --node "": a node has a name' }
    const problem = checkTransport([values.operator, values.relay], values['ca-file'] !== undefined, values.plaintext)
    if (problem !== undefined) return { kind: 'problem', message: problem }
    const labels = values['node-label'].map((label) => label.split('='))
    const wrong = labels.find((label) => label.length < 2 || label[0] === '')
    if (wrong) return { kind: 'problem', message: `Cannot use --node-label "${wrong.join('=')}": it is KEY=VALUE` }
    return {
      kind: 'options',
      value: {
        operator: values.operator,
        relay: values.relay,
        bpfObject: values['bpf-object'],
        pinDirectory: values['pin-directory'],
        node: values.node,
        cluster: values.cluster,
        unbound,
        stateDirectories: [...STATE_DIRECTORIES, ...values['state-directory']],
        nodeLabels: Object.fromEntries(labels.map(([key = '', ...rest]): [string, string] => [key, rest.join('=')])),
        tls: values['ca-file'] === undefined ? undefined : { trustFile: values['ca-file'], tokenFile: values['token-file'] },
        http: values.http,
        grpcHealth: values['grpc-health'],
        logLevel,
        check: values.check,
        detach: values.detach,
        release: values.release,
      },
    }
  } catch (error) {
    return { kind: 'problem', message: error instanceof Error ? error.message : String(error) }
  }
}

function isUnbound(word: string): word is Unbound {
  return word === 'allow' || word === 'audit' || word === 'block'
}
