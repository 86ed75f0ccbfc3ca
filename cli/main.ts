// SPDX-License-Identifier: Apache-2.0
import { run } from './run.ts'
import { EXIT_OK } from './verb.ts'

const abort = new AbortController()
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    // A second signal means it: whatever still runs is left behind.
    if (abort.signal.aborted) process.exit(130)
    abort.abort(signal)
  })
}
// `merlon events | head`: the reader has gone, which is no error.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error
  process.exit(EXIT_OK)
})

process.exitCode = await run(process.argv.slice(2), {
  stdin: process.stdin,
  stdout: process.stdout,
  stderr: process.stderr,
  colour: process.stdout.isTTY && !process.env['NO_COLOR'] && process.env['TERM'] !== 'dumb',
  environment: process.env,
  signal: abort.signal,
})
