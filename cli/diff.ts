// SPDX-License-Identifier: Apache-2.0
import { planAlone } from '../policy/alone.ts'
import { compile } from '../policy/compile.ts'
import { differences, type Difference } from '../policy/diff.ts'
import { openTable, type Table } from '../policy/lookup.ts'
import { makePlan } from '../policy/plan.ts'
import { renderFinding } from '../policy/render.ts'
import type { Answer, Operation, Plan, Policy } from '../policy/types.ts'
import { wordsFor } from '../policy/words.ts'
import { loadPolicies, type Loaded } from './manifests.ts'
import { harmless } from './terminal.ts'
import { EXIT_NEGATIVE, EXIT_OK, readArgs, readChoice, TroubleError, UsageError, type Io, type Verb } from './verb.ts'
import { readWorkload, WORKLOAD_HELP, WORKLOAD_OPTIONS, type WorkloadValues } from './workload.ts'

const HELP = `Usage: merlon diff OLD NEW [OPTION]...

Says what changes between two sets of policies, as operations that get another verdict, not as lines of YAML. OLD and NEW are files
or directories. With a description of a workload: what changes for it. Without one: policy by policy, whatever each selects.

${WORKLOAD_HELP}
  -o, --output FORMAT    text or json (default text)

Exit codes: 0 nothing changes, 1 something does, 2 usage, files, or policies that are refused.
`

export const verb: Verb = { help: HELP, run }

interface Pair {
  readonly name: string
  readonly before: Plan
  readonly after: Plan
  /** The policy selects other workloads than before. */
  readonly selects: boolean
}

async function run(args: readonly string[], io: Io): Promise<number> {
  const { values, positionals } = readArgs(args, { ...WORKLOAD_OPTIONS, output: { type: 'string', short: 'o', default: 'text' } }, 2)
  const output = readChoice('output', values.output, ['text', 'json'])
  const [old, now] = positionals
  if (old === undefined || now === undefined) throw new UsageError('Name two files or directories, OLD and NEW')
  const [before, after] = [await load(old, io), await load(now, io)]
  let changed = false
  for (const pair of pairsOf(before, after, values)) {
    const found = compare(pair)
    if (found.length > 0 || pair.selects) changed = true
    io.stdout.write(output === 'json' ? found.map((each) => `${JSON.stringify(toJson(pair, each))}\n`).join('') : describe(pair, found))
  }
  return changed ? EXIT_NEGATIVE : EXIT_OK
}

/** Half a set would show as a difference that is none. */
async function load(path: string, io: Io): Promise<Loaded> {
  const loaded = await loadPolicies([path], io)
  if (loaded.errors.length > 0) throw new TroubleError('MERLON_CLI_REFUSED', `Policies of ${path} are refused: correct them first`)
  return loaded
}

function pairsOf(before: Loaded, after: Loaded, values: WorkloadValues): readonly Pair[] {
  const described = values.namespace ?? values.labels ?? values.container ?? values.host
  if (described !== undefined) {
    const planOf = ({ policies, namespaces }: Loaded): Plan => {
      const { workload, options } = readWorkload(values, namespaces)
      return makePlan(policies, workload, options)
    }
    return [{ name: 'this workload', before: planOf(before), after: planOf(after), selects: false }]
  }
  const names = [...new Set([...before.policies, ...after.policies].map(nameOf))]
  const posture = readWorkload(values, []).options.filePosture
  return names.map((name) => {
    const [old, now] = [before, after].map(({ policies }) => policies.find((policy) => nameOf(policy) === name))
    const plan = (policy: Policy | undefined): Plan => (policy === undefined ? makePlan([], NOBODY, { filePosture: posture }) : planAlone([policy], posture))
    const selects = old !== undefined && now !== undefined && JSON.stringify(old.selector) !== JSON.stringify(now.selector)
    return { name, before: plan(old), after: plan(now), selects }
  })
}

const NOBODY = { host: false, namespace: '', pod: '', container: '', labels: {} } as const

function nameOf({ kind, namespace, name }: Policy): string {
  return `${kind} ${[namespace, name].filter((part) => part !== '').join('/')}`
}

function compare({ name, before, after }: Pair): readonly Difference[] {
  const sources = [...new Set([before, after].flatMap(({ clauses }) => clauses.flatMap((clause) => clause.sources)))]
  const found = differences(tableOf(before), tableOf(after), sources.map((source) => new TextEncoder().encode(source)))
  if (!found.complete) throw new TroubleError('MERLON_CLI_DIFF_TOO_LARGE', `There are too many states to compare all of ${name}: compare fewer policies at once`)
  return found.differences
}

function tableOf(plan: Plan): Table {
  const compiled = compile(plan)
  if (!compiled.ok) throw new TroubleError('MERLON_CLI_REFUSED', compiled.findings.map((finding) => renderFinding(finding)).join('\n'))
  return openTable(compiled.table)
}

/* ---- Output ---- */

function describe(pair: Pair, found: readonly Difference[]): string {
  const lines = found.map(({ question, before, after }) => `  ${operationOf(question)}: ${before.verdict} -> ${after.verdict} (${whose(pair.before, before)} -> ${whose(pair.after, after)})`)
  if (pair.selects) lines.unshift('  its selector is another one: compare for a workload (-n, -l) to see what that changes')
  return lines.length === 0 ? '' : `${harmless(pair.name)}:\n${lines.map(harmless).join('\n')}\n`
}

function toJson(pair: Pair, { question, before, after }: Difference): unknown {
  const side = (plan: Plan, answer: Answer): object => ({ verdict: answer.verdict, rule: whose(plan, answer) })
  return { of: pair.name, operation: operationOf(question), before: side(pair.before, before), after: side(pair.after, after) }
}

/** As the options of `merlon why` would have it, in short. */
function operationOf(question: Difference['question']): string {
  const { operation, owner, tty, sources } = question
  const decoder = new TextDecoder()
  const word = { read: 'open', write: 'open for writing' }[operation as string] ?? operation
  const flags = `${owner || !isOfFiles(operation) ? '' : ', not the owner'}${tty === true ? ', on a terminal' : ''}`
  return `${word} ${wordsFor(question)}${sources.map((source) => ` by ${decoder.decode(source)}`).join('')}${flags}`
}

function isOfFiles(operation: Operation): boolean {
  return operation === 'exec' || operation === 'read' || operation === 'write'
}

function whose(plan: Plan, { clause }: Answer): string {
  if (clause === 0) return 'no rule'
  const origin = plan.clauses[clause - 1]?.origin
  return origin === undefined ? 'the default posture' : `${origin.position.file}:${origin.position.line}`
}
