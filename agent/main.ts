// SPDX-License-Identifier: Apache-2.0
// The agent as a program.
import { hostname } from 'node:os'
import { join } from 'node:path'
import { EXIT_FAILED, EXIT_USAGE, runMain, type Life } from '../runtime/lifecycle.ts'
import { createLogger } from '../runtime/log.ts'
import { HELP, parseOptions } from './options.ts'
import { detach, letGo } from './detach.ts'

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
  const { pinDirectory } = parsed.value
  if (parsed.value.detach || parsed.value.release) {
    const { found, released, problem } = parsed.value.detach ? detach(pinDirectory) : { found: undefined, ...letGo(pinDirectory) }
    if (found !== undefined) logger.info(found ? 'Detached: nothing is enforced on this machine any more' : 'Found nothing to detach')
    if (released > 0) logger.info('Released containers that an earlier agent held', { count: released })
    if (problem !== undefined) logger.warn(problem)
    return problem !== undefined && found === false ? EXIT_FAILED : 0
  }
  // Loaded only now: detaching, which somebody may be in a hurry for, and checking need no gRPC.
  if (parsed.value.check) {
    const { check } = await import('./check.ts')
    return check(parsed.value)
  }
  const { run } = await import('./run.ts')
  return run(parsed.value, { life, logger })
}

if (import.meta.main) await runMain(main, { name: 'agent', logger })
