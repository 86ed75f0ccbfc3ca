// SPDX-License-Identifier: Apache-2.0
// What compiling costs: plan to table, in one process, the least of several runs. `node bench/compile.ts [--svg FILE]`.
import { createHash } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { compile, type CompileStats } from '../policy/compile.ts'
import { makePlan } from '../policy/plan.ts'
import type { Match, Plan, Policy, Rule, Workload } from '../policy/types.ts'
import { verifyTable } from '../policy/verify.ts'

const RUNS = 7
/** No measurement goes on for longer, two runs excepted. */
const PATIENCE_MS = 600
const SIZES = [10, 100, 1000, 10_000, 30_000]
const WORKLOAD: Workload = { host: false, namespace: 'default', pod: 'pod', container: 'main', labels: {} }

function sha256(bytes: Uint8Array): Uint8Array {
  return createHash('sha256').update(bytes).digest()
}

/** As in a policy of an application that lists its files. */
function pathMatch(i: number): Match {
  return { kind: 'path', path: `/usr/lib/app-${String(i).padStart(5, '0')}/bin/tool-${i % 17}` }
}

/** All kinds of rules: mostly paths and directories, some patterns, and 4 names and one unanchored pattern however many rules there are. */
function mixedMatch(i: number): Match {
  if (i % 10 < 6) return { kind: 'path', path: `/opt/service-${i % 97}/bin/command-${i}` }
  if (i % 10 < 8) return { kind: 'dir', dir: `/var/lib/service-${i}/`, recursive: i % 20 < 10 }
  if (i % 100 === 8) return { kind: 'pattern', pattern: `/srv/**/data-${i % 100}/*.key` }
  return i % 10 === 8 ? { kind: 'name', name: `tool-${i % 40}` } : { kind: 'pattern', pattern: `/etc/service-${i}/*.conf` }
}

function rulesOf(count: number, matchOf: (i: number) => Match): Rule[] {
  return Array.from({ length: count }, (_, i): Rule => ({
    section: i % 2 === 0 ? 'process' : 'file',
    match: matchOf(i),
    action: 'Block',
    readOnly: false,
    ownerOnly: false,
    sources: [],
    severity: 1,
    tags: [],
    message: '',
    position: { file: 'bench.yaml', line: i + 1, column: 1 },
  }))
}

function planOf(rules: readonly Rule[]): Plan {
  const position = { file: 'bench.yaml', line: 1, column: 1 }
  const selector = { matchLabels: {}, matchExpressions: [], containers: [] }
  const policy: Policy = { kind: 'KubeArmorPolicy', name: 'bench', namespace: 'default', selector, rules, position }
  return makePlan([policy], WORKLOAD, { filePosture: 'audit' })
}

/** Milliseconds of the fastest of several runs, and what it gave. Both wall clock and, since machines are shared, processor time. */
function least<T>(work: () => T, runs = RUNS): { readonly wall: number; readonly cpu: number; readonly value: T } {
  let [wall, cpu] = [Infinity, Infinity]
  let value = work()
  const end = performance.now() + PATIENCE_MS
  for (let run = 0; run < runs && (run < 2 || performance.now() < end); run++) {
    const [started, used] = [performance.now(), process.cpuUsage()]
    value = work()
    wall = Math.min(wall, performance.now() - started)
    const { user, system } = process.cpuUsage(used)
    cpu = Math.min(cpu, (user + system) / 1000)
  }
  return { wall, cpu, value }
}

interface Line {
  readonly input: string
  readonly rules: number
  readonly planMs: number
  readonly wallMs: number
  readonly cpuMs: number
  readonly verifyMs: number
  readonly stats: CompileStats
}

function measure(input: string, rules: readonly Rule[]): Line {
  const runs = rules.length > 5000 ? RUNS : RUNS * 3
  const plan = least(() => planOf(rules), Math.ceil(runs / 3))
  const compiled = least(() => compile(plan.value, { sha256 }), runs)
  if (!compiled.value.ok) throw new Error(compiled.value.findings.map(finding => finding.message).join('\n'))
  const { table, stats } = compiled.value
  const verified = least(() => verifyTable(table, { sha256 }), runs)
  if (!verified.value.ok) throw new Error(verified.value.problem)
  return { input, rules: rules.length, planMs: plan.wall, wallMs: compiled.wall, cpuMs: compiled.cpu, verifyMs: verified.wall, stats }
}

