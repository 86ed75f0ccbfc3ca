// SPDX-License-Identifier: Apache-2.0
import { PassThrough } from 'node:stream'
import { run } from './run.ts'

export interface Captured {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/** Runs a command line in this process and returns what it wrote. */
export async function captured(args: readonly string[], signal: AbortSignal = new AbortController().signal): Promise<Captured> {
  const stdout = new PassThrough()
  const stderr = new PassThrough()
  const code = await run(args, { stdout, stderr, colour: false, environment: {}, signal })
  return { code, stdout: text(stdout), stderr: text(stderr) }
}

function text(stream: PassThrough): string {
  return (stream.read() as Buffer | null)?.toString() ?? ''
}
