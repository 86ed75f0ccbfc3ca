// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { status, type ServerDuplexStream } from '@grpc/grpc-js'
import { existsSync, mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { makeGenericClientConstructor, type ClientDuplexStream } from '@grpc/grpc-js'
import { Backoff } from './backoff.ts'
import { SimulatedClock } from './clock.ts'
import { isReady, keepConnected, keepStreaming, openClient, serve, type RunningServer } from './grpc.ts'
import { clientDuplex, serverDuplex, type ServerDuplex, type StreamEnd } from './stream.ts'

const bytes = (value: Buffer): Buffer => value
const definition = { Talk: { path: '/test.Echo/Talk', requestStream: true, responseStream: true, requestSerialize: bytes, requestDeserialize: bytes, responseSerialize: bytes, responseDeserialize: bytes } } as const
const EchoClient = makeGenericClientConstructor(definition, 'Echo')
type EchoClient = InstanceType<typeof EchoClient>

const open = (client: EchoClient): ReturnType<typeof clientDuplex<Buffer, Buffer>> =>
  clientDuplex((client['Talk'] as () => ClientDuplexStream<Buffer, Buffer>).call(client))

async function collect<T>(messages: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = []
  for await (const message of messages) all.push(message)
  return all
}

describe('serve() and openClient()', () => {
  let directory = ''
  let address = ''
  let server: RunningServer
  let client: EchoClient
  let talk: (stream: ServerDuplex<Buffer, Buffer>) => Promise<void>

  const start = (at: string): Promise<RunningServer> => serve({
    address: at,
    requestBytesMax: 20 << 20,
    services: [{ definition, implementation: { Talk: (call: ServerDuplexStream<Buffer, Buffer>) => void talk(serverDuplex(call)) } }],
  })

  beforeEach(async () => {
    directory = mkdtempSync(join(tmpdir(), 'merlon-'))
    address = `unix:${directory}/run/x.sock`
    talk = async (stream) => {
      for await (const message of stream.messages()) await stream.send(message)
      stream.finish()
    }
    server = await start(address)
    client = openClient(EchoClient, address)
  })

  afterEach(async () => {
    client.close()
    await server.stop(100)
    rmSync(directory, { recursive: true })
  })

  it('serve on a socket of their owner alone, gone afterwards', async () => {
    assert.equal(statSync(`${directory}/run/x.sock`).mode & 0o777, 0o600)
    assert.equal(statSync(`${directory}/run`).mode & 0o777, 0o700)
    assert.equal(await isReady(client, 2000), true)
    await assert.rejects(start(address), /another process serves it/)
    client.close()
    await server.stop(100)
    assert.equal(existsSync(`${directory}/run/x.sock`), false)
  })

  it('take a free port', async () => {
    const other = await start('127.0.0.1:0')
    assert.equal(other.address, `127.0.0.1:${other.port}`)
    const over = openClient(EchoClient, other.address)
    assert.equal(await isReady(over, 2000), true)
    over.close()
    await other.stop(100)
  })

  it('carry messages both ways, larger ones than 4 MiB too, and say that the end was clean', async () => {
    const stream = open(client)
    const sent = [Buffer.from('a'), Buffer.alloc(6 << 20, 1), Buffer.from('b')]
    for (const message of sent) assert.equal(await stream.send(message), true)
    stream.finish()
    const received = await collect(stream.messages())
    assert.deepEqual(received.map((message) => message.length), sent.map((message) => message.length))
    assert.deepEqual(await stream.ended, { ok: true })
    assert.equal(stream.isOpen, false)
    assert.equal(await stream.send(Buffer.from('c')), false)
  })

  it('give the status of a refused stream as a value', async () => {
    talk = async (stream) => stream.fail(status.FAILED_PRECONDITION, 'wrong version')
    const stream = open(client)
    assert.deepEqual(await collect(stream.messages()), [])
    assert.deepEqual(await stream.ended, { ok: false, code: status.FAILED_PRECONDITION, message: 'wrong version' })
  })

  it('tell the server when the client goes away', async () => {
    const { promise, resolve } = Promise.withResolvers<StreamEnd>()
    talk = async (stream) => {
      for await (const message of stream.messages()) await stream.send(message)
      resolve(await stream.ended)
    }
    const stream = open(client)
    await stream.send(Buffer.from('x'))
    for await (const message of stream.messages()) {
      assert.equal(message.toString(), 'x')
      stream.cancel()
    }
    const end = await promise
    assert.equal(end.ok, false)
    assert.equal((await stream.ended).ok, false)
  })

  it('make a sender wait for a reader that does not read, and let it go when the stream ends', async () => {
    let sent = 0
    const { promise: blocked, resolve: isBlocked } = Promise.withResolvers<void>()
    const { promise: finished, resolve: finish } = Promise.withResolvers<boolean>()
    talk = async (stream) => {
      const chunk = Buffer.alloc(1 << 20)
      let open = true
      while (open) {
        const sending = stream.sendThrough(chunk)
        const first = await Promise.race([sending, new Promise<'slow'>((resolve) => setTimeout(resolve, 200, 'slow'))])
        if (first === 'slow') isBlocked()
        open = await sending
        if (open) sent += 1
      }
      finish(open)
    }
    const stream = open(client)
    await blocked
    assert.ok(sent < 32, `${sent} MiB went into a stream that nobody reads`)
    stream.cancel()
    assert.equal(await finished, false)
    for await (const _ of stream.messages());
  })

  it('keep nothing of what has been sent', async () => {
    setFlagsFromString('--expose-gc')
    const collect = runInNewContext('gc') as () => void
    const { promise: done, resolve } = Promise.withResolvers<void>()
    let hold: ServerDuplex<Buffer, Buffer> | undefined
    talk = async (stream) => {
      hold = stream
      for (let count = 0; count < 100; count++) await stream.sendThrough(Buffer.alloc(1 << 20))
      for (let count = 0; count < 100; count++) await stream.send(Buffer.alloc(1 << 20))
      resolve()
    }
    const stream = open(client)
    let received = 0
    for await (const message of stream.messages()) {
      received += message.length
      if (received === 200 << 20) break
    }
    await done
    assert.equal(hold?.isOpen, true)
    // V8 gives buffers back on another thread, some time after it has found that nobody holds them.
    let left = Infinity
    for (let tries = 0; left >= 50 && tries < 100; tries++) {
      await new Promise((next) => { setTimeout(next, 20) })
      collect()
      left = process.memoryUsage().arrayBuffers / (1 << 20)
    }
    assert.ok(left < 50, `${left.toFixed(0)} MiB of 200 are still there`)
    stream.cancel()
  })

  it('see a server that dies as a lost stream', async () => {
    const stream = open(client)
    await stream.send(Buffer.from('x'))
    const messages = stream.messages()
    assert.equal((await messages.next()).done, false)
    await server.stop(0)
    assert.equal((await messages.next()).done, true)
    assert.equal((await stream.ended).ok, false)
  })
})

describe('keepConnected()', () => {
  it('backs off after failures, starts over after success, and stops on the signal', async () => {
    const clock = new SimulatedClock()
    const abort = new AbortController()
    const backoff = new Backoff({ baseMs: 100, capMs: 1000, clock, random: () => 0.5 })
    const delays: number[] = []
    let sessions = 0
    await keepConnected(async (established) => {
      sessions += 1
      if (sessions === 3) established()
      if (sessions === 5) abort.abort()
      return { ok: false, code: status.UNAVAILABLE, message: 'gone' }
    }, {
      backoff,
      signal: abort.signal,
      onLost: (end, delay) => {
        assert.equal(end.ok, false)
        delays.push(delay)
        queueMicrotask(() => clock.advance(delay))
      },
    })
    assert.equal(sessions, 5)
    assert.deepEqual(delays, [50, 100, 50, 100])
  })
})

describe('keepStreaming()', () => {
  /** A stream that ends when it is cancelled. */
  function connection(log: string[]) {
    const { promise: ended, resolve } = Promise.withResolvers<StreamEnd>()
    const cancel = (): void => {
      log.push('cancelled')
      resolve({ ok: false, code: status.CANCELLED, message: 'cancelled' })
    }
    return { stream: { ended, cancel, lose: () => resolve({ ok: false, code: status.UNAVAILABLE, message: 'gone' }) }, close: () => { log.push('closed') } }
  }
  const options = (abort: AbortController) => {
    const clock = new SimulatedClock()
    return { signal: abort.signal, backoff: new Backoff({ baseMs: 100, capMs: 1000, clock, random: () => 0.5 }), onLost: (_: StreamEnd, delay: number) => queueMicrotask(() => clock.advance(delay)) }
  }

  it('opens a connection for each stream, closes each, and cancels the one that is open when the signal aborts', async () => {
    const log: string[] = []
    const abort = new AbortController()
    let sessions = 0
    await keepStreaming(async () => connection(log), async (stream, established) => {
      established()
      log.push(`session ${++sessions}`)
      if (sessions < 3) stream.lose()
      else queueMicrotask(() => abort.abort())
      await stream.ended
    }, options(abort))
    assert.deepEqual(log, ['session 1', 'closed', 'session 2', 'closed', 'session 3', 'cancelled', 'closed'])
  })

  it('waits for a connection, and starts over at once where the next one is ready', async () => {
    const log: string[] = []
    const abort = new AbortController()
    const waits: number[] = []
    let isReady = false
    let connected = 0
    const wait = { ...options(abort), isNextReady: () => isReady }
    await keepStreaming(async () => (++connected === 1 ? undefined : connection(log)), async (stream) => {
      isReady = connected === 2
      if (connected === 3) abort.abort()
      stream.lose()
      await stream.ended
    }, { ...wait, onLost: (end, delay) => {
      waits.push(delay)
      wait.onLost(end, delay)
    } })
    assert.deepEqual([connected, waits.length], [3, 1], 'a wait after the connection that there was not, none after the one that was left')
  })

  it('closes the connection of a session that throws, and hands the error on', async () => {
    const log: string[] = []
    await assert.rejects(keepStreaming(async () => connection(log), () => Promise.reject(new Error('a defect')), options(new AbortController())), /a defect/)
    assert.deepEqual(log, ['closed'])
  })
})
