// SPDX-License-Identifier: Apache-2.0
// node relay/main.ts --listen 127.0.0.1:32767 --agents unix:/run/merlon/relay.sock
import { hostname } from 'node:os'
import { parseArgs } from 'node:util'
import { logVerbosity, setLogVerbosity } from '@grpc/grpc-js'
import { EXIT_OK, EXIT_USAGE, runMain, switchLevels, type Life } from '../runtime/lifecycle.ts'
import { checkTransport } from '../runtime/address.ts'
import { systemClock } from '../runtime/clock.ts'
import { createLogger, isLevel, LEVELS, type Level } from '../runtime/log.ts'
import { MerlonError } from './errors.ts'
import { noMetrics, openMetrics, type Metrics } from '../runtime/metrics.ts'
import { observeRelay } from './metrics.ts'
import { startRelay, type RelayOptions } from './server.ts'

const USAGE = `Usage: node relay/main.ts [--listen ADDRESS]... [--agents ADDRESS] [--queue EVENTS]

Takes event batches from agents and serves them to clients of KubeArmor's feeder.LogService.

  --listen ADDRESS   where clients connect, may be repeated (default 127.0.0.1:32767)
  --agents ADDRESS   where agents push events (default unix:/run/merlon/relay.sock)
  --queue EVENTS     events that wait for a slow client at most (default 1000)
  --ca-file FILE     PEM of the operator's authorities; with it, agents are served by TLS, and by their certificates
  --operator ADDRESS,...  where the relay's own certificate comes from; needed with --ca-file
  --token-file FILE  what proves the relay to the operator (default /var/run/secrets/merlon/token)
  --feeder-tls       clients are served by TLS too, which KubeArmor's know how to use; default: plaintext, which they try first
  --http ADDRESS     /livez, /readyz, /metrics and, for this machine alone, /loglevel
  --plaintext        no TLS, although agents come from other machines
  --log-level LEVEL  ${LEVELS.join(', ')} (default info); SIGUSR2 switches to debug and back
  --help             this text

Ends on SIGTERM. Exit status: 0 ended as asked, 1 failed, 2 wrong usage or an address that cannot be used.
`

const logger = createLogger('relay')

interface Settings extends RelayOptions {
  readonly http: string | undefined
  readonly logLevel: Level
  readonly tls: { readonly operator: string; readonly trustFile: string; readonly tokenFile: string; readonly feeder: boolean } | undefined
}

function readOptions(args: readonly string[]): Settings | 'help' {
  const { values } = parseArgs({
    args: [...args],
    options: {
      listen: { type: 'string', multiple: true, default: ['127.0.0.1:32767'] },
      agents: { type: 'string', default: 'unix:/run/merlon/relay.sock' },
      queue: { type: 'string', default: '1000' },
      'ca-file': { type: 'string' },
      operator: { type: 'string' },
      'token-file': { type: 'string', default: '/var/run/secrets/merlon/token' },
      'feeder-tls': { type: 'boolean', default: false },
      plaintext: { type: 'boolean', default: false },
      http: { type: 'string' },
      'log-level': { type: 'string', default: 'info' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  })
  if (values.help) return 'help'
  const capacity = Number(values.queue)
  if (!Number.isSafeInteger(capacity) || capacity < 1) {
    throw new MerlonError('MERLON_RELAY_USAGE', `Cannot use --queue ${JSON.stringify(values.queue)}: a positive whole number is needed`)
  }
  const { operator, 'ca-file': trustFile, 'token-file': tokenFile, 'feeder-tls': feeder, 'log-level': logLevel } = values
  if (!isLevel(logLevel)) throw new MerlonError('MERLON_RELAY_USAGE', `Cannot use --log-level ${JSON.stringify(logLevel)}: it is one of ${LEVELS.join(', ')}`)
  const problem = transportProblem(values)
  if (problem !== undefined) throw new MerlonError('MERLON_RELAY_USAGE', problem)
  const tls = trustFile === undefined || operator === undefined ? undefined : { operator, trustFile, tokenFile, feeder }
  return { listen: values.listen, agents: values.agents, capacity, hostName: hostname(), logger, tls, http: values.http, logLevel }
}

interface Transport {
  readonly agents: string
  readonly operator?: string | undefined
  readonly 'ca-file'?: string | undefined
  readonly 'feeder-tls': boolean
  readonly plaintext: boolean
}

function transportProblem({ agents, operator, 'ca-file': trustFile, 'feeder-tls': feeder, plaintext }: Transport): string | undefined {
  if ((trustFile === undefined) !== (operator === undefined)) return 'Cannot use TLS: --ca-file and --operator are needed, both'
  if (feeder && trustFile === undefined) return 'Cannot use --feeder-tls without --ca-file and --operator: the certificate comes from there'
  return checkTransport([agents], trustFile !== undefined, plaintext)
}

/** It answers from here on, while the relay waits for its certificate. */
async function serveHealthOf(address: string, { life, metrics, isListening }: { readonly life: Life; readonly metrics: Metrics; readonly isListening: () => boolean }): Promise<void> {
  const { serveHealth } = await import('../runtime/http.ts')
  const checks = [{ name: 'streams', problem: () => (isListening() ? undefined : 'not listening yet: a certificate may be missing, see the log') }]
  const endpoint = await serveHealth({ address, checks, metrics, logger })
  life.onShutdown('http', () => endpoint.close())
  logger.info('Serving health', { address: endpoint.address })
}

async function main(life: Life): Promise<number | void> {
  let options: Settings | 'help'
  try {
    options = readOptions(process.argv.slice(2))
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n\n${USAGE}`)
    return EXIT_USAGE
  }
  if (options === 'help') {
    process.stdout.write(USAGE)
    return EXIT_OK
  }
  // What it would print about a port in use comes back as an error anyway.
  setLogVerbosity(logVerbosity.NONE)
  try {
    const { tls, http, logLevel } = options
    switchLevels(logLevel)
    const progress = { listens: false }
    const metrics = http === undefined ? noMetrics : await openMetrics()
    if (http !== undefined) await serveHealthOf(http, { life, metrics, isListening: () => progress.listens })
    const security = tls === undefined ? {} : await (await import('./security.ts')).openSecurity({ ...tls, clock: systemClock, logger, signal: life.signal })
    const relay = await startRelay({ ...options, ...security })
    progress.listens = true
    observeRelay(metrics, relay)
    life.onShutdown('relay', async () => {
      logger.info('Stopped', { ...relay.counts })
      await relay.close()
    })
    logger.info('Listening', { clients: relay.addresses, agents: relay.agentsAddress })
  } catch (error) {
    if (!(error instanceof MerlonError)) throw error
    logger.error(error.message, { code: error.code })
    return EXIT_USAGE
  }
}

await runMain(main, { name: 'relay' })
