// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { test } from 'node:test'
import { reservePorts } from './ports.ts'

test('nobody gets a port that was reserved here: no process that reserves some, and no connection', async () => {
  const ours = await reservePorts(20)
  assert.equal(new Set(ours).size, 20)
  const [low = 0] = readFileSync('/proc/sys/net/ipv4/ip_local_port_range', 'utf8').split(/\s+/).map(Number)
  assert.ok(ours.every((port) => port < 30_000 && (port < low || low <= 20_100)))
  // Begins where this process has begun, and finds all of that claimed though nobody listens there.
  const code = `Object.defineProperty(process, 'pid', { value: ${process.pid} })
    const { reservePorts } = await import(${JSON.stringify(new URL('./ports.ts', import.meta.url).href)})
    console.log(JSON.stringify(await reservePorts(20)))`
  const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '-e', code], { encoding: 'utf8' })
  const theirs = JSON.parse(stdout || 'null') as number[] | null
  assert.ok(theirs, stderr)
  assert.deepEqual(theirs.filter((port) => ours.includes(port)), [])
})

test('a port that somebody listens on is left out', async () => {
  const [next = 0] = await reservePorts(1)
  const taken = createServer().listen(next + 1, '127.0.0.1')
  // An error: somebody else listens there, which is as good.
  await new Promise((resolve) => taken.once('listening', resolve).once('error', resolve))
  assert.ok(!(await reservePorts(3)).includes(next + 1))
  await new Promise((resolve) => taken.close(resolve))
})
