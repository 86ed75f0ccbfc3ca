// SPDX-License-Identifier: Apache-2.0
// How the API server reaches kubelets in guests: through this HTTP proxy (its egress selector), which takes every CONNECT to the guest's forwarded port,
// whatever the node is called.

import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:http'
import { connect, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** Connections to other ports are refused: the API server has no business there. Its socket is in a directory of its own, since paths of sockets are short. */
export async function serveTunnel(kubeletPort: number): Promise<{ readonly path: string; close(): Promise<void> }> {
  const directory = await mkdtemp(join(tmpdir(), 'merlon-tunnel-'))
  const path = join(directory, 'socket')
  const sockets = new Set<Socket>()
  const server = createServer((_, response) => response.writeHead(405).end())
  server.on('connect', (request, socket: Socket, head: Buffer) => {
    sockets.add(socket)
    socket.on('error', () => socket.destroy()).on('close', () => sockets.delete(socket))
    if (request.url?.split(':').at(-1) !== String(kubeletPort)) {
      socket.end('HTTP/1.1 403 Forbidden\r\n\r\n')
      return
    }
    const kubelet = connect(kubeletPort, '127.0.0.1', () => {
      socket.write('HTTP/1.1 200 Connection established\r\n\r\n')
      kubelet.write(head)
      socket.pipe(kubelet).pipe(socket)
    })
    sockets.add(kubelet)
    kubelet.on('error', () => socket.destroy()).on('close', () => {
      sockets.delete(kubelet)
      socket.destroy()
    })
    socket.on('close', () => kubelet.destroy())
  })
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(path, resolve))
  return {
    path,
    close: async () => {
      for (const socket of sockets) socket.destroy()
      server.close()
      await rm(directory, { recursive: true, force: true })
    },
  }
}
