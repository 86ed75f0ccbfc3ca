// SPDX-License-Identifier: Apache-2.0
// One HealthCheck as KubeArmor's clients send it, on Node's own HTTP/2: `merlon up` asks again and again while the relay starts, and loading
// gRPC for that would take as long as the relay's start itself.
import { connect as connectHttp, constants, type ClientHttp2Session } from 'node:http2'
import { connect } from 'node:net'
import { parseAddress } from '../runtime/address.ts'

const ANSWER_MS = 2_000
/** A gRPC message: not compressed, 2 bytes long, field 1 is the number 7. Request (nonce) and reply (Retval) are the same bytes. */
const SEVEN = Buffer.from([0, 0, 0, 0, 2, 0x08, 0x07])

/** Whether feeder.LogService answers at unix:/path or host:port within that time. Never rejects. */
export function isHealthy(address: string, answerMs = ANSWER_MS): Promise<boolean> {
  const parsed = parseAddress(address)
  if (!parsed.ok) return Promise.resolve(false)
  const where = parsed.value
  const target = where.kind === 'unix' ? { path: where.path } : { host: reachable(where.host), port: where.port }
  return new Promise((resolve) => {
    const session = connectHttp('http://relay', { createConnection: () => connect(target) })
    const settle = (answer: boolean): void => {
      clearTimeout(limit)
      session.destroy()
      resolve(answer)
    }
    session.once('error', () => settle(false))
    // What speaks another protocol may just hang up.
    session.once('close', () => settle(false))
    const limit = setTimeout(() => settle(false), answerMs)
    ask(session).then(settle, () => settle(false))
  })
}

async function ask(session: ClientHttp2Session): Promise<boolean> {
  const { HTTP2_HEADER_METHOD, HTTP2_HEADER_PATH, HTTP2_HEADER_CONTENT_TYPE, HTTP2_HEADER_TE } = constants
  const stream = session.request({
    [HTTP2_HEADER_METHOD]: 'POST', [HTTP2_HEADER_PATH]: '/feeder.LogService/HealthCheck',
    [HTTP2_HEADER_CONTENT_TYPE]: 'application/grpc', [HTTP2_HEADER_TE]: 'trailers',
  })
  stream.end(SEVEN)
  const chunks: Buffer[] = []
  for await (const chunk of stream) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks).equals(SEVEN)
}

/** A wildcard address is for listening only. */
function reachable(host: string): string {
  if (host === '0.0.0.0') return '127.0.0.1'
  return host === '::' ? '::1' : host
}
