// SPDX-License-Identifier: Apache-2.0
// What only one process of a machine may be at a time.
import { createServer, type Server } from 'node:net'

/**
 * Takes a name for this process, until it closes what it gets or ends; undefined: another one has it. The name is one among the abstract Unix sockets,
 * which the kernel gives back when the process ends, however it does. It is seen in one network namespace.
 */
export function takeName(name: string): Promise<Server | undefined> {
  const server = createServer((socket) => socket.destroy())
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => (error.code === 'EADDRINUSE' ? resolve(undefined) : reject(error)))
    server.listen(`\0${name}`, () => resolve(server.unref()))
  })
}