function print({ input, rules, planMs, wallMs, cpuMs, verifyMs, stats }: Line): void {
  const numbers = [planMs.toFixed(1).padStart(7), wallMs.toFixed(1).padStart(11), cpuMs.toFixed(1).padStart(7), verifyMs.toFixed(2).padStart(10)]
  const sizes = [stats.states, stats.cells, stats.objects, stats.bytes / 1024].map(value => String(value).padEnd(8))
  console.log(`${input.padEnd(7)} ${String(rules).padEnd(6)} ${numbers.join(' ')}  ${sizes.join(' ')}`)
}

/** Verification of about 1 MiB, with and without the platform's SHA-256. */
function printVerification(): void {
  const compiled = compile(planOf(rulesOf(4400, pathMatch)), { sha256 })
  if (!compiled.ok) throw new Error('Cannot compile the rules of the verification bench')
  const mebibytes = (compiled.table.length / 2 ** 20).toFixed(2)
  const native = least(() => verifyTable(compiled.table, { sha256 }), 30)
  const pure = least(() => verifyTable(compiled.table), 30)
  console.log(`verify ${mebibytes} MiB: ${native.wall.toFixed(2)} ms with node:crypto, ${pure.wall.toFixed(2)} ms without`)
}

function printMemory(rules: readonly Rule[]): void {
  const plan = planOf(rules)
  globalThis.gc?.()
  const base = highWater()
  compile(plan, { sha256 })
  console.log(`peak memory over the base for ${rules.length} rules: ${((highWater() - base) / 1024).toFixed(0)} MiB (first run in the process)`)
}

/** KiB, as Linux counts it. */
function highWater(): number {
  return Number(/VmHWM:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? 0)
}

/** Time by number of rules, both axes logarithmic, with a line of linear growth to compare with. */
function svg(lines: readonly Line[]): string {
  const [width, height, margin] = [640, 400, 50]
  const x = (rules: number): number => margin + ((Math.log10(rules) - 1) / 3.5) * (width - 2 * margin)
  const y = (ms: number): number => height - margin - ((Math.log10(ms) + 1) / 4) * (height - 2 * margin)
  const series = ['paths', 'mixed'].map((input, i) => {
    const own = lines.filter(line => line.input === input)
    const colour = ['#1f6feb', '#d1242f'][i]!
    const points = own.map(line => `${x(line.rules).toFixed(1)},${y(line.wallMs).toFixed(1)}`)
    const dots = points.map(point => `<circle cx="${point.split(',')[0]}" cy="${point.split(',')[1]}" r="3" fill="${colour}"/>`).join('')
    return `<polyline points="${points.join(' ')}" fill="none" stroke="${colour}" stroke-width="2"/>${dots}<text x="${width - margin - 60}" y="${margin + 20 * i + 260}" fill="${colour}">${input}</text>`
  })
  const ticks = [10, 100, 1000, 10_000].map(rules => `<text x="${x(rules) - 10}" y="${height - margin + 20}">${rules}</text>`)
  const marks = [0.1, 1, 10, 100, 1000].map(ms => `<text x="4" y="${y(ms) + 4}">${ms} ms</text><path d="M${margin} ${y(ms)}H${width - margin}" stroke="#ddd"/>`)
  const linear = `<path d="M${x(10)} ${y(0.1)}L${x(30_000)} ${y(300)}" stroke="#888" stroke-dasharray="4"/><text x="${x(2000)}" y="${y(14)}" fill="#888">linear</text>`
  const body = [...marks, ...ticks, linear, ...series, `<text x="${width / 2 - 20}" y="${height - 8}">rules</text>`]
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="#fff"/>${body.join('')}</svg>\n`
}

const { values } = parseArgs({ options: { svg: { type: 'string' } } })
printMemory(rulesOf(10_000, pathMatch))
printVerification()
console.log('input   rules  plan ms  compile ms  cpu ms  verify ms  states   cells    objects  KiB')
const lines: Line[] = []
for (const size of SIZES) {
  for (const [input, matchOf] of [['paths', pathMatch], ['mixed', mixedMatch]] as const) {
    const line = measure(input, rulesOf(size, matchOf))
    print(line)
    lines.push(line)
  }
}
if (values.svg !== undefined) writeFileSync(values.svg, svg(lines))
