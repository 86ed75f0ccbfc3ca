// SPDX-License-Identifier: Apache-2.0
import { planAlone } from '../policy/alone.ts'
import { compile } from '../policy/compile.ts'
import { differences, type Difference, type Differences } from '../policy/diff.ts'
import { makePlan } from '../policy/plan.ts'
import { isOfPaths } from '../policy/planes.ts'
import { renderFinding } from '../policy/render.ts'
import type { Answer, Plan, Policy, Question } from '../policy/types.ts'
import { resourceFor, wordsFor } from '../policy/words.ts'
import { loadPolicies, qualified, type Loaded } from './manifests.ts'
import { harmless } from './terminal.ts'
import { EXIT_NEGATIVE, EXIT_OK, readArgs, readChoice, TroubleError, UsageError, type Io, type Verb } from './verb.ts'
import { describesWorkload, optionsAlone, readWorkload, WORKLOAD_HELP, WORKLOAD_OPTIONS, type WorkloadValues } from './workload.ts'

const HELP = `Usage: merlon diff OLD NEW [OPTION]...

Says what changes between two sets of policies, as operations that get another verdict, not as lines of YAML. OLD and NEW are files
or directories. With a description of a workload: what changes for it. Without one: policy by policy, whatever each selects.

${WORKLOAD_HELP}
  -o, --output FORMAT    text or json (default text)

Exit codes: 0 nothing changes, 1 something does, 2 usage, files, policies that are refused, or too much to compare.
`

export const verb: Verb = { help: HELP, run }

interface Pair {
  readonly name: string
  readonly before: Plan
  readonly after: Plan
  /** Where the policy selects by other labels than before. */
  readonly selection: { readonly before: unknown; readonly after: unknown } | undefined
}

async function run(args: readonly string[], io: Io): Promise<number> {
  const { values, positionals } = readArgs(args, { ...WORKLOAD_OPTIONS, output: { type: 'string', short: 'o', default: 'text' } }, 2)
  const output = readChoice('output', values.output, ['text', 'json'])
  const { before, after } = await loadBoth(positionals, io)
  const incomplete: string[] = []
  let changed = false
  for (const pair of pairsOf(before, after, values)) {
    const found = compare(pair)
    if (found.differences.length > 0 || pair.selection !== undefined) changed = true
    if (!found.complete) incomplete.push(pair.name)
    io.stdout.write(output === 'json' ? asJson(pair, found.differences) : describe(pair, found.differences))
  }
  if (incomplete.length === 0) return changed ? EXIT_NEGATIVE : EXIT_OK
  const problem = `There is too much to compare all of ${incomplete.map(harmless).join(', ')}: compare fewer policies at once`
  // What was found is so; that there is no more is not known.
  if (!changed) throw new TroubleError('MERLON_CLI_DIFF_TOO_LARGE', problem)
  io.stderr.write(`There may be more. ${problem} (MERLON_CLI_DIFF_TOO_LARGE)\n`)
  return EXIT_NEGATIVE
}

async function loadBoth([old, now]: readonly string[], io: Io): Promise<{ readonly before: Loaded; readonly after: Loaded }> {
  if (old === undefined || now === undefined) throw new UsageError('Name two files or directories, OLD and NEW')
  if (old === '-' && now === '-') throw new UsageError('Standard input is either OLD or NEW, it cannot be read twice')
  return { before: await load(old, io), after: await load(now, io) }
}

/** Half a set would show as a difference that is none. */
async function load(path: string, io: Io): Promise<Loaded> {
  const loaded = await loadPolicies([path], io)
  if (loaded.errors.length > 0) throw new TroubleError('MERLON_CLI_REFUSED', `Policies of ${path} are refused: correct them first`)
  return loaded
}

