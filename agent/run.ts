// SPDX-License-Identifier: Apache-2.0
// The agent with everything that it needs of this machine.
import { createHash } from 'node:crypto'
import { verifyTable } from '../policy/verify.ts'
import { systemClock } from '../runtime/clock.ts'
import type { Check } from '../runtime/http.ts'
import { noMetrics, openMetrics, type Metrics } from '../runtime/metrics.ts'
import { EXIT_FAILED, switchLevels, type Life } from '../runtime/lifecycle.ts'
import type { Logger } from '../runtime/log.ts'
import { Agent } from './agent.ts'
import { cannotEnforce, findFooting } from './check.ts'
import { makeConnections } from './connections.ts'
import { letGo } from './detach.ts'
import { describe } from './errors.ts'
import { openKernel } from './kernel.ts'
import { agentChecks, agentMetrics, observeAgent } from './metrics.ts'
import type { AgentOptions } from './options.ts'
import { compileProbe } from './probe-table.ts'
import { alreadyRuns, claimPins } from './single.ts'

const sha256 = (bytes: Uint8Array): Uint8Array => createHash('sha256').update(bytes).digest()

/** Starts the agent; it lives until `life` ends. Returns an exit status where it cannot start. */
export async function run(options: AgentOptions, { life, logger }: { readonly life: Life; readonly logger: Logger }): Promise<number | void> {
  switchLevels(options.logLevel)
  const footing = findFooting(options)
  if (!footing.ok) {
    abandon(options, logger)
    return cannotEnforce(footing.problems)
  }
  const { native, object, cgroupRoot, hostMountNamespace, abilities } = footing.value
  if ((await claimPins(options.pinDirectory)) === undefined) {
    process.stderr.write(`${describe(alreadyRuns(options.pinDirectory))}\n`)
    return EXIT_FAILED
  }
  const kernel = openKernel({ native, object, pinDirectory: options.pinDirectory, hostMountNamespace })
  if (!kernel.ok) {
    abandon(options, logger)
    if (kernel.problem.code === 'MERLON_AGENT_NOT_PERMITTED') return cannotEnforce([kernel.problem])
    process.stderr.write(`${describe(kernel.problem)}\n`)
    return EXIT_FAILED
  }
  const { http, grpcHealth } = options
  const metrics = http === undefined ? noMetrics : await openMetrics()
  const connections = await makeConnections(options, { clock: systemClock, logger })
  let started = false
  const agent = new Agent({
    options, native, kernel: kernel.value, cgroupRoot, abilities, clock: systemClock, logger, verify: (bytes) => verifyTable(bytes, { sha256 }), compileProbe,
    ...connections, metrics: agentMetrics(metrics), giveUp: () => life.stop(EXIT_FAILED),
  })
  observeAgent(metrics, () => agent.state)
  await serveHealthOf({ http, grpcHealth }, { life, logger, metrics, checks: agentChecks(() => (started ? agent.state : undefined), () => connections.enroller?.problem || undefined) })
  life.onShutdown('agent', () => agent.stop())
  await agent.start()
  started = true
  void connections.enroller?.run(life.signal, () => agent.renewed())
}

/** What an earlier agent holds must not wait for one that cannot start, unless unknown containers are to wait. */
function abandon({ unbound, pinDirectory }: AgentOptions, logger: Logger): void {
  if (unbound === 'block') return
  const { released, problem } = letGo(pinDirectory)
  if (released > 0) logger.warn('Released containers that an earlier agent held: they run without a profile', { count: released })
  if (problem !== undefined) logger.warn(problem)
}

interface Health {
  readonly life: Life
  readonly logger: Logger
  readonly metrics: Metrics
  readonly checks: readonly Check[]
}

/** Loaded only where it is asked for. grpc.health.v1 says that the agent lives: the kubelet must not end one that waits for its operator. */
async function serveHealthOf({ http, grpcHealth }: Pick<AgentOptions, 'http' | 'grpcHealth'>, { life, logger, metrics, checks }: Health): Promise<void> {
  if (http !== undefined) {
    const endpoint = await (await import('../runtime/http.ts')).serveHealth({ address: http, checks, metrics, logger })
    life.onShutdown('http', () => endpoint.close())
    logger.info('Serving health', { address: endpoint.address })
  }
  if (grpcHealth !== undefined) {
    const [{ health, healthService }, { serve }] = await Promise.all([import('../runtime/health.ts'), import('../runtime/grpc.ts')])
    const server = await serve({ address: grpcHealth, services: [{ definition: healthService, implementation: health([]).implementation }] })
    life.onShutdown('grpc-health', () => server.stop(0))
  }
}
