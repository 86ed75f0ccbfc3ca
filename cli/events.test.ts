// SPDX-License-Identifier: Apache-2.0
// merlon events as a process, against a server that speaks LogService.
import assert from 'node:assert/strict'
import { spawn, type ChildProcess } from 'node:child_process'
import { generateKeyPairSync } from 'node:crypto'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { test, type TestContext } from 'node:test'
import type { ServerCredentials, ServerWritableStream } from '@grpc/grpc-js'
import { encodeAlert, encodeFeederMessage, encodeLog, logServiceOfBytes } from '../proto/load.ts'
import { Authority, renewAuthorities } from '../runtime/authority.ts'
import { serve, type RunningServer } from '../runtime/grpc.ts'
import { Credentials } from '../runtime/tls.ts'
import { reservePorts } from '../test/support/ports.ts'

type Stream = ServerWritableStream<{ readonly Filter: string }, Buffer>

const ALERT = { Timestamp: 1, UpdatedTime: '2026-11-22T06:41:03.000000Z', NamespaceName: 'demo', PodName: 'web-0', ContainerName: 'web', ProcessName: '/bin/cat', Operation: 'File', Resource: '/etc/passwd', Action: 'Block', PolicyName: 'p' }

class FakeRelay {
  readonly streams: Record<'alerts' | 'logs' | 'messages', Stream[]> = { alerts: [], logs: [], messages: [] }
  readonly server: RunningServer

  static async start(address = '127.0.0.1:0', credentials?: ServerCredentials): Promise<FakeRelay> {
    const streams: FakeRelay['streams'] = { alerts: [], logs: [], messages: [] }
    const server = await serve({
      address,
      ...(credentials ? { credentials } : {}),
      services: [{
        definition: logServiceOfBytes,
        implementation: {
          HealthCheck: (call: { request: { nonce: number } }, reply: (error: null, value: object) => void) => reply(null, { Retval: call.request.nonce }),
          WatchAlerts: (stream: Stream) => void streams.alerts.push(stream),
          WatchLogs: (stream: Stream) => void streams.logs.push(stream),
          WatchMessages: (stream: Stream) => void streams.messages.push(stream),
        },
      }],
    })
    return new FakeRelay(server, streams)
  }

  constructor(server: RunningServer, streams: FakeRelay['streams']) {
    this.server = server
    this.streams = streams
  }

  alert(fields: object): void {
    for (const stream of this.streams.alerts) stream.write(encodeAlert({ ...ALERT, ...fields }))
  }

  async stop(): Promise<void> {
    for (const stream of Object.values(this.streams).flat()) stream.end()
    await this.server.stop(0)
  }
}

class Following {
  readonly child: ChildProcess
  readonly stdout: string[] = []
  readonly stderr: string[] = []
  readonly ended: Promise<number | null>
  #changed = Promise.withResolvers<void>()

