// SPDX-License-Identifier: Apache-2.0
// The dispatcher: finds the verb, runs it, turns errors into sentences and exit codes.
import { suggest } from './suggest.ts'
import { quote } from './terminal.ts'
import { EXIT_OK, EXIT_TROUBLE, TroubleError, UsageError, type Io, type Verb } from './verb.ts'
import { VERBS } from './verbs.ts'

/** Runs one command line (without node and script) and returns its exit code. Throws on defects only. */
export async function run(args: readonly string[], io: Io): Promise<number> {
  const [name, ...rest] = args
  if (name === undefined) {
    io.stderr.write(overview())
    return EXIT_TROUBLE
  }
  if (name === '--help' || name === '-h') return print(io, overview())
  if (name === 'help') return run(rest.length === 0 ? ['--help'] : [...rest, '--help'], io)
  const wanted = name === '--version' ? 'version' : name
  // Own names only: every object has a `constructor`.
  const entry = Object.hasOwn(VERBS, wanted) ? VERBS[wanted] : undefined
  if (entry === undefined) return unknown(name, io)
  const { verb } = await entry.load()
  if (asksForHelp(rest)) return print(io, verb.help)
  return runVerb(verb, { name, args: rest }, io)
}

async function runVerb(verb: Verb, command: { readonly name: string; readonly args: readonly string[] }, io: Io): Promise<number> {
  try {
    return await verb.run(command.args, io)
  } catch (error) {
    if (error instanceof UsageError) {
      io.stderr.write(`merlon ${command.name}: ${error.message}\n${verb.help.split('\n', 1)[0]}\nmerlon ${command.name} --help explains the options\n`)
      return EXIT_TROUBLE
    }
    if (error instanceof TroubleError) {
      io.stderr.write(`merlon ${command.name}: ${error.message} (${error.code})\n`)
      return EXIT_TROUBLE
    }
    throw error
  }
}

function unknown(name: string, io: Io): number {
  const near = suggest(name, Object.keys(VERBS))
  const hint = near === undefined ? 'merlon --help lists the verbs' : `did you mean merlon ${near}?`
  io.stderr.write(`merlon: unknown verb ${quote(name)}: ${hint}\n`)
  return EXIT_TROUBLE
}

function asksForHelp(args: readonly string[]): boolean {
  const end = args.indexOf('--')
  return args.slice(0, end === -1 ? undefined : end).some((arg) => arg === '--help' || arg === '-h')
}

function print(io: Io, text: string): number {
  io.stdout.write(text)
  return EXIT_OK
}

function overview(): string {
  const lines = Object.entries(VERBS).map(([name, { summary }]) => `  ${name.padEnd(9)} ${summary}`)
  return `Usage: merlon VERB [OPTION]...

Runtime security for Kubernetes and Linux hosts: policies, decided in the kernel.

${lines.join('\n')}

merlon VERB --help explains a verb. Exit codes: 0 yes or done, 1 no, 2 usage, files or connections.
`
}
