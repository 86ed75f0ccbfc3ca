// SPDX-License-Identifier: Apache-2.0
import { systemClock } from '../runtime/clock.ts'
import { Backoff } from '../runtime/backoff.ts'
import { follow, type Filter } from './follow.ts'
import { eventJson, eventLine, type ShownEvent } from './event-line.ts'
import { harmless } from './terminal.ts'
import { EXIT_OK, readArgs, readChoice, readCount, type Io, type Verb } from './verb.ts'

const HELP = `Usage: merlon events [OPTION]...

Follows what policies blocked and audited, from now on, until interrupted. Events go to stdout, one a line; what was lost, which
nodes are missing and the state of the connection go to stderr.

  --address HOST:PORT    the relay (default 127.0.0.1:32767)
  --filter WHICH         policy: alerts; system: logs; all: both (default policy)
  -n, --namespace NAME   only this namespace
  --pod PREFIX           only pods whose name begins so
  --container NAME       only this container
  --operation NAME       only this operation: Process, File, ...
  --limit N              end after N events
  -o, --output FORMAT    compact, or json with KubeArmor's field names (default compact)
  --quiet                nothing on stderr

Each compact line: verdict, time (UTC), namespace/pod/container, process, operation, resource, policy.
`

interface Wanted {
  readonly namespace: string | undefined
  readonly pod: string | undefined
  readonly container: string | undefined
  readonly operation: string | undefined
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
    limit: { type: 'string' },
    output: { type: 'string', short: 'o', default: 'compact' },
    quiet: { type: 'boolean', default: false },
  })
  const filter: Filter = readChoice('filter', values.filter, ['policy', 'system', 'all'])
  const output = readChoice('output', values.output, ['compact', 'json'])
  const limit = values.limit === undefined ? Infinity : readCount('limit', values.limit)
  const wanted: Wanted = { namespace: values.namespace, pod: values.pod, container: values.container, operation: values.operation }
  const enough = new AbortController()
  let shown = 0
  await follow({
    address: values.address,
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

export function isWanted(event: ShownEvent, wanted: Wanted): boolean {
  return (
    (wanted.namespace === undefined || event.NamespaceName === wanted.namespace) &&
    (wanted.pod === undefined || event.PodName.startsWith(wanted.pod)) &&
    (wanted.container === undefined || event.ContainerName === wanted.container) &&
    (wanted.operation === undefined || event.Operation.toLowerCase() === wanted.operation.toLowerCase())
  )
}
