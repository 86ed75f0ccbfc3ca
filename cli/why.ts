// SPDX-License-Identifier: Apache-2.0
import { expandPath } from '../policy/alias.ts'
import { askingOf, WORDS } from '../policy/asking.ts'
import { evaluate, objectMatches, planeMatches, sourceMatches } from '../policy/evaluate.ts'
import { explain, type Explanation, type Situation } from '../policy/explain.ts'
import { normalisePath } from '../policy/path.ts'
import { makePlan } from '../policy/plan.ts'
import { isOfPaths } from '../policy/planes.ts'
import { RESOURCE_FORMS } from '../policy/resource.ts'
import { onAnyNode, selects } from '../policy/select.ts'
import type { ClauseOrigin, Links, Policy, Question, Verdict } from '../policy/types.ts'
import { loadPolicies, qualified, type Loaded } from './manifests.ts'
import { harmless, paint, type Colour } from './terminal.ts'
import { EXIT_NEGATIVE, EXIT_OK, readArgs, readChoice, UsageError, type Io, type Verb } from './verb.ts'
import { readWorkload, WORKLOAD_HELP, WORKLOAD_OPTIONS } from './workload.ts'

const HELP = `Usage: merlon why -f PATH... --operation WORD --resource PATH [OPTION]...

Says what policies do with one operation, and why: the rule that decides, those that matched too and why they lost, the default,
and what would have to change. Needs no kernel and no cluster.

  -f, --file PATH        manifests: a file or a directory; again for more (policies, and what says their posture)
${WORKLOAD_HELP}
  --operation WORD       exec, open, create, mkdir, rmdir, unlink, rename, link, symlink, truncate, chmod, chown,
                         setxattr, mknod; socket, connect, bind, listen, accept; dns, capability, syscall, mount,
                         umount, ptrace, device, preset, ingress, egress
  --resource WHAT        what it is done to:
${forms()}
  --write                open it for writing
  --source EXE           the executable of the process; for exec, of the one that calls execve
  --parent EXE           for exec: the executable of its parent
  --not-owner            the file belongs to another user than the process
  --tty                  the process has a terminal
  --arg=TEXT             for exec: an argument after the program's name; again for more. Without any they are not known
  --no-args              for exec: it is known that there are none
  --invoked NAME         for exec: the name given to execve, where that is a link
  --link LINK=TARGET     a link in the container's root; again for more. With one, no others are assumed
  --multicall PATH       a target of links that goes by the name it is executed by, such as /bin/busybox
  --over-limit           for ingress and egress: the limits of rules are used up
  -o, --output FORMAT    text or json (default text)

Exit codes: 0 answered, 1 answered although some policies of the files are refused, 2 usage or files.
`

export const verb: Verb = { help: HELP, run }

function forms(): string {
  const forms: readonly (readonly [words: string, form: string])[] = [
    ['exec, open, create...', RESOURCE_FORMS.exec], ['socket, connect...', RESOURCE_FORMS.network], ['dns', RESOURCE_FORMS.dns], ['capability', RESOURCE_FORMS.capability],
    ['syscall', RESOURCE_FORMS.syscall], ['mount, umount, ptrace', 'nothing (""), or a path'], ['device', RESOURCE_FORMS.device], ['preset', RESOURCE_FORMS.preset], ['ingress, egress', RESOURCE_FORMS.egress],
  ]
  return forms.map(([words, form]) => `${' '.repeat(27)}${words}: ${form}`).join('\n')
}

const OPTIONS = {
  file: { type: 'string', short: 'f', multiple: true, default: [] as string[] },
  ...WORKLOAD_OPTIONS,
  operation: { type: 'string' },
  resource: { type: 'string' },
  write: { type: 'boolean' },
  source: { type: 'string' },
  parent: { type: 'string' },
  'not-owner': { type: 'boolean' },
  tty: { type: 'boolean' },
  arg: { type: 'string', multiple: true },
  'no-args': { type: 'boolean' },
  invoked: { type: 'string' },
  link: { type: 'string', multiple: true },
  multicall: { type: 'string', multiple: true },
  'over-limit': { type: 'boolean' },
  output: { type: 'string', short: 'o', default: 'text' },
} as const

async function run(args: readonly string[], io: Io): Promise<number> {
  const { values, positionals } = readArgs(args, OPTIONS, Infinity)
  const output = readChoice('output', values.output, ['text', 'json'])
  const question = readQuestion(values)
  // `-f a.yaml b.yaml`, as shells expand `-f *.yaml`.
  const loaded = await loadPolicies([...values.file, ...positionals], io)
  const described = readWorkload(values, loaded.surroundings)
  const links = readLinks(values.link ?? [], values.multicall ?? [])
  const situation = { policies: loaded.policies, ...described, workload: { ...described.workload, ...(links === undefined ? {} : { links }) } }
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
  readonly tty?: boolean | undefined
  readonly arg?: readonly string[] | undefined
  readonly 'no-args'?: boolean | undefined
  readonly invoked?: string | undefined
  readonly 'over-limit'?: boolean | undefined
}

function readQuestion(values: QuestionValues): Question {
  const { operation, resource, source, parent } = values
  if (operation === undefined) throw new UsageError('Say with --operation what is done, such as exec or open')
  const known = readChoice('operation', operation, WORDS)
  if (resource === undefined) throw new UsageError('Name with --resource what it is done to')
  const asking = askingOf({
    operation: known,
    resource,
    write: values.write === true,
    notOwner: values['not-owner'] === true,
    tty: values.tty === true,
    overQuota: values['over-limit'] === true,
    invoked: values.invoked,
    args: argumentsOf(values),
    source,
    parent,
  })
  if (!asking.ok) throw new UsageError(`Cannot ask that: ${asking.problem}`)
  return asking.question
}

