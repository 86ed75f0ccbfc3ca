// SPDX-License-Identifier: Apache-2.0
import { expandPath } from '../policy/alias.ts'
import { explain, type Explanation, type Situation } from '../policy/explain.ts'
import { normalisePath } from '../policy/path.ts'
import type { ClauseOrigin, Question, Verdict } from '../policy/types.ts'
import { loadPolicies, type Loaded } from './manifests.ts'
import { harmless, paint, type Colour } from './terminal.ts'
import { EXIT_NEGATIVE, EXIT_OK, readArgs, readChoice, TroubleError, UsageError, type Io, type Verb } from './verb.ts'
import { readWorkload, WORKLOAD_HELP, WORKLOAD_OPTIONS } from './workload.ts'

const HELP = `Usage: merlon why -f PATH... --operation WORD --resource PATH [OPTION]...

Says what policies do with one operation, and why: the rule that decides, those that matched too and why they lost, the default,
and what would have to change. Needs no kernel and no cluster.

  -f, --file PATH        manifests: a file or a directory; again for more (policies, and namespaces for their posture)
${WORKLOAD_HELP}
  --operation WORD       exec or open
  --resource PATH        the file, as the kernel sees it: absolute, links resolved
  --write                open it for writing
  --source EXE           the executable of the process; for exec, of the one that calls execve
  --parent EXE           for exec: the executable of its parent
  --not-owner            the file belongs to another user than the process
  -o, --output FORMAT    text or json (default text)

Exit codes: 0 answered, 1 answered although some policies of the files are refused, 2 usage or files.
`

/** Operations that a policy can name and nothing enforces yet. */
const LATER = ['create', 'mkdir', 'mknod', 'unlink', 'rmdir', 'rename', 'link', 'symlink', 'truncate', 'chmod', 'chown', 'setxattr', 'connect', 'accept', 'socket', 'capability', 'syscall', 'dns', 'mount', 'ptrace'] as const

export const verb: Verb = { help: HELP, run }

const OPTIONS = {
  file: { type: 'string', short: 'f', multiple: true, default: [] as string[] },
  ...WORKLOAD_OPTIONS,
  operation: { type: 'string' },
  resource: { type: 'string' },
  write: { type: 'boolean' },
  source: { type: 'string' },
  parent: { type: 'string' },
  'not-owner': { type: 'boolean' },
  output: { type: 'string', short: 'o', default: 'text' },
} as const

async function run(args: readonly string[], io: Io): Promise<number> {
  const { values, positionals } = readArgs(args, OPTIONS, Infinity)
  const output = readChoice('output', values.output, ['text', 'json'])
  const question = readQuestion(values)
  // `-f a.yaml b.yaml`, as shells expand `-f *.yaml`.
  const loaded = await loadPolicies([...values.file, ...positionals], io)
  const situation = { policies: loaded.policies, ...readWorkload(values, loaded.namespaces) }
  const found = explain(situation, question)
  const notes = notesOn(situation, question, found)
  io.stdout.write(output === 'json' ? `${JSON.stringify({ ...toJson(found), notes })}\n` : describe(found, loaded, io.colour))
  if (output === 'text') for (const note of notes) io.stdout.write(`Note: ${harmless(note)}\n`)
  return loaded.errors.length > 0 ? EXIT_NEGATIVE : EXIT_OK
}

interface QuestionValues {
  readonly operation?: string | undefined
  readonly resource?: string | undefined
  readonly write?: boolean | undefined
  readonly source?: string | undefined
  readonly parent?: string | undefined
  readonly 'not-owner'?: boolean | undefined
}

