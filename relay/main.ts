// SPDX-License-Identifier: Apache-2.0
// node relay/main.ts --listen 127.0.0.1:32767 --agents unix:/run/merlon/relay.sock
import { hostname } from 'node:os'
import { parseArgs } from 'node:util'
import { MerlonError } from './errors.ts'
import { startRelay, type Relay, type RelayOptions } from './server.ts'

const USAGE = `Usage: node relay/main.ts [--listen ADDRESS]... [--agents ADDRESS] [--queue EVENTS]

Takes event batches from agents and serves them to clients of KubeArmor's feeder.LogService.

  --listen ADDRESS   where clients connect, may be repeated (default 127.0.0.1:32767)
  --agents ADDRESS   where agents push events (default unix:/run/merlon/relay.sock)
  --queue EVENTS     events that wait for a slow client at most (default 1000)
`

function log(level: string, text: string, fields: Readonly<Record<string, unknown>> = {}): void {
  process.stderr.write(`${JSON.stringify({ time: new Date().toISOString(), level, room: 'relay', message: text, ...fields })}\n`)
}

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
  return { listen: values.listen, agents: values.agents, capacity, hostName: hostname(), log }
}

async function stop(relay: Relay, signal: string): Promise<void> {
  log('INFO', 'Stopping', { signal, ...relay.counts })
  await relay.close()
  log('INFO', 'Stopped')
}

async function main(): Promise<number> {
  let options: RelayOptions | 'help'
  try {
    options = readOptions(process.argv.slice(2))
  } catch (error) {
    process.stderr.write(`${(error as Error).message}\n\n${USAGE}`)
    return 2
  }
  if (options === 'help') {
    process.stdout.write(USAGE)
    return 0
  }
  try {
    const relay = await startRelay(options)
    log('INFO', 'Listening', { clients: relay.addresses, agents: relay.agentsAddress })
    const signal = await new Promise<string>((resolve) => {
      process.once('SIGTERM', resolve)
      process.once('SIGINT', resolve)
    })
    await stop(relay, signal)
    return 0
  } catch (error) {
    if (!(error instanceof MerlonError)) throw error
    log('ERROR', error.message, { code: error.code })
    return 2
  }
}

process.exitCode = await main()
