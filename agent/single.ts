// SPDX-License-Identifier: Apache-2.0
// One agent for each pin directory: two would swap each other's tables and bind each other's containers.
import { createHash } from 'node:crypto'
import { createServer, type Server } from 'node:net'
import type { AgentProblem } from './errors.ts'

/**
 * Claims a pin directory for this process; undefined: another one has it. The claim is a name among the abstract Unix sockets, which the kernel
 * gives back when the process ends, however it does. It is seen in one network namespace: between pods of a node, Kubernetes sees to it that
 * there is one.
 */
export function claimPins(pinDirectory: string): Promise<Server | undefined> {
  const name = createHash('sha256').update(pinDirectory).digest('hex').slice(0, 32)
  const server = createServer((socket) => socket.destroy())
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => (error.code === 'EADDRINUSE' ? resolve(undefined) : reject(error)))
    server.listen(`\0merlon-agent-${name}`, () => resolve(server.unref()))
  })
}

export function alreadyRuns(pinDirectory: string): AgentProblem {
  return { code: 'MERLON_AGENT_ALREADY_RUNS', message: `An agent runs here that holds ${pinDirectory}` }
}
