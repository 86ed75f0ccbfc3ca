// SPDX-License-Identifier: Apache-2.0
import { run } from './run.ts'
import { EXIT_TROUBLE } from './verb.ts'

const abort = new AbortController()
// SIGHUP: the terminal has gone. What merlon up started would go on without anybody to watch over it.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => {
    // A second signal means it: whatever still runs is left behind.
    if (abort.signal.aborted) process.exit(130)
    abort.abort(signal)
  })
}
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  // `merlon events | head`: the reader has gone, which is no error. What follows events ends; `merlon lint | head` still answers by its exit code.
  if (error.code === 'EPIPE') return abort.abort(error.code)
  process.stderr.write(`merlon: Cannot write to standard output: ${error.message} (MERLON_CLI_CANNOT_WRITE)\n`)
  process.exit(EXIT_TROUBLE)
})
// Whoever read what is said about the work has gone (`merlon up 2>&1 | head`): that is no reason to end it.
process.stderr.on('error', () => {})

process.exitCode = await run(process.argv.slice(2), {
  stdin: process.stdin,
  stdout: process.stdout,
  stderr: process.stderr,
  colour: process.stdout.isTTY && !process.env['NO_COLOR'] && process.env['TERM'] !== 'dumb',
  environment: process.env,
  signal: abort.signal,
})
