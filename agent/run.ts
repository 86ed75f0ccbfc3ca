// SPDX-License-Identifier: Apache-2.0
// The agent with everything that it needs of this machine.
import { createHash } from 'node:crypto'
import { verifyTable } from '../policy/verify.ts'
import { systemClock } from '../runtime/clock.ts'
import { EXIT_FAILED, type Life } from '../runtime/lifecycle.ts'
import type { Logger } from '../runtime/log.ts'
import { Agent } from './agent.ts'
import { cannotEnforce, findFooting } from './check.ts'
import { makeConnections } from './connections.ts'
import { letGo } from './detach.ts'
import { describe } from './errors.ts'
import { openKernel } from './kernel.ts'
import type { AgentOptions } from './options.ts'
import { compileProbe } from './probe-table.ts'

const sha256 = (bytes: Uint8Array): Uint8Array => createHash('sha256').update(bytes).digest()

/** Starts the agent; it lives until `life` ends. Returns an exit status where it cannot start. */
export async function run(options: AgentOptions, { life, logger }: { readonly life: Life; readonly logger: Logger }): Promise<number | void> {
  const footing = findFooting(options)
  if (!footing.ok) {
    abandon(options, logger)
    return cannotEnforce(footing.problems)
  }
  const { native, object, cgroupRoot, hostMountNamespace, abilities } = footing.value
  const kernel = openKernel({ native, object, pinDirectory: options.pinDirectory, hostMountNamespace })
  if (!kernel.ok) {
    abandon(options, logger)
    if (kernel.problem.code === 'MERLON_AGENT_NOT_PERMITTED') return cannotEnforce([kernel.problem])
    process.stderr.write(`${describe(kernel.problem)}\n`)
    return EXIT_FAILED
  }
  const connections = await makeConnections(options, { clock: systemClock, logger })
  const agent = new Agent({
    options, native, kernel: kernel.value, cgroupRoot, abilities, clock: systemClock, logger, verify: (bytes) => verifyTable(bytes, { sha256 }), compileProbe,
    ...connections,
  })
  life.onShutdown('agent', () => agent.stop())
  await agent.start()
  void connections.enroller?.run(life.signal, () => agent.renewed())
}

/** What an earlier agent holds must not wait for one that cannot start, unless unknown containers are to wait. */
function abandon({ unbound, pinDirectory }: AgentOptions, logger: Logger): void {
  if (unbound === 'block') return
  const { released, problem } = letGo(pinDirectory)
  if (released > 0) logger.warn('Released containers that an earlier agent held: they run without a profile', { count: released })
  if (problem !== undefined) logger.warn(problem)
}