/** Undefined: not known. */
function argumentsOf(values: QuestionValues): readonly string[] | undefined {
  if (values['no-args'] !== true) return values.arg
  if (values.arg !== undefined) throw new UsageError('Use either --arg or --no-args')
  return []
}

/** Undefined: nothing is known of the root. */
function readLinks(links: readonly string[], multicall: readonly string[]): Links | undefined {
  if (links.length === 0 && multicall.length === 0) return undefined
  const targets = links.map((text): readonly [string, string] => {
    const at = text.indexOf('=')
    const [link, target] = [text.slice(0, at), text.slice(at + 1)]
    if (at <= 0 || !link.startsWith('/') || !target.startsWith('/')) throw new UsageError(`Cannot use --link ${JSON.stringify(text)}: write LINK=TARGET, two absolute paths`)
    return [normalisePath(link), normalisePath(target)]
  })
  const relative = multicall.find((path) => !path.startsWith('/'))
  if (relative !== undefined) throw new UsageError(`Cannot use --multicall ${JSON.stringify(relative)}: write an absolute path`)
  return { targets: Object.fromEntries(targets), multicall: multicall.map(normalisePath) }
}

/** What a reader may not think of, when it makes a difference. */
function notesOn(situation: Situation, question: Question, found: Explanation): readonly string[] {
  const isReason = (text: string): boolean => found.near.some(({ reason }) => reason.includes(text))
  return [
    ...linkNotes(situation, question, found),
    ...unselecting(situation),
    ...(question.sources.length === 0 && isReason('it is for operations of') ? ['no --source is given, so rules with fromSource do not match'] : []),
    ...(question.operation === 'exec' && question.args === undefined && asksForArguments(situation, question, found) ? ['no --arg is given, so no list of allowedArgs counts as satisfied'] : []),
  ]
}

/** Policies that would select the workload if they were on, or if more were said of it. */
function unselecting({ policies, workload, options }: Situation): readonly string[] {
  const others = policies.filter((policy) => !selects(policy, workload, options))
  const would = (reason: string, changed: (policy: Policy) => Policy): readonly string[] => {
    const names = others.filter((policy) => selects(changed(policy), workload, options)).map(qualified)
    return names.length === 0 ? [] : [`${reason}: ${names.join(', ')}`]
  }
  return [
    ...would('switched off by their mode', (policy) => (policy.mode === 'Off' ? { ...policy, mode: 'Enforce' } : policy)),
    ...(workload.container === '' ? would('restricted to containers, and no --container is given', (policy) => ({ ...policy, selector: { ...policy.selector, containers: [] } })) : []),
    ...(workload.nodeLabels === undefined ? would('restricted to nodes, and no --node-labels are given', onAnyNode) : []),
  ]
}

/** Paths of a question are what the kernel sees, links resolved: that of the object, and those of executables. */
function linkNotes({ policies, workload, options }: Situation, question: Question, found: Explanation): readonly string[] {
  const isFile = isOfPaths(question.operation)
  const written = [...(isFile ? [question.path] : []), ...question.sources].map((path) => new TextDecoder().decode(path))
  const seen = written.map((path) => expandPath(path, workload.links).at(-1) ?? path)
  const elsewhere = seen.filter((each, index) => each !== written[index])
  if (elsewhere.length === 0) return []
  const bytes = seen.map((path) => new TextEncoder().encode(path))
  const [path = question.path, ...sources] = isFile ? bytes : [question.path, ...bytes]
  const { verdict } = evaluate(makePlan(policies, workload, options), { ...question, path, sources })
  return verdict === found.verdict ? [] : [`where the directory is a link, as on most images, the kernel sees ${elsewhere.join(' and ')}, and the verdict is ${verdict}`]
}

/** Whether some list of arguments, of the rules that are about this exec, would get another verdict. */
function asksForArguments({ policies, workload, options }: Situation, question: Question, { verdict }: Explanation): boolean {
  const plan = makePlan(policies, workload, options)
  const about = plan.clauses.filter((clause) => clause.section === 'process' && planeMatches(clause, question) && sourceMatches(clause, question) && objectMatches(clause, question))
  const conditions = [...new Set(about.flatMap(({ condition }) => condition?.index ?? []))].map((index) => plan.conditions[index])
  const lists = conditions.flatMap((condition) => (condition?.kind === 'arguments' ? [condition.allowed] : []))
  return lists.some((list) => evaluate(plan, { ...question, args: ['', ...list].map((each) => new TextEncoder().encode(each)) }).verdict !== verdict)
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
  if (near.length > 0) lines.push('', 'Named it, and did not match:', ...near.map((each) => `  ${place(each.origin)}: ${harmless(each.reason)}`))
  lines.push('', `Default: ${fallback.verdict}: ${harmless(fallback.reason)}`, 'To change it:', ...changes.map((each) => `  ${harmless(each)}`))
  lines.push(`Policies that select this workload: ${selecting}`)
  return `${lines.join('\n')}\n`
}

function place({ position, text, kind, namespace, policy }: ClauseOrigin): string {
  return harmless(`${position.file}:${position.line}:${position.column} ${text}, in ${kind} ${qualified({ namespace, name: policy })}`)
}

/** The line of the manifest. */
function excerpt({ position: { file, line, column } }: ClauseOrigin, contents: ReadonlyMap<string, string>): readonly string[] {
  const text = contents.get(file)?.split(/\r?\n/)[line - 1]
  if (text === undefined) return []
  const from = text.length <= 120 ? 0 : Math.max(0, column - 40)
  return [`  ${String(line).padStart(5)} | ${harmless(text.slice(from, from + 120).replaceAll('\t', ' '))}`]
}