function pairsOf(before: Loaded, after: Loaded, values: WorkloadValues): readonly Pair[] {
  if (describesWorkload(values)) {
    const planOf = ({ policies, surroundings }: Loaded): Plan => {
      const { workload, options } = readWorkload(values, surroundings)
      return makePlan(policies, workload, options)
    }
    return [{ name: 'this workload', before: planOf(before), after: planOf(after), selection: undefined }]
  }
  const names = [...new Set([...before.policies, ...after.policies].map(nameOf))]
  return names.map((name) => {
    const [old, now] = [before, after].map(({ policies }) => policies.filter((policy) => nameOf(policy) === name))
    const plan = (policies: readonly Policy[] = [], { surroundings }: Loaded): Plan => {
      const [policy] = policies
      return policy === undefined ? makePlan([], NOBODY, { filePosture: 'audit' }) : planAlone(policies, optionsAlone(policy, values, surroundings))
    }
    return { name, before: plan(old, before), after: plan(now, after), selection: selectionOf(old?.[0], now?.[0]) }
  })
}

const NOBODY = { host: false, namespace: '', pod: '', container: '', labels: {} } as const

function nameOf(policy: Policy): string {
  return `${policy.kind} ${qualified(policy)}`
}

function selectionOf(before: Policy | undefined, after: Policy | undefined): Pair['selection'] {
  if (before === undefined || after === undefined) return undefined
  const [old, now] = [before, after].map(({ selector, nodeSelector }) => ({ ...selector, ...(nodeSelector === undefined ? {} : { nodeSelector }) }))
  return JSON.stringify(old) === JSON.stringify(now) ? undefined : { before: old, after: now }
}

function compare({ before, after }: Pair): Differences {
  return differences({ plan: before, table: tableOf(before) }, { plan: after, table: tableOf(after) })
}

function tableOf(plan: Plan): Uint8Array {
  const compiled = compile(plan)
  if (!compiled.ok) throw new TroubleError('MERLON_CLI_REFUSED', compiled.findings.map((finding) => renderFinding(finding)).join('\n'))
  return compiled.table
}

/* ---- Output ---- */

function describe(pair: Pair, found: readonly Difference[]): string {
  const lines = found.map(({ question, before, after }) => `  ${operationOf(question)}: ${before.verdict} -> ${after.verdict} (${whose(pair.before, before)} -> ${whose(pair.after, after)})`)
  if (pair.selection !== undefined) lines.unshift('  its selector is another one: compare for a workload (-n, -l) to see what that changes')
  return lines.length === 0 ? '' : `${harmless(pair.name)}:\n${lines.map(harmless).join('\n')}\n`
}

function asJson(pair: Pair, found: readonly Difference[]): string {
  const side = (plan: Plan, answer: Answer): object => ({ verdict: answer.verdict, rule: whose(plan, answer) })
  const lines = found.map(({ question, before, after }) => ({ of: pair.name, operation: operationOf(question), before: side(pair.before, before), after: side(pair.after, after) }))
  const selection = pair.selection === undefined ? [] : [{ of: pair.name, selector: pair.selection }]
  return [...selection, ...lines].map((line) => `${JSON.stringify(line)}\n`).join('')
}

/** As the options of `merlon why` would have it, in short. */
function operationOf(question: Question): string {
  const { operation, owner, tty, sources, args, overQuota } = question
  const decoder = new TextDecoder()
  const word = { read: 'open', write: 'open for writing' }[operation as string] ?? operation
  return [
    `${word} ${isOfPaths(operation) ? wordsFor(question) : resourceFor(question)}`,
    ...(args === undefined ? [] : [args.length === 1 ? 'without arguments' : `with ${args.slice(1).map((argument) => JSON.stringify(decoder.decode(argument))).join(' ')}`]),
    ...(sources.length === 0 ? [] : [`by ${sources.map((source) => decoder.decode(source)).join(' and ')}`]),
  ].join(' ') + [...(owner || !isOfPaths(operation) ? [] : [', not the owner']), ...(tty === true ? [', on a terminal'] : []), ...(overQuota === true ? [', over the limit'] : [])].join('')
}

function whose(plan: Plan, { clause }: Answer): string {
  if (clause === 0) return 'no rule'
  const origin = plan.clauses[clause - 1]?.origin
  return origin === undefined ? 'the default posture' : `${origin.position.file}:${origin.position.line}`
}
