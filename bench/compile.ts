// SPDX-License-Identifier: Apache-2.0
// What it costs to turn policies into tables: the least of several runs in one process, in processor time and, since machines are shared, less
// reliably in wall-clock time. `make bench-compile` writes it to bench/RESULTS.md and docs/picture/compile.svg; without --write it is only printed.
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { Decider } from '../operator/decide.ts'
import { policyLibrary } from '../operator/library.ts'
import { compile, type CompileResult } from '../policy/compile.ts'
import { makePlan } from '../policy/plan.ts'
import { readManifests } from '../policy/read.ts'
import { selects } from '../policy/select.ts'
import type { Plan, Policy, Rule, Workload } from '../policy/types.ts'
import { verifyTable } from '../policy/verify.ts'
import { edited, mixed, paths, policyText, WORKLOAD, type Rules } from '../test/support/policies.ts'
import { corpus, workloadsFor } from './inputs.ts'
import { plot } from './plot.ts'
import { writeSection } from './results.ts'

const SIZES = [10, 30, 100, 300, 1000, 3000, 10_000, 30_000]
const MEBIBYTE = 2 ** 20
const sha256 = (bytes: Uint8Array): Uint8Array => createHash('sha256').update(bytes).digest()

interface Cost {
  readonly cpu: number
  readonly wall: number
}

/** Milliseconds of the cheapest of several runs; `work` is given the number of the run. */
function least(work: (run: number) => void, runs: number): Cost {
  let [wall, cpu] = [Infinity, Infinity]
  for (let run = 0; run < runs; run++) {
    const [started, used] = [performance.now(), process.cpuUsage()]
    work(run)
    wall = Math.min(wall, performance.now() - started)
    const { user, system } = process.cpuUsage(used)
    cpu = Math.min(cpu, (user + system) / 1000)
  }
  return { cpu, wall }
}

function planOf(text: string): Plan {
  const { policies, findings } = readManifests(text, 'bench.yaml')
  if (findings.some(({ severity }) => severity === 'error')) throw new Error(JSON.stringify(findings[0]))
  return makePlan(policies, WORKLOAD, { filePosture: 'audit' })
}

function tableOf(plan: Plan): CompileResult & { readonly ok: true } {
  const compiled = compile(plan, { sha256 })
  if (!compiled.ok) throw new Error(compiled.findings.map(({ message }) => message).join('\n'))
  return compiled
}

/* ---- One row for each target of the table ---- */

interface Bound {
  readonly text: string
  readonly most: number
}

/** `measured` in the unit of the bounds; absent: not measured. `lost`: why the aim is not met, where that is known. */
interface Row {
  readonly input: string
  readonly must: Bound
  readonly aim: Bound
  readonly measured?: number
  readonly result: string
  readonly lost?: string
}

const ms = ({ cpu, wall }: Cost): string => `${cpu.toFixed(1)} ms CPU, ${wall.toFixed(1)} ms wall`
const kib = (bytes: number): string => `${Math.round(bytes / 1024)} KiB`
const bound = (most: number, unit: string): Bound => ({ text: `${most.toLocaleString('en')} ${unit}`, most })

function fromText(runs: number): Row[] {
  const text = policyText(10_000, paths)
  const changed = Array.from({ length: runs }, (_, i) => edited(text, 17 + i * 97))
  const whole = least(() => tableOf(planOf(text)), runs)
  const read = least(() => readManifests(text, 'bench.yaml'), runs)
  const plan = planOf(text)
  const compiled = least(() => tableOf(plan), runs)
  const one = least((run) => tableOf(planOf(changed[run]!)), runs)
  const rest = whole.cpu - read.cpu - compiled.cpu
  const parts = `(read ${read.cpu.toFixed(1)}, plan ${Math.max(rest, 0).toFixed(1)}, compile ${compiled.cpu.toFixed(1)})`
  return [
    { input: '10,000 path rules of one profile, text to bytes', must: bound(250, 'ms'), aim: bound(60, 'ms'), measured: whole.cpu, result: `${ms(whole)} ${parts}`, lost: 'a quarter of it is the garbage collector, which copies what the three steps hand on' },
    { input: 'the same, one rule edited', must: bound(100, 'ms'), aim: bound(15, 'ms'), measured: one.cpu, result: ms(one), lost: 'it is done anew: reading alone takes as long as the aim, and the bytes of a table depend on all rules, so that equal rules give equal tables on every machine' },
  ]
}

