// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { createServer, type AddressInfo } from 'node:net'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { scratch } from './testing.ts'

const MERLON = fileURLToPath(new URL('../merlon', import.meta.url))

/** What a shell gets that runs `merlon` as $0. */
function shell(script: string, ...args: readonly string[]): { readonly status: number | null; readonly stderr: string } {
  return spawnSync('bash', ['-c', script, MERLON, ...args], { encoding: 'utf8' })
}

test('a reader that goes away changes no answer: lint of a wrong policy ends with 1, whoever reads it', async (context) => {
  const file = join(await scratch(context), 'a.yaml')
  const rules = Array.from({ length: 2000 }, () => '    - {pth: /a}\n').join('')
  await writeFile(file, `apiVersion: security.kubearmor.com/v1\nkind: KubeArmorPolicy\nmetadata: {name: a}\nspec:\n  file:\n    matchPaths:\n${rules}`)
  // More than a pipe holds, so that the writer meets the end of its reader.
  const { status, stderr } = shell('"$0" lint "$1" | true; exit ${PIPESTATUS[0]}', file)
  assert.deepEqual([status, stderr], [1, ''])
})

test('a reader of what is said about the work that goes away ends nothing; the end of the terminal does, cleanly', async () => {
  let met = Promise.withResolvers<void>()
  const server = createServer((socket) => {
    socket.destroy()
    met.resolve()
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const events = spawn(MERLON, ['events', '--address', `127.0.0.1:${(server.address() as AddressInfo).port}`], { stdio: ['ignore', 'ignore', 'pipe'] })
  const ended = once(events, 'exit')
  await once(events.stderr, 'data')
  events.stderr.destroy()
  // Each comes after one that failed, which was said.
  for (let attempts = 0; attempts < 3; attempts++) {
    met = Promise.withResolvers()
    await Promise.race([met.promise, ended.then((how) => assert.fail(`ended with ${String(how)}`))])
  }
  events.kill('SIGHUP')
  assert.deepEqual(await ended, [0, null])
  server.close()
})

test('a standard output that takes nothing is trouble, in one line', () => {
  const { status, stderr } = shell('exec "$0" lint --help > /dev/full')
  assert.equal(status, 2)
  assert.match(stderr, /^merlon: Cannot write to standard output: ENOSPC.* \(MERLON_CLI_CANNOT_WRITE\)\n$/)
})
