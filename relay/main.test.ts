// SPDX-License-Identifier: Apache-2.0
// The relay as a process.
import assert from 'node:assert/strict'
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { after, describe, it, type TestContext } from 'node:test'
import { connect, Pusher, Watcher } from './testing.ts'

const directory = mkdtempSync(join(tmpdir(), 'merlon-relay-main-'))

class Program {
  readonly child: ChildProcess
  readonly log: Record<string, unknown>[] = []
  readonly ended: Promise<number | null>
  stdout = ''
  stderr = ''
  #changed = Promise.withResolvers<void>()

  constructor(context: TestContext, ...args: readonly string[]) {
    this.child = spawn(process.execPath, [join(import.meta.dirname, 'main.ts'), ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
    context.after(() => this.child.kill('SIGKILL'))
    this.child.stdout?.on('data', (text: Buffer) => { this.stdout += text.toString() })
    createInterface({ input: this.child.stderr! }).on('line', (line) => {
      this.stderr += `${line}\n`
      if (line.startsWith('{')) this.log.push(JSON.parse(line) as Record<string, unknown>)
      this.#changed.resolve()
      this.#changed = Promise.withResolvers()
    })
    this.ended = once(this.child, 'close').then(([code]) => code as number | null)
  }

  async said(message: string): Promise<Record<string, unknown>> {
    for (;;) {
      const found = this.log.find((record) => record['message'] === message)
      if (found) return found
      await Promise.race([this.#changed.promise, this.ended.then((code) => assert.fail(`ended with ${code}: ${this.stderr}`))])
    }
  }
}

describe('the relay as a program', { timeout: 600_000 }, () => {
  after(() => rmSync(directory, { recursive: true }))

  it('says how it is used, and refuses what it cannot use', async (context) => {
    const help = new Program(context, '--help')
    assert.equal(await help.ended, 0)
    assert.match(help.stdout, /^Usage: /)
    const wrong: readonly (readonly [string[], RegExp])[] = [
      [['--no-such-option'], /no-such-option/],
      [['--queue', '0'], /--queue "0": a positive whole number/],
      [['--log-level', 'loud'], /--log-level "loud"/],
      [['--ca-file', '/x'], /--ca-file and --operator are needed, both/],
      [['--feeder-tls'], /--feeder-tls without/],
      [['--agents', '0.0.0.0:1'], /plaintext/],
      [['--agents', 'unix:relative'], /absolute path/],
    ]
    for (const [args, expected] of wrong) {
      const program = new Program(context, ...args)
      assert.equal(await program.ended, 2, args.join(' '))
      assert.match(program.stderr, expected)
    }
  })

  it('says what stands in its way where an address is taken', async (context) => {
    const other = createServer().listen(0, '127.0.0.1')
    await once(other, 'listening')
    const { port } = other.address() as { port: number }
    const taken = new Program(context, '--listen', `127.0.0.1:${port}`, '--agents', `unix:${directory}/taken.sock`)
    assert.equal(await taken.ended, 2)
    assert.match(taken.stderr, new RegExp(`Cannot listen on 127.0.0.1:${port}: another process listens there`))
    const health = new Program(context, '--listen', '127.0.0.1:0', '--agents', `unix:${directory}/taken.sock`, '--http', `127.0.0.1:${port}`)
    assert.notEqual(await health.ended, 0)
    assert.match(health.stderr, /EADDRINUSE|another process/)
    other.close()
  })

  it('serves, changes its level at run time, and ends when asked, whoever is connected', async (context) => {
    const relay = new Program(context, '--listen', '127.0.0.1:0', '--agents', `unix:${directory}/relay.sock`, '--http', '127.0.0.1:0')
    const { clients } = await relay.said('Listening') as { clients: string[] }
    const { address } = await relay.said('Serving health') as { address: string }
    const http = async (path: string, init?: RequestInit): Promise<string> => (await fetch(`http://${address}${path}`, init)).text()
    assert.equal(await http('/readyz'), '[+] streams\nready\n')
    const client = connect(clients[0] as string)
    const watcher = new Watcher(client, 'messages', '')
    while (!/^merlon_relay_subscribers 1$/m.test(await http('/metrics')));
    const agent = connect(`unix:${directory}/relay.sock`)
    const pusher = new Pusher(agent)
    await pusher.push({})
    await watcher.message('node-1')
    assert.match(await http('/metrics'), /^merlon_relay_nodes\{state="present"\} 1$/m)
    assert.equal(await http('/loglevel', { method: 'PUT', body: 'debug' }), 'debug\n')
    assert.equal(await http('/loglevel'), 'debug\n')
    // A second one does not take the first one's socket away.
    const second = new Program(context, '--listen', '127.0.0.1:0', '--agents', `unix:${directory}/relay.sock`)
    assert.equal(await second.ended, 2)
    assert.match(second.stderr, /another process (serves|listens)/)
    await pusher.push({})
    relay.child.kill('SIGTERM')
    assert.equal(await relay.ended, 0)
    assert.equal(await watcher.ended, 0)
    client.close()
    agent.close()
  })
})
