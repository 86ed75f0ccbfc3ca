// SPDX-License-Identifier: Apache-2.0
import { spawn } from 'node:child_process'
import { createInterface } from 'node:readline'
import { readable } from './child-output.ts'
import { programPath } from './program.ts'
import { EXIT_NEGATIVE, EXIT_OK, EXIT_TROUBLE, readArgs, TroubleError, type Io, type Verb } from './verb.ts'

const HELP = `Usage: merlon rescue --yes [--pin-directory PATH]

Stops enforcement on this host: detaches Merlon's programs from the kernel and removes their pins. Policies stay where they are, and the
next merlon up enforces them again. Stop merlon up first: while its agent runs, nothing is detached. Needs root.

  --yes                  do it
  --pin-directory PATH   where the programs are pinned, when it is not the agent's default
`

export const verb: Verb = { help: HELP, run }

async function run(args: readonly string[], io: Io): Promise<number> {
  const { values } = readArgs(args, { yes: { type: 'boolean', default: false }, 'pin-directory': { type: 'string' } })
  if (!values.yes) {
    io.stderr.write('merlon rescue: this stops all enforcement on this host. Say merlon rescue --yes to do it\n')
    return EXIT_TROUBLE
  }
  if (process.getuid?.() !== 0) throw new TroubleError('MERLON_CLI_NOT_ROOT', 'Only root may detach programs: run sudo merlon rescue --yes')
  const pinDirectory = values['pin-directory']
  const pins = pinDirectory === undefined ? [] : ['--pin-directory', pinDirectory]
  const child = spawn(process.execPath, [programPath('agent'), '--detach', ...pins], { stdio: ['ignore', 'pipe', 'pipe'] })
  for (const stream of [child.stdout, child.stderr]) createInterface({ input: stream }).on('line', (line) => io.stderr.write(`${readable('agent', line)}\n`))
  const code = await new Promise<number>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (status) => resolve(status ?? EXIT_TROUBLE))
  })
  if (code !== EXIT_OK) {
    io.stderr.write(`merlon rescue: the agent could not detach everything (exit code ${code}); its reasons are above\n`)
    return EXIT_NEGATIVE
  }
  io.stdout.write('Enforcement is off on this host\n')
  return EXIT_OK
}
