// SPDX-License-Identifier: Apache-2.0
// The agent as a program.
import { hostname } from 'node:os'
import { join } from 'node:path'
import { EXIT_FAILED, EXIT_USAGE, runMain, type Life } from '../runtime/lifecycle.ts'
import { createLogger } from '../runtime/log.ts'
import { HELP, parseOptions, type AgentOptions } from './options.ts'
import { detach, letGo } from './detach.ts'
import { describe } from './errors.ts'
import { alreadyRuns, claimPins } from './single.ts'

const logger = createLogger('agent')

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
  if (parsed.value.detach || parsed.value.release) return leave(parsed.value)
  // Loaded only now: detaching, which somebody may be in a hurry for, and checking need no gRPC.
  if (parsed.value.check) {
    const { check } = await import('./check.ts')
    return check(parsed.value)
  }
  const { run } = await import('./run.ts')
  return run(parsed.value, { life, logger })
}

/** Ends enforcement on this machine, or only lets go of what an earlier agent holds. */
async function leave({ detach: isEnd, pinDirectory }: Pick<AgentOptions, 'detach' | 'pinDirectory'>): Promise<number> {
  if ((await claimPins(pinDirectory)) === undefined) {
    // What is held, the agent that lives will bind: let go by somebody else, it would run without a profile.
    if (!isEnd) return 0
    // Its programs would stay in the kernel for as long as it lives, whatever becomes of the pins.
    process.stderr.write(`${describe(alreadyRuns(pinDirectory))}\n`)
    return EXIT_FAILED
  }
  const { found, released, problem } = isEnd ? detach(pinDirectory) : { found: undefined, ...letGo(pinDirectory) }
  if (found !== undefined) logger.info(found ? 'Detached: nothing is enforced on this machine any more' : 'Found nothing to detach')
  if (released > 0) logger.info('Released containers that an earlier agent held', { count: released })
  if (problem !== undefined) logger.warn(problem)
  return problem !== undefined && found === false ? EXIT_FAILED : 0
}

if (import.meta.main) await runMain(main, { name: 'agent', logger })