const CORPUS_TIME = { must: bound(2000, 'ms'), aim: bound(500, 'ms') }
const CORPUS_SIZE = { must: bound(256, 'KiB'), aim: bound(96, 'KiB') }

function wholeCorpus(runs: number, directory: string | undefined): Row[] {
  const files = directory === undefined ? [] : corpus(directory)
  const input = 'the whole corpus, every policy against 100 workloads'
  const size = 'table for 1,000 rules of the corpus'
  if (files.length === 0) {
    const result = directory === undefined ? 'left out: no corpus was given (`CORPUS=DIR`)' : 'left out: that directory holds no manifests'
    return [{ input, ...CORPUS_TIME, result }, { input: size, ...CORPUS_SIZE, result }]
  }
  let [policies, tables]: [readonly Policy[], number] = [[], 0]
  const cost = least(() => {
    policies = files.flatMap(({ name, text }) => readManifests(text, name).policies)
    const decider = new Decider({ library: policyLibrary })
    decideAll(decider, policies, workloadsFor(policies, 100))
    tables = decider.done.compiles
  }, runs)
  const all = policies.flatMap(({ rules }) => rules)
  const distinct = [...new Map(all.map((rule) => [JSON.stringify({ ...rule, position: 0, message: 0, tags: 0, severity: 0 }), rule])).values()]
  const [first, different] = [all, distinct].map((rules) => tableOf(planOfRules(rules.slice(0, 1000))).stats)
  const sizes = `the first 1,000: ${kib(first!.bytes)} (${first!.states} states); 1,000 different ones: ${kib(different!.bytes)} (${different!.states} states)`
  return [
    { input, ...CORPUS_TIME, measured: cost.cpu, result: `${ms(cost)} (${files.length} files, ${policies.length} policies, ${tables} tables)` },
    { input: size, ...CORPUS_SIZE, measured: different!.bytes / 1024, result: sizes, lost: 'three fifths of it are the cells of four automata, which patterns with a `**` on both sides of what they look for fill, a quarter the decisions' },
  ]
}

function planOfRules(rules: readonly Rule[]): Plan {
  const position = { file: 'bench.yaml', line: 1, column: 1 }
  const [first] = readManifests(policyText(1, paths), 'bench.yaml').policies
  if (first === undefined) throw new Error('Cannot read the policy of the bench')
  return makePlan([{ ...first, rules, position }], WORKLOAD, { filePosture: 'audit' })
}

const POSTURES = { filePosture: 'audit', networkPosture: 'audit', capabilitiesPosture: 'audit' } as const

/** As the operator does, with its caches. */
function decideAll(decider: Decider, policies: readonly Policy[], workloads: readonly Workload[]): void {
  for (const workload of workloads) {
    const inputs = { policies: policies.filter(policy => selects(policy, workload)), postures: POSTURES, policySwitch: 'enabled' } as const
    const decision = decider.decide(decider.key(inputs, workload), inputs, workload)
    if (decision?.ok !== true) throw new Error(decision?.findings[0]?.message ?? 'Nothing was decided')
  }
}

function sameRules(): Row {
  const { policies } = readManifests(policyText(1000, mixed), 'bench.yaml')
  const decider = new Decider({ library: policyLibrary })
  const workloads = Array.from({ length: 1000 }, (_, i) => ({ ...WORKLOAD, pod: `pod-${i}` }))
  const cost = least(() => decideAll(decider, policies, workloads), 1)
  const once: Bound = { text: 'one compile', most: 1 }
  return { input: '1,000 workloads with the same rules', must: once, aim: once, measured: decider.done.compiles, result: `${decider.done.compiles} compile, ${ms(cost)}` }
}

function verification(runs: number): Row {
  // The number of rules whose table is the first of 1 MiB and more.
  let rules = 6000
  while (tableOf(planOf(policyText(rules, paths))).table.length < MEBIBYTE) rules += 250
  const { table } = tableOf(planOf(policyText(rules, paths)))
  const native = least(() => verifyTable(table, { sha256 }), runs)
  const pure = least(() => verifyTable(table), runs)
  const result = `${ms(native)} with node:crypto; ${pure.cpu.toFixed(1)} ms without`
  return { input: `verify a table of ${(table.length / MEBIBYTE).toFixed(2)} MiB`, must: bound(10, 'ms'), aim: bound(3, 'ms'), measured: native.cpu, result, lost: 'every cell is looked at, and whose it is' }
}

