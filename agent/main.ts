// SPDX-License-Identifier: Apache-2.0
// The agent as a program.
import { createHash } from 'node:crypto'
import { readFileSync, statSync } from 'node:fs'
import { hostname } from 'node:os'
import { dirname, join } from 'node:path'
import { loadBinding } from '../native/index.ts'
import { verifyTable } from '../policy/verify.ts'
import { EventSink, NodeSync } from '../proto/load.ts'
import { systemClock } from '../runtime/clock.ts'
import { openClient } from '../runtime/grpc.ts'
import { EXIT_FAILED, EXIT_USAGE, runMain, type Life } from '../runtime/lifecycle.ts'
import { createLogger } from '../runtime/log.ts'
import { clientDuplex } from '../runtime/stream.ts'
import { Agent } from './agent.ts'
import { describe } from './errors.ts'
import { detachKernel, openKernel } from './kernel.ts'
import { HELP, parseOptions, type AgentOptions } from './options.ts'
import { judge, lookAround } from './preflight.ts'
import { compileProbe } from './probe-table.ts'

/** Nothing can be enforced on this machine as it is. */
export const EXIT_CANNOT_ENFORCE = 4

const logger = createLogger('agent')

const sha256 = (bytes: Uint8Array): Uint8Array => createHash('sha256').update(bytes).digest()

async function main(life: Life): Promise<number | void> {
  const parsed = parseOptions(process.argv.slice(2), { hostName: hostname(), bpfObject: join(import.meta.dirname, '../build/bpf/merlon.bpf.o') })
  if (parsed.kind === 'help') {
    process.stdout.write(HELP)
    return 0
  }
  if (parsed.kind === 'problem') {
    process.stderr.write(`${parsed.message}\n`)
    return EXIT_USAGE
  }
  if (parsed.value.detach) {
    logger.info(detachKernel(parsed.value.pinDirectory) ? 'Detached: nothing is enforced on this machine any more' : 'Found nothing to detach')
    return 0
  }
  return run(parsed.value, life)
}

async function run(options: AgentOptions, life: Life): Promise<number | void> {
  const machine = lookAround(dirname(options.pinDirectory))
  const preflight = judge(machine)
  for (const problem of preflight.problems) process.stderr.write(`${describe(problem)}\n`)
  if (!preflight.canEnforce || machine.cgroupRoot === undefined) {
    process.stderr.write('Nothing can be enforced on this machine. Policies can still be written, checked and explained here.\n')
    return EXIT_CANNOT_ENFORCE
  }
  const native = loadBinding()
  // Inode number of the node's own mount namespace: pid 1's, which in a container needs hostPID.
  const hostMountNamespace = statSync('/proc/1/ns/mnt').ino
  const kernel = openKernel({ native, object: readFileSync(options.bpfObject), pinDirectory: options.pinDirectory, hostMountNamespace })
  if (!kernel.ok) {
    process.stderr.write(`${describe(kernel.problem)}\n`)
    return EXIT_FAILED
  }
  const agent = new Agent({
    options, native, kernel: kernel.value, cgroupRoot: machine.cgroupRoot, abilities: preflight.abilities, clock: systemClock, logger, verify: (bytes) => verifyTable(bytes, { sha256 }), compileProbe,
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

if (import.meta.main) await runMain(main, { name: 'agent', logger })
