// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { spawnSync } from 'node:child_process'
import { checkTransport, clearSocket, formatAddress, isLocal, parseAddress, protectSocket } from './address.ts'

describe('parseAddress()', () => {
  it('reads sockets and host:port, and formatAddress() writes them', () => {
    for (const [text, formatted] of [['unix:/run/x.sock', 'unix:/run/x.sock'], ['unix:///run/x.sock', 'unix:/run/x.sock'], ['127.0.0.1:80', '127.0.0.1:80'], ['[::1]:0', '[::1]:0'], ['name:32767', 'name:32767']] as const) {
      const parsed = parseAddress(text)
      assert.ok(parsed.ok, text)
      assert.equal(formatAddress(parsed.value), formatted)
    }
  })

  it('refuses what is neither, with a reason', () => {
    for (const text of ['', 'unix:', 'unix:run/x', 'host', 'host:', 'host:70000', ':80', 'a:b:1', `unix:/${'x'.repeat(107)}`]) {
      const parsed = parseAddress(text)
      assert.equal(parsed.ok, false, text)
      if (!parsed.ok) assert.ok(parsed.message.startsWith(`Cannot use address "${text}": `))
    }
  })
})

describe('isLocal()', () => {
  it('is true of sockets and loopback, and of nothing that others can reach', () => {
    const locals = ['unix:/x', '127.0.0.1:1', '127.9.9.9:1', '[::1]:1', 'localhost:1', '0.0.0.0:1', '[::]:1', '10.0.0.1:1', '127.0.0.1.example:1', '[::ffff:10.0.0.1]:1'].filter((text) => {
      const parsed = parseAddress(text)
      assert.ok(parsed.ok, text)
      return isLocal(parsed.value)
    })
    assert.deepEqual(locals, ['unix:/x', '127.0.0.1:1', '127.9.9.9:1', '[::1]:1', 'localhost:1'])
  })
})

describe('checkTransport()', () => {
  it('lets plaintext leave the machine only where that is asked for', () => {
    assert.equal(checkTransport(['unix:/x,127.0.0.1:1', '[::1]:2'], false, false), undefined)
    assert.match(checkTransport(['127.0.0.1:1', 'unix:/x, operator:1'], false, false) ?? '', /"operator:1" without TLS/)
    for (const [secure, plaintext] of [[true, false], [false, true]] as const) assert.equal(checkTransport(['operator:1,0.0.0.0:2'], secure, plaintext), undefined)
    assert.match(checkTransport(['a:1,,b:2'], true, true) ?? '', /Cannot use address ""/)
  })
})

describe('sockets', () => {
  let directory = ''
  beforeEach(() => { directory = mkdtempSync(join(tmpdir(), 'merlon-')) })
  afterEach(() => rmSync(directory, { recursive: true }))

  it('makes a private directory where there is none', async () => {
    await clearSocket(join(directory, 'new/x.sock'))
    assert.equal(statSync(join(directory, 'new')).mode & 0o777, 0o700)
  })

  it('removes a socket that a dead process left, not one that is served', async () => {
    const path = join(directory, 'x.sock')
    spawnSync(process.execPath, ['-e', `require('net').createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 'SIGKILL'))`])
    assert.equal(statSync(path).isSocket(), true)
    await clearSocket(path)
    assert.equal(existsSync(path), false)
    const server = createServer().listen(path)
    await once(server, 'listening')
    await protectSocket(path)
    assert.equal(statSync(path).mode & 0o777, 0o600)
    await assert.rejects(clearSocket(path), /another process serves it/)
    server.close()
    await once(server, 'close')
  })

  it('leaves other files alone', async () => {
    const path = join(directory, 'data')
    writeFileSync(path, 'keep')
    await assert.rejects(clearSocket(path), /is not a socket/)
    assert.equal(existsSync(path), true)
  })
})
