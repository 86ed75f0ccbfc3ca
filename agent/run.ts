// SPDX-License-Identifier: Apache-2.0
// The agent with everything that it needs of this machine.
import { createHash } from 'node:crypto'
import { verifyTable } from '../policy/verify.ts'
import { EventSink, NodeSync } from '../proto/load.ts'
import { systemClock } from '../runtime/clock.ts'
import { openClient } from '../runtime/grpc.ts'
import { EXIT_FAILED, type Life } from '../runtime/lifecycle.ts'
import type { Logger } from '../runtime/log.ts'
import { clientDuplex } from '../runtime/stream.ts'
import { Agent } from './agent.ts'
import { cannotEnforce, findFooting } from './check.ts'
import { describe } from './errors.ts'
import { openKernel } from './kernel.ts'
import type { AgentOptions } from './options.ts'
import { compileProbe } from './probe-table.ts'

const sha256 = (bytes: Uint8Array): Uint8Array => createHash('sha256').update(bytes).digest()

/** Starts the agent; it lives until `life` ends. Returns an exit status where it cannot start. */
export async function run(options: AgentOptions, { life, logger }: { readonly life: Life; readonly logger: Logger }): Promise<number | void> {
  const footing = findFooting(options)
  if (!footing.ok) return cannotEnforce(footing.problems)
  const { native, object, cgroupRoot, hostMountNamespace, abilities } = footing.value
  const kernel = openKernel({ native, object, pinDirectory: options.pinDirectory, hostMountNamespace })
  if (!kernel.ok) {
    if (kernel.problem.code === 'MERLON_AGENT_NOT_PERMITTED') return cannotEnforce([kernel.problem])
    process.stderr.write(`${describe(kernel.problem)}\n`)
    return EXIT_FAILED
  }
  const agent = new Agent({
    options, native, kernel: kernel.value, cgroupRoot, abilities, clock: systemClock, logger, verify: (bytes) => verifyTable(bytes, { sha256 }), compileProbe,
    connectOperator: () => {
      const client = openClient(NodeSync, options.operator)
      return { stream: clientDuplex(client.Sync()), close: () => client.close() }
    },
    connectRelay: () => {
      const client = openClient(EventSink, options.relay)
      return { stream: clientDuplex(client.Push()), close: () => client.close() }
    },
  })
  life.onShutdown('agent', () => agent.stop())
  await agent.start()
}
