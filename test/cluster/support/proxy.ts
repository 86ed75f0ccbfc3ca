// SPDX-License-Identifier: Apache-2.0
// A proxy before the API server that does to answers what networks and servers do to them. It has the server's own certificate.
import { readFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer, request, type Server } from 'node:https'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import type { Socket } from 'node:net'

export interface ProxyRules {
  /** Answers itself; true: nothing more is to be done. */
  readonly answer?: (request: IncomingMessage, response: ServerResponse) => boolean
  /** For this long an answer is held back. */
  readonly delayMs?: (request: IncomingMessage) => number
  /** Of an answer, only that many bytes pass from the first one that comes after this was asked; then the connection is cut. */
  readonly cutAfter?: (request: IncomingMessage) => number | undefined
}

export class ApiProxy {
  rules: ProxyRules = {}
  readonly seen: string[] = []
  kubeconfig = ''
  readonly #server: Server
  readonly #upstream: string
  readonly #ca: string
  readonly #sockets = new Set<Socket>()

  private constructor(directory: string, upstream: string) {
    const file = (name: string): string => readFileSync(join(directory, name), 'utf8')
    this.#ca = file('ca.crt')
    this.#upstream = upstream
    this.#server = createServer({ cert: file('api.crt'), key: file('api.key') }, (incoming, response) => void this.#pass(incoming, response))
    this.#server.on('secureConnection', (socket: Socket) => {
      this.#sockets.add(socket)
      socket.on('close', () => this.#sockets.delete(socket))
      socket.on('error', () => {})
    })
  }

  static async start(directory: string, upstream: string): Promise<ApiProxy> {
    const proxy = new ApiProxy(directory, upstream)
    await new Promise<void>((resolve) => proxy.#server.listen(0, '127.0.0.1', resolve))
    const { port } = proxy.#server.address() as AddressInfo
    proxy.kubeconfig = join(directory, `kubeconfig.proxy-${port}`)
    await writeFile(proxy.kubeconfig, readFileSync(join(directory, 'kubeconfig'), 'utf8').replace(upstream, `https://127.0.0.1:${port}`))
    return proxy
  }

  /** Ends every connection, in the middle of whatever passes. */
  cut(): void {
    for (const socket of this.#sockets) socket.destroy()
  }

  async stop(): Promise<void> {
    this.cut()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  async #pass(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    this.seen.push(`${incoming.method} ${incoming.url}`)
    if (this.rules.answer?.(incoming, response)) return
    const delay = this.rules.delayMs?.(incoming) ?? 0
    if (delay > 0) await new Promise((resolve) => setTimeout(resolve, delay))
    const outgoing = request(new URL(incoming.url ?? '/', this.#upstream), { method: incoming.method, headers: { ...incoming.headers, host: new URL(this.#upstream).host }, ca: this.#ca }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers)
      // A watch's answer begins long before its first event.
      response.flushHeaders()
      answer.on('data', (chunk: Buffer) => {
        const most = this.rules.cutAfter?.(incoming)
        response.write(most === undefined ? chunk : chunk.subarray(0, most))
        if (most !== undefined) setTimeout(() => incoming.socket.destroy(), 20)
      })
      answer.on('end', () => response.end())
      answer.on('error', () => incoming.socket.destroy())
    })
    outgoing.on('error', () => incoming.socket.destroy())
    response.on('close', () => outgoing.destroy())
    incoming.pipe(outgoing)
  }
}
