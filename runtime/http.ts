// SPDX-License-Identifier: Apache-2.0
// The health endpoint of a process: /livez, /readyz (which says what is not ready), /metrics, and /loglevel for this machine alone.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { clearSocket, formatAddress, parseAddress, protectSocket } from './address.ts'
import { isLevel, LEVELS, logLevel, setLogLevel, type Logger } from './log.ts'
import { METRICS_TYPE, type Metrics } from './metrics.ts'

/** What must hold before a process is of use; `problem` says why it does not, undefined when it does. */
export interface Check {
  readonly name: string
  readonly problem: () => string | undefined
}

export interface HealthOptions {
  /** unix:/path or host:port; port 0 takes a free one. */
  readonly address: string
  readonly checks: readonly Check[]
  readonly metrics: Metrics
  readonly logger: Logger
}

export interface HealthEndpoint {
  /** With the port that was taken. */
  readonly address: string
  close(): Promise<void>
}

interface Answer {
  readonly code: number
  readonly text: string
  readonly type?: string
}

const BODY_MAX = 256

/** Throws where the address cannot be used. */
export async function serveHealth(options: HealthOptions): Promise<HealthEndpoint> {
  const parsed = parseAddress(options.address)
  if (!parsed.ok) throw new Error(parsed.message)
  const address = parsed.value
  const server = createServer((request, response) => {
    answer(options, request).then((result) => send(response, result), (error: Error) => {
      options.logger.error('Failed to answer', { path: request.url, error })
      send(response, { code: 500, text: `${error.message}\n` })
    })
  })
  if (address.kind === 'unix') await clearSocket(address.path)
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    if (address.kind === 'unix') server.listen(address.path, resolve)
    else server.listen(address.port, address.host, resolve)
  })
  if (address.kind === 'unix') await protectSocket(address.path)
  return {
    address: formatAddress(address.kind === 'unix' ? address : { ...address, port: (server.address() as AddressInfo).port }),
    close: () => new Promise((resolve) => {
      server.close(() => resolve())
      server.closeAllConnections()
    }),
  }
}

async function answer({ checks, metrics, logger }: HealthOptions, request: IncomingMessage): Promise<Answer> {
  const path = new URL(request.url ?? '/', 'http://health').pathname
  if (path === '/loglevel') return changeLevel(request, logger)
  if (request.method !== 'GET' && request.method !== 'HEAD') return { code: 405, text: 'use GET\n' }
  if (path === '/livez') return { code: 200, text: 'ok\n' }
  if (path === '/readyz') return readiness(checks)
  if (path === '/metrics') return { code: 200, text: await metrics.read(), type: METRICS_TYPE }
  return { code: 404, text: 'there is /livez, /readyz, /metrics and /loglevel\n' }
}

/** As the API server's own: one line for each check. */
function readiness(checks: readonly Check[]): Answer {
  const results = checks.map(({ name, problem }) => ({ name, problem: problem() }))
  const isReady = results.every(({ problem }) => problem === undefined)
  const lines = results.map(({ name, problem }) => (problem === undefined ? `[+] ${name}` : `[-] ${name}: ${problem}`))
  return { code: isReady ? 200 : 503, text: `${[...lines, isReady ? 'ready' : 'not ready'].join('\n')}\n` }
}

/** The kubelet and Prometheus reach this port too: who may change a level has a shell here, or a forwarded port. */
async function changeLevel(request: IncomingMessage, logger: Logger): Promise<Answer> {
  if (request.method === 'GET') return { code: 200, text: `${logLevel()}\n` }
  if (!isFromHere(request)) return { code: 403, text: 'levels are changed from this machine only\n' }
  if (request.method !== 'PUT') return { code: 405, text: 'use GET or PUT\n' }
  const text = await readBody(request)
  const [level = '', name] = text.trim().split('=').toReversed()
  if (!isLevel(level)) return { code: 400, text: `a level is one of ${LEVELS.join(', ')}, or NAME=LEVEL for one part\n` }
  setLogLevel(level, name)
  logger.info('Changed the log level', { level, part: name ?? 'all' })
  return { code: 200, text: `${level}\n` }
}

function isFromHere({ socket }: IncomingMessage): boolean {
  const { remoteAddress } = socket
  // Undefined on a Unix socket, which is its owner's alone.
  return remoteAddress === undefined || remoteAddress === '::1' || /^(::ffff:)?127\./.test(remoteAddress)
}

async function readBody(request: IncomingMessage): Promise<string> {
  let text = ''
  for await (const chunk of request.setEncoding('utf8')) {
    text += String(chunk)
    if (text.length > BODY_MAX) break
  }
  return text
}

function send(response: ServerResponse, { code, text, type = 'text/plain; charset=utf-8' }: Answer): void {
  response.writeHead(code, { 'content-type': type, 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' }).end(text)
}
