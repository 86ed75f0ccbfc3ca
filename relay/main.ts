// SPDX-License-Identifier: Apache-2.0
// node relay/main.ts --listen 127.0.0.1:32767 --agents unix:/run/merlon/relay.sock
import { hostname } from 'node:os'
import { parseArgs } from 'node:util'
import { logVerbosity, setLogVerbosity } from '@grpc/grpc-js'
import { EXIT_OK, EXIT_USAGE, runMain, type Life } from '../runtime/lifecycle.ts'
import { createLogger } from '../runtime/log.ts'
import { MerlonError } from './errors.ts'
import { startRelay, type RelayOptions } from './server.ts'

const USAGE = `Usage: node relay/main.ts [--listen ADDRESS]... [--agents ADDRESS] [--queue EVENTS]

Takes event batches from agents and serves them to clients of KubeArmor's feeder.LogService.

  --listen ADDRESS   where clients connect, may be repeated (default 127.0.0.1:32767)
  --agents ADDRESS   where agents push events (default unix:/run/merlon/relay.sock)
  --queue EVENTS     events that wait for a slow client at most (default 1000)
`

const logger = createLogger('relay')

function readOptions(args: readonly string[]): RelayOptions | 'help' {
  const { values } = parseArgs({
    args: [...args],
    options: {
      listen: { type: 'string', multiple: true, default: ['127.0.0.1:32767'] },
      agents: { type: 'string', default: 'unix:/run/merlon/relay.sock' },
      queue: { type: 'string', default: '1000' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  })
  if (values.help) return 'help'
  const capacity = Number(values.queue)
  if (!Number.isSafeInteger(capacity) || capacity < 1) {
    throw new MerlonError('MERLON_RELAY_USAGE', `Cannot use --queue ${JSON.stringify(values.queue)}: a positive whole number is needed`)
  }
  return { listen: values.listen, agents: values.agents, capacity, hostName: hostname(), logger }
}

async function main(life: Life): Promise<number | void> {
  let options: RelayOptions | 'help'
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
    const relay = await startRelay(options)
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
