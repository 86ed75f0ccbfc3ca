// SPDX-License-Identifier: Apache-2.0
// Ports for programs that have to be told theirs before they bind it, or that bind the same one again after they were killed.

import { readFileSync } from 'node:fs'
import { createServer, type Server } from 'node:net'

const LOOPBACK = '127.0.0.1'
/** Below the ports of NodePort Services, which begin at 30000. */
const [FIRST, LAST] = [20_000, 29_999]
/** From the first of them on the kernel takes ports for connections and for whoever listens on port 0: 32768 where nobody has set it. */
const RANGE = '/proc/sys/net/ipv4/ip_local_port_range'

/** Held for as long as this process lives, and given back by the kernel. */
const claims: Server[] = []

/**
 * Ports of the loopback that nobody else gets while this process lives: not from the kernel, since they are not among those that it gives away, nor from
 * here in another process, since each is claimed by a name among the abstract Unix sockets.
 */
export async function reservePorts(count: number): Promise<number[]> {
  const ports: number[] = []
  const last = lastPort()
  // Not from the first one on: of two processes that start at once, each finds most of its ports unclaimed.
  const start = FIRST + ((process.pid * 97) % (last - FIRST))
  for (let tries = 0; ports.length < count; tries++) {
    if (tries > last - FIRST) throw new Error(`MERLON_TEST_PORTS: No free port from ${FIRST} to ${last}`)
    const port = FIRST + ((start - FIRST + tries) % (last - FIRST + 1))
    const claim = await listen({ path: `\0merlon-test-port-${port}` })
    if (claim === undefined) continue
    claims.push(claim.unref())
    const trial = await listen({ port, host: LOOPBACK })
    if (trial === undefined) continue
    await new Promise((resolve) => trial.close(resolve))
    ports.push(port)
  }
  return ports
}

/** Where the kernel gives all of these away as well, none is certain. */
function lastPort(): number {
  const [low = 32_768] = readFileSync(RANGE, 'utf8').split(/\s+/).map(Number)
  return low > FIRST + 100 ? Math.min(LAST, low - 1) : LAST
}

/** Undefined where somebody listens there already. */
function listen(where: { readonly path: string } | { readonly port: number; readonly host: string }): Promise<Server | undefined> {
  const server = createServer()
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => (error.code === 'EADDRINUSE' ? resolve(undefined) : reject(error)))
    server.listen(where, () => resolve(server))
  })
}