function readQuestion(values: QuestionValues): Question {
  const { operation, resource, source, parent } = values
  if (operation === undefined) throw new UsageError('Say with --operation what is done: exec or open')
  const later = LATER.find((each) => each === operation)
  if (later !== undefined) throw new TroubleError('MERLON_CLI_NOT_ENFORCED', `${later} is not enforced yet, so policies have no say in it: ask about exec or open`)
  const known = readChoice('operation', operation, ['exec', 'open'])
  if (resource === undefined) throw new UsageError('Name with --resource the file that it is done to')
  if (known === 'exec' && values.write === true) throw new UsageError('Only open takes --write')
  if (known === 'open' && parent !== undefined) throw new UsageError('Only exec takes --parent: what opens a file is the process itself')
  const bytes = (option: string, text: string): Uint8Array => {
    if (!text.startsWith('/')) throw new UsageError(`Cannot use --${option} ${JSON.stringify(text)}: an absolute path is needed`)
    return new TextEncoder().encode(normalisePath(text))
  }
  const sources = [...(source === undefined ? [] : [bytes('source', source)]), ...(parent === undefined ? [] : [bytes('parent', parent)])]
  const kind = known === 'exec' ? 'exec' : values.write === true ? 'write' : 'read'
  return { operation: kind, owner: values['not-owner'] !== true, path: bytes('resource', resource), sources }
}

/** What a reader may not think of, when it makes a difference. */
function notesOn(situation: Situation, question: Question, found: Explanation): readonly string[] {
  const path = new TextDecoder().decode(question.path)
  const target = expandPath(path).at(-1) ?? path
  const said: string[] = []
  if (target !== path) {
    const there = explain(situation, { ...question, path: new TextEncoder().encode(target) })
    if (there.verdict !== found.verdict) said.push(`where the directory is a link, as on most images, the kernel sees ${target}, and the verdict is ${there.verdict}`)
  }
  if (question.sources.length === 0 && found.near.some(({ reason }) => reason.includes('it is for operations of'))) said.push('no --source is given, so rules with fromSource do not match')
  return said
}

/* ---- Output ---- */

function toJson(found: Explanation): object {
  return {
    verdict: found.verdict,
    ...ruleJson(found.origin),
    reason: found.reason,
    lost: found.lost.map(({ origin, verdict, reason }) => ({ ...ruleJson(origin), verdict, reason })),
    near: found.near.map(({ origin, reason }) => ({ ...ruleJson(origin), reason })),
    default: found.fallback,
    changes: found.changes,
    selecting: found.selecting,
  }
}

function ruleJson(origin: ClauseOrigin | undefined): { readonly policy: string; readonly rule: string; readonly file: string; readonly line: number } {
  if (origin === undefined) return { policy: '', rule: '', file: '', line: 0 }
  const { policy, text, position } = origin
  return { policy, rule: text, file: position.file, line: position.line }
}

const COLOURS: Readonly<Record<Verdict, Colour>> = { Allow: 'green', Audit: 'yellow', Block: 'red' }

function describe(found: Explanation, { contents }: Loaded, colour: boolean): string {
  const { verdict, origin, reason, lost, near, fallback, changes, selecting } = found
  const lines = [`${paint(verdict, COLOURS[verdict], colour)}: ${harmless(reason)}`]
  if (origin !== undefined && origin.position.line > 0) lines.push(`  ${place(origin)}`, ...excerpt(origin, contents))
  if (lost.length > 0) lines.push('', 'Matched too, and lost:', ...lost.map((each) => `  ${each.verdict} ${place(each.origin)}: ${each.reason}`))
  if (near.length > 0) lines.push('', 'Named the file, and did not match:', ...near.map((each) => `  ${place(each.origin)}: ${harmless(each.reason)}`))
  lines.push('', `Default: ${fallback.verdict}: ${harmless(fallback.reason)}`, 'To change it:', ...changes.map((each) => `  ${harmless(each)}`))
  lines.push(`Policies that select this workload: ${selecting}`)
  return `${lines.join('\n')}\n`
}

function place({ position, text, kind, namespace, policy }: ClauseOrigin): string {
  const name = [namespace, policy].filter((part) => part !== '').join('/')
  return harmless(`${position.file}:${position.line}:${position.column} ${text}, in ${kind} ${name}`)
}

/** The line of the manifest. */
function excerpt({ position: { file, line, column } }: ClauseOrigin, contents: ReadonlyMap<string, string>): readonly string[] {
  const text = contents.get(file)?.split(/\r?\n/)[line - 1]
  if (text === undefined) return []
  const from = text.length <= 120 ? 0 : Math.max(0, column - 40)
  return [`  ${String(line).padStart(5)} | ${harmless(text.slice(from, from + 120).replaceAll('\t', ' '))}`]
}
