// SPDX-License-Identifier: Apache-2.0
import { parseArgs } from 'node:util'
import { STATE_DIRECTORIES } from './containers/oci.ts'
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
  /** Only find out whether this machine can enforce. */
  readonly check: boolean
  readonly detach: boolean
}

export type OptionsResult =
  | { readonly kind: 'options'; readonly value: AgentOptions }
  | { readonly kind: 'help' }
  | { readonly kind: 'problem'; readonly message: string }

export const HELP = `Usage: agent [options]

Loads what the operator sends into the kernel, finds containers, and sends events to the relay.

  --operator ADDRESS         unix:/path or host:port (default unix:/run/merlon/operator.sock)
  --relay ADDRESS            unix:/path or host:port (default unix:/run/merlon/relay.sock)
  --node NAME                name of this node (default: the host name)
  --cluster NAME             name of the cluster in events (default: default)
  --unbound allow|audit|block
                             what becomes of containers that nobody claims (default allow)
  --state-directory DIR      a further state directory of crun or runc; may be repeated
  --node-label KEY=VALUE     a label of this node, for host policies; may be repeated
  --bpf-object PATH          the BPF programs (default: beside this program)
  --pin-directory DIR        in a bpffs (default /sys/fs/bpf/merlon)
  --check                    load the programs, attach nothing, say what is missing for enforcement, and end
  --detach                   remove all programs, maps and pins, and end: nothing is enforced after that
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
        'pin-directory': text('/sys/fs/bpf/merlon'), check: { type: 'boolean', default: false }, detach: { type: 'boolean', default: false },
        help: { type: 'boolean', short: 'h' },
      },
    })
    if (values.help) return { kind: 'help' }
    const { unbound } = values
    if (!isUnbound(unbound)) return { kind: 'problem', message: `Cannot use --unbound "${unbound}": it is allow, audit or block` }
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
        check: values.check,
        detach: values.detach,
      },
    }
  } catch (error) {
    return { kind: 'problem', message: error instanceof Error ? error.message : String(error) }
  }
}

function isUnbound(word: string): word is Unbound {
  return word === 'allow' || word === 'audit' || word === 'block'
}
