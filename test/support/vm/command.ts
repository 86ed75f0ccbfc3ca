// SPDX-License-Identifier: Apache-2.0
// Running one program to its end, with an error that shows what it said.

import { spawn } from 'node:child_process'

export type CommandOptions = { cwd?: string; env?: NodeJS.ProcessEnv; input?: string | Uint8Array }

/** Where depmod, ldconfig and mkfs are, which Debian leaves out of a user's PATH. */
const SBIN = '/usr/sbin:/sbin'

/** Runs a program and returns its standard output as text. Throws, with its standard error, when it fails. */
export async function command(file: string, args: readonly string[], options: CommandOptions = {}): Promise<string> {
  return (await commandBytes(file, args, options)).toString('utf8')
}

/** The same, returning bytes. */
export function commandBytes(file: string, args: readonly string[], options: CommandOptions = {}): Promise<Buffer> {
  const env = options.env ?? process.env
  const child = spawn(file, args, { cwd: options.cwd, env: { ...env, PATH: `${env['PATH'] ?? ''}:${SBIN}` }, stdio: ['pipe', 'pipe', 'pipe'] })
  const output: Buffer[] = []
  const problems: Buffer[] = []
  child.stdout.on('data', (chunk: Buffer) => output.push(chunk))
  child.stderr.on('data', (chunk: Buffer) => problems.push(chunk))
  // A program that ends without reading its input is reported by its exit status, not by EPIPE.
  child.stdin.on('error', () => {})
  child.stdin.end(options.input ?? '')
  return new Promise((resolve, reject) => {
    child.on('error', (cause) => reject(new Error(`MERLON_TEST_COMMAND: Cannot start ${file}: ${cause.message}`, { cause })))
    child.on('close', (status, signal) => {
      if (status === 0) return resolve(Buffer.concat(output))
      const said = Buffer.concat(problems).toString('utf8').trim()
      const line = [file, ...args].join(' ').slice(0, 300)
      reject(new Error(`MERLON_TEST_COMMAND: "${line}" ended with ${signal ?? status}: ${said}`))
    })
  })
}
