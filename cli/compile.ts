// SPDX-License-Identifier: Apache-2.0
import { createHash } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { planAlone } from '../policy/alone.ts'
import { compile, type CompileResult } from '../policy/compile.ts'
import { dump, DUMPS, type Dump } from '../policy/dump.ts'
import { makePlan } from '../policy/plan.ts'
import { prove } from '../policy/prove.ts'
import { renderFinding } from '../policy/render.ts'
import type { Plan, Policy } from '../policy/types.ts'
import { loadPolicies, qualified, type Loaded } from './manifests.ts'
import { harmless, quote } from './terminal.ts'
import { EXIT_NEGATIVE, EXIT_OK, readArgs, readChoice, TroubleError, UsageError, type Io, type Verb } from './verb.ts'
import { describesWorkload, optionsAlone, readWorkload, WORKLOAD_HELP, WORKLOAD_OPTIONS, type WorkloadValues } from './workload.ts'

const HELP = `Usage: merlon compile PATH... [OPTION]...

Compiles policies to the table that the kernel decides with, and says what came of it: rules, states, bytes, hash. Without a
description of a workload each policy is compiled on its own, whatever it selects; with one, all policies that select it together,
as an agent would get them.

${WORKLOAD_HELP}
  --stats                every number of each table
  --dump STEP            one step of the compilation: ${DUMPS.join(', ')}
  --prove                show that each table says of every path what its policies say, by a second way to read them
  -o, --output FILE      write the table; wants one policy, or a workload

Exit codes: 0 compiled, and proven where that was asked for; 1 a policy is refused, a table too large, or not proven; 2 usage or files.
`

export const verb: Verb = { help: HELP, run }

const OPTIONS = { ...WORKLOAD_OPTIONS, stats: { type: 'boolean' }, prove: { type: 'boolean' }, dump: { type: 'string' }, output: { type: 'string', short: 'o' } } as const

interface Job {
  readonly name: string
  readonly plan: Plan
}

async function run(args: readonly string[], io: Io): Promise<number> {
  const { values, positionals } = readArgs(args, OPTIONS, Infinity)
  if ([values.stats, values.prove, values.dump, values.output].filter((each) => each !== undefined).length > 1) throw new UsageError('Use one of --stats, --dump, --prove and --output')
  const step = values.dump === undefined ? undefined : readChoice('dump', values.dump, DUMPS)
  const loaded = await loadPolicies(positionals, io)
  const jobs = jobsOf(loaded, values)
  if (values.output !== undefined && jobs.length !== 1) throw new UsageError(`A file takes one table, and these are ${jobs.length}: name one policy, or describe a workload`)
  let failed = loaded.errors.length > 0
  for (const job of jobs) {
    if (step !== undefined) io.stdout.write(dumped(job, step, jobs.length > 1))
    else if (!(await compiled(job, { io, loaded, stats: values.stats === true, prove: values.prove === true, output: values.output }))) failed = true
  }
  if (jobs.length === 0) io.stderr.write('There is no policy in these files.\n')
  return failed ? EXIT_NEGATIVE : EXIT_OK
}

function jobsOf({ policies, surroundings }: Loaded, values: WorkloadValues): readonly Job[] {
  if (!describesWorkload(values)) return policies.map((policy) => ({ name: nameOf(policy), plan: planAlone([policy], optionsAlone(policy, values, surroundings)) }))
  const { workload, options } = readWorkload(values, surroundings)
  return [{ name: workload.host ? 'this host' : `this workload of namespace ${workload.namespace}`, plan: makePlan(policies, workload, options) }]
}

function nameOf(policy: Policy): string {
  const { kind, position } = policy
  return `${kind} ${qualified(policy)} (${position.file}:${position.line})`
}

function dumped({ name, plan }: Job, step: Dump, named: boolean): string {
  return `${named ? `# ${harmless(name)}\n` : ''}${dump(plan, step).split('\n').map(harmless).join('\n')}`
}

interface Wanted {
  readonly io: Io
  readonly loaded: Loaded
  readonly stats: boolean
  readonly prove: boolean
  readonly output: string | undefined
}

/** Whether there is a table. */
async function compiled({ name, plan }: Job, { io, loaded, stats, prove: wantsProof, output }: Wanted): Promise<boolean> {
  const result: CompileResult = compile(plan, { sha256: (bytes) => createHash('sha256').update(bytes).digest() })
  if (!result.ok) {
    for (const finding of result.findings) io.stderr.write(`${renderFinding(finding, loaded.contents.get(finding.position.file))}\n`)
    return false
  }
  const { states, bytes } = result.stats
  io.stdout.write(`${harmless(name)}: clauses ${plan.clauses.length}, states ${states}, bytes ${bytes}, ${result.hash.slice(0, 12)}\n`)
  if (stats) for (const [key, value] of Object.entries(result.stats)) io.stdout.write(`  ${key.padEnd(10)} ${String(value)}\n`)
  if (output !== undefined) await save(output, result.table)
  return !wantsProof || proven(plan, result.table, io)
}

function proven(plan: Plan, table: Uint8Array, io: Io): boolean {
  const proof = prove(plan, table)
  if (proof.ok) io.stdout.write(`  proven: it says of every path what the rules say (${proof.pairs} pairs of a state and a language)\n`)
  else if ('unknown' in proof) io.stdout.write(`  not proven: ${proof.unknown}\n`)
  else {
    const { question, expected, actual } = proof
    const from = question.sources.map((source) => ` from ${quote(new TextDecoder().decode(source))}`).join('')
    io.stdout.write(`  WRONG: ${question.operation} of ${quote(new TextDecoder().decode(proof.path))}${from}${question.owner ? '' : ', not the owner'} is ${actual.verdict} by the table and ${expected.verdict} by the rules. This is a defect of Merlon: please report it\n`)
  }
  return proof.ok
}

async function save(file: string, table: Uint8Array): Promise<void> {
  try {
    await writeFile(file, table)
  } catch (error) {
    throw new TroubleError('MERLON_CLI_CANNOT_WRITE', `Cannot write ${file}: ${(error as Error).message}`, { cause: error })
  }
}
