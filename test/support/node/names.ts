// SPDX-License-Identifier: Apache-2.0
// The names of a cluster's Services, for the pods of a node: what CoreDNS does there, as far as our pods ask. A headless Service is all of its pods that
// are ready, any other its own address.

import { createSocket, type Socket } from 'node:dgram'
import type { KubeClient } from '../cluster.ts'

const SERVICE = /^(?<name>[a-z0-9-]+)\.(?<namespace>[a-z0-9-]+)\.svc\.cluster\.local$/
const TYPE_A = 1
const NO_SUCH_NAME = 3
const ANSWER = 0x8000
const SECONDS = 5

interface Question {
  readonly name: string
  readonly type: number
  /** Where it ends in the message. */
  readonly end: number
}

/** Serves DNS on a free UDP port of the loopback. */
export async function serveNames(client: KubeClient): Promise<{ readonly port: number; close(): void }> {
  const socket = createSocket('udp4')
  socket.on('message', (message, { port, address }) => void answer(client, message).then((reply) => {
    // One that comes after close() has nobody to wait for it.
    if (reply) send(socket, reply, port, address)
  }))
  await new Promise<void>((resolve, reject) => socket.once('error', reject).bind(0, '127.0.0.1', resolve))
  return { port: socket.address().port, close: () => socket.close() }
}

function send(socket: Socket, reply: Buffer, port: number, address: string): void {
  try {
    socket.send(reply, port, address)
  } catch {
    // Closed.
  }
}

async function answer(client: KubeClient, message: Buffer): Promise<Buffer | undefined> {
  const question = readQuestion(message)
  if (!question) return undefined
  const addresses = await addressesOf(client, question.name).catch(() => undefined)
  const records = question.type === TYPE_A ? (addresses ?? []) : []
  const header = Buffer.from(message.subarray(0, 12))
  header.writeUInt16BE(ANSWER | (message.readUInt16BE(2) & 0x0100) | 0x0080 | (addresses === undefined ? NO_SUCH_NAME : 0), 2)
  header.writeUInt16BE(1, 4)
  header.writeUInt16BE(records.length, 6)
  header.writeUInt32BE(0, 8)
  return Buffer.concat([header, message.subarray(12, question.end), ...records.map(record)])
}

/** The first question of a message; names in questions are not compressed. */
function readQuestion(message: Buffer): Question | undefined {
  const labels: string[] = []
  let at = 12
  for (let length = message[at]; length !== undefined && length > 0; length = message[at]) {
    labels.push(message.toString('latin1', at + 1, at + 1 + length).toLowerCase())
    at += 1 + length
  }
  return at + 5 > message.length ? undefined : { name: labels.join('.'), type: message.readUInt16BE(at + 1), end: at + 5 }
}

function record(address: string): Buffer {
  const bytes = Buffer.alloc(16)
  // A pointer to the question's name, type A, class IN.
  bytes.writeUInt16BE(0xc00c, 0)
  bytes.writeUInt16BE(TYPE_A, 2)
  bytes.writeUInt16BE(1, 4)
  bytes.writeUInt32BE(SECONDS, 6)
  bytes.writeUInt16BE(4, 10)
  for (const [index, part] of address.split('.').entries()) bytes[12 + index] = Number(part)
  return bytes
}

/** Undefined: there is no such Service. */
async function addressesOf(client: KubeClient, name: string): Promise<readonly string[] | undefined> {
  const found = SERVICE.exec(name)?.groups
  if (!found) return undefined
  const service = await client.find(`/api/v1/namespaces/${found['namespace']}/services/${found['name']}`)
  const address = (service?.['spec'] as { clusterIP?: string } | undefined)?.clusterIP
  if (address === undefined) return undefined
  if (address !== 'None') return [address]
  const slices = await client.get(`/apis/discovery.k8s.io/v1/namespaces/${found['namespace']}/endpointslices?labelSelector=kubernetes.io/service-name=${found['name']}`)
  const endpoints = (slices['items'] as { endpoints?: { addresses: string[]; conditions: { ready?: boolean } }[] }[]).flatMap((slice) => slice.endpoints ?? [])
  return endpoints.filter(({ conditions }) => conditions.ready !== false).flatMap(({ addresses }) => addresses)
}
