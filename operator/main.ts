// SPDX-License-Identifier: Apache-2.0
// The operator over a directory of manifests: reads, plans, compiles, distributes, and says what became of it.
import { parseArgs } from 'node:util'
import type { Finding, Posture } from '../policy/types.ts'
import { systemClock } from '../runtime/clock.ts'
import { EXIT_OK, EXIT_USAGE, runMain, type Life } from '../runtime/lifecycle.ts'
import { createLogger, isLevel, LEVELS, setLogLevel, type Level } from '../runtime/log.ts'
import { parseAddress } from '../runtime/address.ts'
import { policyLibrary } from './library.ts'
import { Messages } from './messages.ts'
import { Reconciler } from './reconcile.ts'
import { NodeSyncServer } from './serve.ts'
import { DirectorySource } from './source.ts'
import { StatusBoard } from './status.ts'
import type { Postures } from './world.ts'

const HELP = `Usage: node operator/main.ts --directory DIR [options]

Reads the KubeArmor policies, Namespaces and Pods under DIR (*.yaml, *.yml, *.json), compiles them for each workload that an
agent reports, and keeps agents up to date. A file with errors is refused, and its last good version stays in force.

  --directory DIR                where the manifests are; symbolic links are followed
  --listen ADDRESS               for agents: unix:/path or host:port (default unix:/run/merlon/operator.sock)
  --default-posture audit|block  what an allow-list does with the rest, where a namespace does not say (default audit)
  --node-labels K=V,...          labels of every node, for host policies
  --status-file FILE             write what is known about policies and nodes there, as JSON
  --relay ADDRESS                tell those who follow events what is wrong with manifests, through this relay
  --log-level LEVEL              ${LEVELS.join(', ')} (default info); SIGUSR2 switches to debug and back
  --help                         this text

Prints "ready ADDRESS" on standard output when agents can connect. Ends on SIGTERM. Exit status: 0 ended as asked, 1 failed, 2 wrong usage.
`

interface Settings {
  readonly directory: string
  readonly listen: string
  readonly defaultPosture: Posture
  readonly nodeLabels: Readonly<Record<string, string>>
  readonly statusFile: string | undefined
  readonly relay: string | undefined
  readonly logLevel: Level
}

type SettingsResult = { readonly ok: true; readonly value: Settings | 'help' } | { readonly ok: false; readonly message: string }

const TEXT = { type: 'string' } as const
const OPTIONS = {
  directory: TEXT,
  listen: { ...TEXT, default: 'unix:/run/merlon/operator.sock' },
  'default-posture': { ...TEXT, default: 'audit' },
  'node-labels': { ...TEXT, default: '' },
  'status-file': TEXT,
  relay: TEXT,
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
  const { directory, listen, relay, 'default-posture': defaultPosture, 'log-level': logLevel } = values
  if (!directory) return { ok: false, message: '--directory is required' }
  for (const text of relay === undefined ? [listen] : [listen, relay]) {
    const address = parseAddress(text)
    if (!address.ok) return address
  }
  if (defaultPosture !== 'audit' && defaultPosture !== 'block') return { ok: false, message: `--default-posture must be audit or block, not "${defaultPosture}"` }
  if (!isLevel(logLevel)) return { ok: false, message: `--log-level must be one of ${LEVELS.join(', ')}, not "${logLevel}"` }
  const nodeLabels = parseLabels(values['node-labels'])
  if (nodeLabels === undefined) return { ok: false, message: '--node-labels must be key=value pairs with commas between them' }
  return { ok: true, value: { directory, listen, defaultPosture, nodeLabels, statusFile: values['status-file'], relay, logLevel } }
}

function parseLabels(text: string): Record<string, string> | undefined {
  const pairs = text.split(',').filter((pair) => pair.trim() !== '').map((pair) => /^\s*([^=\s]+)=([^\s]*)\s*$/.exec(pair))
  if (pairs.includes(null)) return undefined
  return Object.fromEntries(pairs.map((pair) => [pair?.[1], pair?.[2]]))
}

function sameEverywhere(posture: Posture): Postures {
  return { file: posture, network: posture, capabilities: posture }
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

  const messages = settings.relay === undefined ? undefined : new Messages({ address: settings.relay, clock, logger, random: Math.random, signal: life.signal })
  const onFinding = (finding: Finding): void => messages?.add(finding)
  const reconciler = new Reconciler({ library: policyLibrary, defaults: sameEverywhere(settings.defaultPosture), clock, logger, onNodes: (nodes) => server.notify(nodes), onSettled: () => board.changed(), onFinding })
  const server = new NodeSyncServer({ address: settings.listen, reconciler, tableVersion: policyLibrary.tableVersion, nodeLabels: settings.nodeLabels, clock, logger, onChange: () => board.changed() })
  const { statusFile: file } = settings
  const board = new StatusBoard({ reconciler, sessions: server.sessions, directory: settings.directory, address: () => server.address, clock, logger, ...(file === undefined ? {} : { file }) })
  const source = new DirectorySource({ directory: settings.directory, library: policyLibrary, clock, logger, onChange: (snapshot) => reconciler.setSnapshot(snapshot), onFinding })

  life.onShutdown('status', async () => {
    board.close()
    await board.flush()
  })
  // Before it listens: an agent's first answer is made of policies that have been read.
  await source.start()
  life.onShutdown('source', () => source.close())
  await server.start()
  life.onShutdown('server', () => server.stop())
  const talking = messages?.run()
  life.onShutdown('messages', () => talking)
  await board.flush()
  logger.info('Started', { address: server.address, directory: settings.directory, policies: reconciler.world.policies.size, findings: reconciler.world.findings.length })
  process.stdout.write(`ready ${server.address}\n`)
}

if (import.meta.main) await runMain((life) => main(life, process.argv.slice(2)), { name: 'operator' })