  constructor(context: TestContext, address: string, ...args: readonly string[]) {
    this.child = spawn(process.execPath, [new URL('main.ts', import.meta.url).pathname, 'events', '--address', address, ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
    context.after(() => this.child.kill('SIGKILL'))
    for (const [stream, lines] of [[this.child.stdout, this.stdout], [this.child.stderr, this.stderr]] as const) {
      if (stream === null) continue
      createInterface({ input: stream }).on('line', (line) => {
        lines.push(line)
        this.#changed.resolve()
        this.#changed = Promise.withResolvers()
      })
    }
    this.ended = once(this.child, 'close').then(([code]) => code as number | null)
  }

  async until(isReached: () => boolean): Promise<void> {
    while (!isReached()) await Promise.race([this.#changed.promise, this.ended.then((code) => assert.fail(`ended with ${code}: ${this.stderr.join('\n')}`))])
  }

  connected(times = 1): Promise<void> {
    return this.until(() => this.stderr.filter((line) => line.startsWith('-- Connected')).length >= times)
  }
}

async function relayFor(context: TestContext): Promise<FakeRelay> {
  const relay = await FakeRelay.start()
  context.after(() => relay.stop())
  return relay
}

test('alerts come as lines, only those that are wanted, until the limit', async (context) => {
  const relay = await relayFor(context)
  const events = new Following(context, relay.server.address, '-n', 'demo', '--limit', '2')
  await events.connected()
  assert.equal(relay.streams.alerts[0]?.request.Filter, 'policy')
  assert.equal(relay.streams.logs.length, 0)
  relay.alert({})
  relay.alert({ NamespaceName: 'other' })
  relay.alert({ Resource: '/etc/\u001b[31m', Action: 'Audit' })
  relay.alert({ Resource: '/beyond/the/limit' })
  assert.equal(await events.ended, 0)
  assert.deepEqual(events.stdout, [
    'BLOCK 06:41:03 demo/web-0/web /bin/cat file /etc/passwd by p',
    'AUDIT 06:41:03 demo/web-0/web /bin/cat file "/etc/\\e[31m" by p',
  ])
})

test('JSON lines, logs as well, messages on stderr', async (context) => {
  const relay = await relayFor(context)
  const events = new Following(context, relay.server.address, '--filter', 'all', '-o', 'json')
  await events.connected()
  assert.deepEqual([relay.streams.alerts[0]?.request.Filter, relay.streams.logs[0]?.request.Filter], ['all', 'all'])
  relay.alert({ UID: 0 })
  relay.streams.logs[0]?.write(encodeLog({ Operation: 'Process', Resource: '/bin/ls' }))
  relay.streams.messages[0]?.write(encodeFeederMessage({ Level: 'WARN', Message: 'Lost 3 alerts\u0007' }))
  await events.until(() => events.stdout.length === 2 && events.stderr.length === 2)
  const [first, second] = events.stdout.map((line) => JSON.parse(line) as Record<string, unknown>).toSorted((a, b) => Number(b['Timestamp']) - Number(a['Timestamp']))
  assert.deepEqual(first, { ...ALERT, UID: 0, PPID: 0 })
  assert.deepEqual(second, { Timestamp: 0, UID: 0, PPID: 0, Operation: 'Process', Resource: '/bin/ls' })
  assert.equal(events.stderr[1], '-- WARN: Lost 3 alerts\\x07')
  events.child.kill('SIGINT')
  assert.equal(await events.ended, 0)
})

test('a relay that goes away is waited for, and followed again', async (context) => {
  // Its own also while nobody listens there.
  const [port = 0] = await reservePorts(1)
  const first = await FakeRelay.start(`127.0.0.1:${port}`)
  const events = new Following(context, first.server.address, '--limit', '1')
  await events.connected()
  await first.stop()
  await events.until(() => events.stderr.some((line) => line.startsWith(`-- No connection to ${first.server.address} (`)))
  const second = await FakeRelay.start(first.server.address)
  context.after(() => second.stop())
  await events.connected(2)
  second.alert({})
  assert.equal(await events.ended, 0)
  assert.equal(events.stdout.length, 1)
})

test('a reader that goes away ends it quietly', async (context) => {
  const relay = await relayFor(context)
  const events = new Following(context, relay.server.address)
  await events.connected()
  events.child.stdout?.destroy()
  relay.alert({})
  relay.alert({})
  assert.equal(await events.ended, 0)
  // On a busy machine a first attempt to connect may have taken too long.
  assert.deepEqual(events.stderr.filter((line) => !line.startsWith('-- No connection')), [`-- Connected to ${relay.server.address}`])
})

test('what cannot be used is said, and nothing is tried', async (context) => {
  const wrong = [
    [['nowhere'], /Cannot use address "nowhere"/], [['127.0.0.1:99999'], /Cannot use address/], [['127.0.0.1:1', '-l', 'app'], /--label "app": it is KEY=VALUE/],
    [['127.0.0.1:1', '--operation', 'open'], /--operation "open": use Process, File, Network/],
    [['127.0.0.1:1', '--tls', '/nowhere'], /Cannot use --tls \/nowhere: ENOENT/],
  ] as const
  for (const [[address, ...args], expected] of wrong) {
    const events = new Following(context, address, ...args)
    assert.equal(await events.ended, 2)
    assert.match(events.stderr.join('\n'), expected)
    assert.doesNotMatch(events.stderr.join('\n'), /\n\s+at /, 'no stack')
  }
})

test('by TLS, with the key that KubeArmor\'s clients have too, and only to whom the address names', async (context) => {
  const directory = mkdtempSync(join(tmpdir(), 'merlon-events-'))
  context.after(() => rmSync(directory, { recursive: true }))
  const options = { commonName: 'clients', keyType: 'rsa', lifeMs: 86_400_000, leafMs: 3_600_000 } as const
  const list = renewAuthorities([], options, Date.now())
  const authority = new Authority(list, options)
  writeFileSync(join(directory, 'ca.crt'), authority.trust(Date.now()))
  writeFileSync(join(directory, 'ca.key'), list[0]?.privateKey ?? '')
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const own = authority.issue({ commonName: 'relay', publicKey, addresses: ['127.0.0.1'], use: ['server'] }, Date.now())
  const credentials = new Credentials({ ...own, trust: authority.trust(Date.now()), privateKey: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString() })
  const relay = await FakeRelay.start('127.0.0.1:0', credentials.forServer({ onlyKnown: true }))
  context.after(() => relay.stop())
  const events = new Following(context, relay.server.address, '--tls', directory, '--limit', '1', '-l', 'app=web', '--policy', 'p', '--resource', 'passwd')
  await events.connected()
  for (const fields of [{ Labels: 'app=db' }, { Labels: 'app=web,tier=a', PolicyName: 'q' }, { Labels: 'app=web', Resource: '/etc/hosts' }, { Labels: 'tier=a,app=web' }]) relay.alert(fields)
  assert.equal(await events.ended, 0)
  assert.equal(events.stdout.length, 1)
  const elsewhere = new Following(context, `localhost:${relay.server.port}`, '--tls', directory)
  await elsewhere.until(() => elsewhere.stderr.some((line) => line.startsWith('-- No connection')))
})
