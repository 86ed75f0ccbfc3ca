// SPDX-License-Identifier: Apache-2.0
// One agent for each pin directory: two would swap each other's tables and bind each other's containers.
import { resolve } from 'node:path'
import { takeSeat, type Seat } from '../runtime/single.ts'
import type { AgentProblem } from './errors.ts'
import { isBpffs } from './preflight.ts'

/** Claims a pin directory for this process; undefined: another one has it. The claim lies beside it, in the same bpffs; elsewhere nobody has anything to claim. */
export async function claimPins(pinDirectory: string, isPlace: (path: string) => boolean = isBpffs): Promise<Seat | undefined> {
  const path = resolve(pinDirectory)
  return isPlace(path) ? takeSeat(`${path}-agents`) : { close: () => {} }
}

export function alreadyRuns(pinDirectory: string): AgentProblem {
  return { code: 'MERLON_AGENT_ALREADY_RUNS', message: `An agent runs here that holds ${pinDirectory}` }
}
