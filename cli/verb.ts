// SPDX-License-Identifier: Apache-2.0
// What a verb is, and what it is given. A verb is one file: add it to the table in verbs.ts.
import { parseArgs, type ParseArgsOptionsConfig } from 'node:util'

export const EXIT_OK = 0
/** The question was answered with no: something is wrong with what was looked at. */
export const EXIT_NEGATIVE = 1
/** The question could not be asked: usage, files, connections. */
export const EXIT_TROUBLE = 2

/** Where a verb writes, and when it must end. */
export interface Io {
  /** For whom it is read: a verb that was told to. */
  readonly stdin: NodeJS.ReadableStream
  readonly stdout: NodeJS.WritableStream & { readonly isTTY?: boolean; readonly columns?: number }
  readonly stderr: NodeJS.WritableStream & { readonly isTTY?: boolean }
  /** Whether to colour what goes to stdout. */
  readonly colour: boolean
  /** For processes that a verb starts. */
  readonly environment: Readonly<Record<string, string | undefined>>
  /** Aborted by SIGINT, SIGTERM, SIGHUP, and by a reader of stdout that has gone. */
  readonly signal: AbortSignal
}

export interface Verb {
  /** Complete text of `merlon VERB --help`. */
  readonly help: string
  run(args: readonly string[], io: Io): Promise<number>
}

/** Printed with the verb's usage line; exit code 2. */
export class UsageError extends Error {
  override readonly name = 'UsageError'
  readonly code = 'MERLON_CLI_USAGE'
}

/** Printed as it is; exit code 2. */
export class TroubleError extends Error {
  override readonly name = 'TroubleError'
  readonly code: string

  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options)
    this.code = code
  }
}

/** As node:util's, strict, with complaints as UsageError. Positionals are limited to `positionals`. */
export function readArgs<const T extends ParseArgsOptionsConfig>(args: readonly string[], options: T, positionals = 0): ReturnType<typeof parseArgs<{ options: T; args: string[]; allowPositionals: true }>> {
  let parsed
  try {
    parsed = parseArgs({ args: [...args], options, allowPositionals: true })
  } catch (error) {
    // Node adds a hint about `--` to unknown options, which helps nobody here.
    throw new UsageError((error as Error).message.replace(/\. To specify a positional.*$/s, ''), { cause: error })
  }
  const extra = parsed.positionals[positionals]
  if (extra !== undefined) throw new UsageError(`Unexpected argument ${JSON.stringify(extra)}`)
  return parsed
}

/** A positive whole number, or UsageError. */
export function readCount(option: string, text: string): number {
  const value = Number(text)
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value) || value === 0) throw new UsageError(`Cannot use --${option} ${JSON.stringify(text)}: a positive whole number is needed`)
  return value
}

/** One of `choices`, or UsageError. */
export function readChoice<const T extends string>(option: string, text: string, choices: readonly T[]): T {
  const found = choices.find((choice) => choice === text)
  if (found === undefined) throw new UsageError(`Cannot use --${option} ${JSON.stringify(text)}: use ${choices.join(', ')}`)
  return found
}
