// SPDX-License-Identifier: Apache-2.0
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough, Readable } from 'node:stream'
import type { TestContext } from 'node:test'
import { run } from './run.ts'

export interface Captured {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/** Runs a command line in this process and returns what it wrote. */
export async function captured(args: readonly string[], signal: AbortSignal = new AbortController().signal, stdin = ''): Promise<Captured> {
  const stdout = new PassThrough()
  const stderr = new PassThrough()
  const code = await run(args, { stdin: Readable.from([stdin]), stdout, stderr, colour: false, environment: {}, signal })
  return { code, stdout: text(stdout), stderr: text(stderr) }
}

function text(stream: PassThrough): string {
  return (stream.read() as Buffer | null)?.toString() ?? ''
}

/** A directory that is gone after the test. */
export async function scratch(context: TestContext): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'merlon-cli-'))
  context.after(() => rm(directory, { recursive: true }))
  return directory
}
