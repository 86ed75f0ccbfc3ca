// SPDX-License-Identifier: Apache-2.0
// One agent for each pin directory: two would swap each other's tables and bind each other's containers.
import { createHash } from 'node:crypto'
import type { Server } from 'node:net'
import { takeName } from '../runtime/single.ts'
import type { AgentProblem } from './errors.ts'

/** Claims a pin directory for this process; undefined: another one has it. Between pods of a node, Kubernetes sees to it that there is one. */
export function claimPins(pinDirectory: string): Promise<Server | undefined> {
  const name = createHash('sha256').update(pinDirectory).digest('hex').slice(0, 32)
  return takeName(`merlon-agent-${name}`)
}

export function alreadyRuns(pinDirectory: string): AgentProblem {
  return { code: 'MERLON_AGENT_ALREADY_RUNS', message: `An agent runs here that holds ${pinDirectory}` }
}
