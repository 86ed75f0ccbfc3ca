// SPDX-License-Identifier: Apache-2.0
// What anybody can do who reaches a port: the server goes on, and the others are served.
import assert from 'node:assert/strict'
import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { connect as connectHttp2 } from 'node:http2'
import { connect, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { gzipSync } from 'node:zlib'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { makeGenericClientConstructor, status, type sendUnaryData, type ServerUnaryCall, type ServiceError } from '@grpc/grpc-js'
import { Authority, renewAuthorities } from './authority.ts'
import { openClient, serve, type RunningServer } from './grpc.ts'
import { Credentials } from './tls.ts'

const bytes = (value: Buffer): Buffer => value
const definition = { Ask: { path: '/test.Echo/Ask', requestStream: false, responseStream: false, requestSerialize: bytes, requestDeserialize: bytes, responseSerialize: bytes, responseDeserialize: bytes } } as const
const EchoClient = makeGenericClientConstructor(definition, 'Echo')
const ID = 'spiffe://merlon/test'
const HTTP2_PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n')
const LIMIT = 1 << 20

function credentials(): Credentials {
  const options = { commonName: 'test', keyType: 'ec', lifeMs: 86_400_000, leafMs: 3_600_000 } as const
  const authority = new Authority(renewAuthorities([], options, Date.now()), options)
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const issued = authority.issue({ commonName: 'peer', publicKey, uris: [ID], use: ['server', 'client'] }, Date.now())
  return new Credentials({ ...issued, trust: authority.trust(Date.now()), privateKey: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString() })
}

for (const kind of ['plaintext', 'TLS'] as const) {
  describe(`a server of ${kind}`, { timeout: 600_000 }, () => {
    let server: RunningServer
    let own: Credentials | undefined
    const sockets: Socket[] = []
    const where = (): { host: string; port: number } => ({ host: '127.0.0.1', port: server.port })

    beforeEach(async () => {
      own = kind === 'TLS' ? credentials() : undefined
      const Ask = (call: ServerUnaryCall<Buffer, Buffer>, reply: sendUnaryData<Buffer>): void => reply(null, call.request)
      server = await serve({ address: '127.0.0.1:0', services: [{ definition, implementation: { Ask } }], requestBytesMax: LIMIT, ...(own ? { credentials: own.forServer() } : {}) })
    })
    afterEach(async () => {
      for (const socket of sockets.splice(0)) socket.destroy()
      await server.stop(100)
    })

    /** A socket that may fail as it likes. */
    const open = (...write: readonly (Buffer | string)[]): Promise<Socket> => new Promise((resolve) => {
      const socket = connect(where(), () => {
        for (const data of write) socket.write(data)
        resolve(socket)
      })
      socket.on('error', () => resolve(socket))
      sockets.push(socket)
    })
    const ask = (request: Buffer): Promise<ServiceError | Buffer> => new Promise((resolve) => {
      const client = openClient(EchoClient, server.address, own?.forClient(ID))
      const method = client['Ask'] as (request: Buffer, done: (error: ServiceError | null, reply: Buffer) => void) => void
      method.call(client, request, (error, reply) => {
        client.close()
        resolve(error ?? reply)
      })
    })
    const serves = async (): Promise<void> => assert.deepEqual(await ask(Buffer.from('hello')), Buffer.from('hello'))

    it('survives bytes that mean nothing, other protocols, and beginnings without an end', async () => {
      const frame = (length: number, type: number, flags: number): Buffer => Buffer.from([length >> 16, (length >> 8) & 255, length & 255, type, flags, 0, 0, 0, 1])
      const beginnings = [
        [randomBytes(4096)], ['GET / HTTP/1.1\r\nHost: x\r\n\r\n'], [Buffer.alloc(65_536)], ['\u0016\u0003\u0001\u0002\u0000'], [HTTP2_PREFACE.subarray(0, 10)],
        [HTTP2_PREFACE, randomBytes(512)], [HTTP2_PREFACE, frame(16_777_215, 0, 0)], [HTTP2_PREFACE, frame(8, 6, 0)], [HTTP2_PREFACE, frame(100, 1, 4), randomBytes(100)],
      ]
      for (const beginning of beginnings) {
        await open(...beginning)
        await serves()
      }
    })

    it('survives TLS where it speaks plaintext, and the other way round', async () => {
      const tls = connectTls({ ...where(), rejectUnauthorized: false, ALPNProtocols: ['h2'] })
      await new Promise<void>((resolve) => {
        for (const event of ['error', 'secureConnect', 'close']) tls.on(event, () => resolve())
      })
      tls.destroy()
      const plain = connectHttp2(`http://127.0.0.1:${server.port}`)
      await new Promise<void>((resolve) => {
        for (const event of ['error', 'remoteSettings', 'close']) plain.on(event, () => resolve())
      })
      plain.destroy()
      await serves()
    })

    it('refuses what is larger than it takes, announced, compressed or real', async () => {
      const large = await ask(Buffer.alloc(LIMIT + 1))
      assert.equal(large instanceof Error && large.code, status.RESOURCE_EXHAUSTED, String(large))
      const session = connectHttp2(`${kind === 'TLS' ? 'https' : 'http'}://127.0.0.1:${server.port}`, { rejectUnauthorized: false })
      const send = (body: Buffer, headers: Record<string, string> = {}): Promise<number> => new Promise((resolve) => {
        const stream = session.request({ ':method': 'POST', ':path': '/test.Echo/Ask', 'content-type': 'application/grpc', te: 'trailers', ...headers })
        const settle = (fields: Record<string, unknown>): void => { if (fields['grpc-status'] !== undefined) resolve(Number(fields['grpc-status'])) }
        stream.on('response', settle)
        stream.on('trailers', settle)
        stream.on('error', () => resolve(-1))
        stream.resume()
        stream.write(body)
      })
      const framed = (content: Buffer, length = content.length, compressed = 0): Buffer => {
        const head = Buffer.alloc(5)
        head.writeUInt8(compressed)
        head.writeUInt32BE(length, 1)
        return Buffer.concat([head, content])
      }
      assert.equal(await send(framed(Buffer.alloc(10), 0xffff_ffff)), status.RESOURCE_EXHAUSTED)
      assert.equal(await send(framed(gzipSync(Buffer.alloc(64 << 20)), undefined, 1), { 'grpc-encoding': 'gzip' }), status.RESOURCE_EXHAUSTED)
      assert.notEqual(await send(framed(randomBytes(100), undefined, 1), { 'grpc-encoding': 'gzip' }), status.OK)
      session.destroy()
      await serves()
    })

    it('serves others beside a thousand connections that say nothing, and many that come and go', async () => {
      await Promise.all(Array.from({ length: 1000 }, () => open()))
      await serves()
      await Promise.all(Array.from({ length: 500 }, async () => (await open(HTTP2_PREFACE)).destroy()))
      await serves()
    })
  })
}
