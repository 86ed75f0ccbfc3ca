// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { createServer } from 'node:net'
import { test } from 'node:test'
import { LogService } from '../proto/load.ts'
import { serve } from '../runtime/grpc.ts'
import { isHealthy } from './health.ts'

/** What a busy machine takes says nothing of whether there is an answer. */
const NO_HURRY_MS = 600_000

type Reply = (error: null, value: { readonly Retval: number }) => void

async function withServer(retval: (nonce: number) => number, body: (address: string) => Promise<void>): Promise<void> {
  const implementation = { HealthCheck: (call: { readonly request: { readonly nonce: number } }, reply: Reply) => reply(null, { Retval: retval(call.request.nonce) }) }
  const server = await serve({ address: '127.0.0.1:0', services: [{ definition: LogService.service, implementation }] })
  await body(server.address)
  await server.stop(0)
}

test('a gRPC server that echoes the nonce is healthy', async () => {
  await withServer((nonce) => nonce, async (address) => {
    assert.equal(await isHealthy(address, NO_HURRY_MS), true)
    assert.equal(await isHealthy(`0.0.0.0:${address.split(':')[1]}`, NO_HURRY_MS), true)
  })
})

test('a server that does not answer is not, after its time', async () => {
  const other = createServer((socket) => socket.on('error', () => {}).resume())
  await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve))
  const { port } = other.address() as { port: number }
  assert.equal(await isHealthy(`127.0.0.1:${port}`, 20), false)
  await new Promise((resolve) => other.close(resolve))
})

test('a wrong echo, a closed port, something else on the port and a malformed address are not', async () => {
  await withServer((nonce) => nonce + 1, async (address) => assert.equal(await isHealthy(address, NO_HURRY_MS), false))
  const other = createServer((socket) => {
    socket.on('error', () => {}).resume()
    socket.end('220 mail.example.org\r\n')
  })
  await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve))
  const { port } = other.address() as { port: number }
  assert.equal(await isHealthy(`127.0.0.1:${port}`, NO_HURRY_MS), false)
  await new Promise((resolve) => other.close(resolve))
  assert.equal(await isHealthy(`127.0.0.1:${port}`), false)
  assert.equal(await isHealthy('nowhere'), false)
})
