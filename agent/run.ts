// SPDX-License-Identifier: Apache-2.0
// The agent with everything that it needs of this machine.
import { createHash } from 'node:crypto'
import { verifyTable } from '../policy/verify.ts'
import { systemClock } from '../runtime/clock.ts'
import { EXIT_FAILED, type Life } from '../runtime/lifecycle.ts'
import type { Logger } from '../runtime/log.ts'
import { Agent } from './agent.ts'
<<<<<<< HEAD
import { cannotEnforce, findFooting } from './check.ts'
=======
import { makeConnections } from './connections.ts'
import { letGo } from './detach.ts'
>>>>>>> main
import { describe } from './errors.ts'
import { openKernel } from './kernel.ts'
import type { AgentOptions } from './options.ts'
import { compileProbe } from './probe-table.ts'

const sha256 = (bytes: Uint8Array): Uint8Array => createHash('sha256').update(bytes).digest()

/** Starts the agent; it lives until `life` ends. Returns an exit status where it cannot start. */
export async function run(options: AgentOptions, { life, logger }: { readonly life: Life; readonly logger: Logger }): Promise<number | void> {
<<<<<<< HEAD
  const footing = findFooting(options)
  if (!footing.ok) return cannotEnforce(footing.problems)
  const { native, object, cgroupRoot, hostMountNamespace, abilities } = footing.value
  const kernel = openKernel({ native, object, pinDirectory: options.pinDirectory, hostMountNamespace })
=======
  const machine = lookAround(dirname(options.pinDirectory))
  const preflight = judge(machine)
  for (const problem of preflight.problems) process.stderr.write(`${describe(problem)}\n`)
  if (!preflight.canEnforce || machine.cgroupRoot === undefined) {
    process.stderr.write('Nothing can be enforced on this machine. Policies can still be written, checked and explained here.\n')
    abandon(options, logger)
    return EXIT_CANNOT_ENFORCE
  }
  const native = loadBinding()
  // Inode number of the node's own mount namespace: pid 1's, which in a container needs hostPID.
  const hostMountNamespace = statSync('/proc/1/ns/mnt').ino
  const kernel = openKernel({ native, object: readFileSync(options.bpfObject), pinDirectory: options.pinDirectory, hostMountNamespace })
>>>>>>> main
  if (!kernel.ok) {
    if (kernel.problem.code === 'MERLON_AGENT_NOT_PERMITTED') return cannotEnforce([kernel.problem])
    process.stderr.write(`${describe(kernel.problem)}\n`)
    abandon(options, logger)
    return EXIT_FAILED
  }
  const connections = await makeConnections(options, { clock: systemClock, logger })
  const agent = new Agent({
<<<<<<< HEAD
    options, native, kernel: kernel.value, cgroupRoot, abilities, clock: systemClock, logger, verify: (bytes) => verifyTable(bytes, { sha256 }), compileProbe,
    connectOperator: () => {
      const client = openClient(NodeSync, options.operator)
      return { stream: clientDuplex(client.Sync()), close: () => client.close() }
    },
    connectRelay: () => {
      const client = openClient(EventSink, options.relay)
      return { stream: clientDuplex(client.Push()), close: () => client.close() }
    },
=======
    options, native, kernel: kernel.value, cgroupRoot: machine.cgroupRoot, abilities: preflight.abilities, clock: systemClock, logger, verify: (bytes) => verifyTable(bytes, { sha256 }), compileProbe,
    ...connections,
>>>>>>> main
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