/** In a process of its own: what an earlier measurement had needed would be there already. */
function memory(): Row {
  const peaks = ['base', 'rules'].map(what => Number(spawnSync(process.execPath, [import.meta.filename, '--peak', what], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] }).stdout))
  const [base, rules] = [peaks[0] ?? Number.NaN, peaks[1] ?? Number.NaN]
  const over = ((rules - base) * 1024) / 1e6
  return { input: 'peak memory over the base, 10,000 rules', must: bound(200, 'MB'), aim: bound(100, 'MB'), measured: over, result: `${over.toFixed(0)} MB (base ${((base * 1024) / 1e6).toFixed(0)} MB)` }
}

/** KiB, as Linux counts it: of this process, which has compiled ten rules or ten thousand. */
function printPeak(what: string): void {
  tableOf(planOf(policyText(what === 'base' ? 10 : 10_000, paths)))
  console.log(/VmHWM:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))?.[1])
}

/* ---- Growth ---- */

interface Point {
  readonly input: string
  readonly rules: number
  readonly cost: Cost
  readonly stats: (CompileResult & { readonly ok: true })['stats']
}

function growth(input: string, rules: Rules): readonly Point[] {
  return SIZES.map(count => {
    const text = policyText(count, rules)
    const runs = count > 5000 ? 5 : 15
    const cost = least(() => tableOf(planOf(text)), runs)
    return { input, rules: count, cost, stats: tableOf(planOf(text)).stats }
  })
}

/* ---- Output ---- */

const ROOT = join(import.meta.dirname, '..')

function verdict({ measured }: Row, { most }: Bound): string {
  return measured === undefined ? '–' : measured <= most ? 'met' : '**missed**'
}

function markdown(rows: readonly Row[], points: readonly Point[]): string {
  const targets = rows.map((row) => `| ${row.input} | ${row.must.text}: ${verdict(row, row.must)} | ${row.aim.text}: ${verdict(row, row.aim)} | ${row.result} |`)
  const losing = rows.filter(({ measured, aim }) => measured !== undefined && measured > aim.most).map(({ input, must, measured, lost }) => `- ${measured! > must.most ? '**Missed.** ' : 'Aim missed. '}${input}${lost === undefined ? '' : `: ${lost}`}.`)
  const sizes = points.map(({ input, rules, cost, stats }) => `| ${input} | ${rules} | ${cost.cpu.toFixed(1)} | ${((cost.cpu * 1000) / rules).toFixed(1)} | ${stats.automata} | ${stats.states} | ${stats.cells} | ${stats.objects} | ${stats.bytes / 1024} |`)
  return [
    '| input | must | aim | measured |\n|---|---|---|---|',
    ...targets,
    ...(losing.length === 0 ? [] : ['', 'What loses:\n', ...losing]),
    '\n| rules | count | text to bytes, CPU ms | µs a rule | automata | states | cells | objects | KiB |\n|---|--:|--:|--:|--:|--:|--:|--:|--:|',
    ...sizes,
  ].join('\n')
}

function main(): void {
  const { values } = parseArgs({ options: { write: { type: 'boolean', default: false }, corpus: { type: 'string' }, peak: { type: 'string' } } })
  if (values.peak !== undefined) return printPeak(values.peak)
  const rows = [...fromText(15), ...wholeCorpus(5, values.corpus), sameRules(), verification(30), memory()]
  const points = [...growth('paths', paths), ...growth('mixed', mixed)]
  const text = markdown(rows, points)
  console.log(text)
  if (!values.write) return
  writeSection('compile', text)
  const series = ['paths', 'mixed'].map((name) => ({ name: `${name} (test/support/policies.ts)`, points: points.filter(({ input }) => input === name).map(({ rules, cost }) => [rules, cost.cpu] as const) }))
  writeFileSync(join(ROOT, 'docs/picture/compile.svg'), plot(series, 'From text to bytes: CPU milliseconds by number of rules'))
}

main()
