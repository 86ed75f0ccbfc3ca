// SPDX-License-Identifier: Apache-2.0
import { parseAddress } from '../runtime/address.ts'
import { systemClock } from '../runtime/clock.ts'
import { Backoff } from '../runtime/backoff.ts'
import { follow, type Filter } from './follow.ts'
import { eventJson, eventLine, type ShownEvent } from './event-line.ts'
import { harmless } from './terminal.ts'
import { EXIT_OK, readArgs, readChoice, readCount, UsageError, type Io, type Verb } from './verb.ts'

const HELP = `Usage: merlon events [OPTION]...

Follows what policies blocked and audited, from now on, until interrupted. Events go to stdout, one a line; what was lost, which
nodes are missing and the state of the connection go to stderr.

  --address HOST:PORT    the relay (default 127.0.0.1:32767)
  --tls DIR              by TLS, with DIR/ca.crt, and with client.crt and client.key, or with ca.key, which makes a certificate
  --filter WHICH         policy: alerts; system: logs; all: both (default policy)
  -n, --namespace NAME   only this namespace
  --pod PREFIX           only pods whose name begins so
  --container NAME       only this container
  -l, --label KEY=VALUE  only pods with this label; may be repeated
  --operation NAME       only this operation: Process, File, Network, ...
  --policy NAME          only what this policy decided
  --source TEXT          only where the source has this text in it
  --resource TEXT        only where the resource has this text in it
  --limit N              end after N events
  -o, --output FORMAT    compact, or json with KubeArmor's field names (default compact)
  --quiet                nothing on stderr

Each compact line: verdict, time (UTC), namespace/pod/container, process, operation, resource, policy.
`

/** KubeArmor's. A word that is none would be waited for without end. */
const OPERATIONS = ['Process', 'File', 'Network', 'Capabilities', 'Syscall', 'Device', 'NetworkFirewall', 'AlertThreshold']

interface Wanted {
  readonly namespace: string | undefined
  readonly pod: string | undefined
  readonly container: string | undefined
  readonly operation: string | undefined
  readonly policy?: string | undefined
  readonly source?: string | undefined
  readonly resource?: string | undefined
  readonly labels?: readonly string[]
}

export const verb: Verb = { help: HELP, run }

async function run(args: readonly string[], io: Io): Promise<number> {
  const { values } = readArgs(args, {
    address: { type: 'string', default: '127.0.0.1:32767' },
    filter: { type: 'string', default: 'policy' },
    namespace: { type: 'string', short: 'n' },
    pod: { type: 'string' },
    container: { type: 'string' },
    operation: { type: 'string' },
    label: { type: 'string', short: 'l', multiple: true, default: [] },
    policy: { type: 'string' },
    source: { type: 'string' },
    resource: { type: 'string' },
    tls: { type: 'string' },
    limit: { type: 'string' },
    output: { type: 'string', short: 'o', default: 'compact' },
    quiet: { type: 'boolean', default: false },
  })
  const filter: Filter = readChoice('filter', values.filter, ['policy', 'system', 'all'])
  const output = readChoice('output', values.output, ['compact', 'json'])
  const limit = values.limit === undefined ? Infinity : readCount('limit', values.limit)
  const { address, namespace, pod, container, operation, policy, source, resource, label: labels } = values
  const parsed = parseAddress(address)
  if (!parsed.ok) throw new UsageError(parsed.message)
  if (operation !== undefined && !OPERATIONS.some((each) => each.toLowerCase() === operation.toLowerCase())) readChoice('operation', operation, OPERATIONS)
  const wrong = labels.find((label) => !/^[^=]+=/.test(label))
  if (wrong !== undefined) throw new UsageError(`Cannot use --label ${JSON.stringify(wrong)}: it is KEY=VALUE`)
  const wanted: Wanted = { namespace, pod, container, operation, policy, source, resource, labels }
  const credentials = values.tls === undefined ? undefined : (await import('./relay-tls.ts')).readCredentials(values.tls, address)
  const enough = new AbortController()
  let shown = 0
  await follow({
    address,
    ...(credentials ? { credentials } : {}),
    filter,
    signal: AbortSignal.any([io.signal, enough.signal]),
    backoff: new Backoff({ baseMs: 500, capMs: 10_000, clock: systemClock, random: Math.random }),
    onEvent: (event) => {
      if (shown >= limit || !isWanted(event, wanted)) return
      shown += 1
      io.stdout.write(`${output === 'json' ? eventJson(event) : eventLine(event, lineOptions(io))}\n`)
      if (shown >= limit) enough.abort()
    },
    onNotice: (text) => {
      if (!values.quiet) io.stderr.write(`-- ${harmless(text)}\n`)
    },
  })
  return EXIT_OK
}

function lineOptions(io: Io): { colour: boolean; width?: number } {
  return { colour: io.colour, ...(io.stdout.columns === undefined ? {} : { width: Math.min(io.stdout.columns, 160) }) }
}

export function isWanted(event: ShownEvent, { namespace, pod, container, operation, policy, source, resource, labels = [] }: Wanted): boolean {
  const asked: readonly (readonly [string | undefined, (text: string) => boolean])[] = [
    [namespace, (text) => event.NamespaceName === text],
    [pod, (text) => event.PodName.startsWith(text)],
    [container, (text) => event.ContainerName === text],
    [operation, (text) => event.Operation.toLowerCase() === text.toLowerCase()],
    [policy, (text) => event.PolicyName === text],
    [source, (text) => event.Source.includes(text)],
    [resource, (text) => event.Resource.includes(text)],
  ]
  return asked.every(([text, holds]) => text === undefined || holds(text)) && hasLabels(event, labels)
}

/** KubeArmor writes labels as k=v,k=v. */
function hasLabels({ Labels = '' }: ShownEvent, wanted: readonly string[]): boolean {
  if (wanted.length === 0) return true
  const labels = Labels.split(',')
  return wanted.every((label) => labels.includes(label))
}
