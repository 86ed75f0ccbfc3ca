// SPDX-License-Identifier: Apache-2.0
// One agent for a pin directory: two would write the same maps, take each other's events and let go of each other's tables.
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type Server } from 'node:net'
import { resolve } from 'node:path'
import { codeOf } from './errors.ts'

/** Undefined: another agent has it. A name in the abstract namespace goes with its process, however that ends, and leaves no file. */
export async function claimPins(pinDirectory: string): Promise<Server | undefined> {
  const server = createServer((socket) => socket.destroy())
  const listening = once(server, 'listening')
  server.listen(`\0merlon-agent-${createHash('sha256').update(resolve(pinDirectory)).digest('hex').slice(0, 16)}`)
  try {
    await listening
    server.unref()
    return server
  } catch (error) {
    if (codeOf(error) === 'EADDRINUSE') return undefined
    throw error
  }
}
