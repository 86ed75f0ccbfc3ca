// SPDX-License-Identifier: Apache-2.0
// make bench: what Merlon adds to operations, in instructions, on every kernel (bench/cost.c measures, in icount guests), written to
// bench/RESULTS.md with how to repeat it. Figures of icount guests repeat to a few instructions on any machine, however busy.
import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { compile } from '../policy/compile.ts'
import { makePlan } from '../policy/plan.ts'
import { readManifests } from '../policy/read.ts'
import { runInGuest } from '../test/support/vm/guest.ts'
import { isKernelName, KERNEL_NAMES } from '../test/support/vm/kernels.ts'

const BUILD = 'build/bench'
const RESULTS = 'bench/RESULTS.md'
const BEGIN = '<!-- cost: begin -->'
const END = '<!-- cost: end -->'

/** Compiles one policy's spec for app=web, and writes the table. */
function writeTable(name: string, spec: string): void {
  const text = `apiVersion: security.kubearmor.com/v1\nkind: KubeArmorPolicy\nmetadata: {name: bench, namespace: default}\nspec:\n  selector: {matchLabels: {app: web}}\n${spec}\n`
  const { policies, findings } = readManifests(text, `${name}.yaml`)
  if (findings.some((finding) => finding.severity === 'error')) throw new Error(JSON.stringify(findings))
  const workload = { host: false, namespace: 'default', pod: 'p', container: 'c', labels: { app: 'web' } }
  const compiled = compile(makePlan(policies, workload, { filePosture: 'block' }))
  if (!compiled.ok) throw new Error(JSON.stringify(compiled.findings))
  writeFileSync(`${BUILD}/${name}.table`, compiled.table)
  console.log(`${name}: ${compiled.stats.bytes} bytes, ${compiled.stats.states} states`)
}

/** 1,000 rules, none of which matches what is measured: paths, directories, patterns and sourced rules of files and processes. */
function manyRules(): string {
  const rules = (section: string, count: number): string => {
    const paths = Array.from({ length: count * 0.7 }, (_, i) => `    - path: /opt/app${i % 37}/lib/module-${i}/file${i}${i % 10 === 0 ? `\n      fromSource: [{path: /usr/bin/tool${i % 70}}]` : ''}`)
    const directories = Array.from({ length: count * 0.2 }, (_, i) => `    - {dir: /srv/data${i}/private/, recursive: ${i % 2 === 0}}`)
    const patterns = Array.from({ length: count * 0.1 }, (_, i) => `    - pattern: /var/log/app${i}/*.log`)
    return `  ${section}:\n    matchPaths:\n${paths.join('\n')}\n    matchDirectories:\n${directories.join('\n')}\n    matchPatterns:\n${patterns.join('\n')}`
  }
  return `${rules('file', 600)}\n${rules('process', 400)}\n  action: Block`
}

function prepare(): void {
  mkdirSync(BUILD, { recursive: true })
  writeTable('one', '  file: {matchPaths: [{path: /etc/shadow}]}\n  process: {matchPaths: [{path: /usr/bin/nc}]}\n  action: Block')
  writeTable('thousand', manyRules())
  writeTable('allow', '  file: {matchDirectories: [{dir: /, recursive: true}]}\n  process: {matchDirectories: [{dir: /, recursive: true}]}\n  action: Allow')
  execFileSync('gcc', ['-O2', '-Wall', '-o', `${BUILD}/cost`, 'bench/cost.c', '-lbpf'], { stdio: 'inherit' })
  execFileSync('gcc', ['-O2', '-static', '-x', 'c', '-', '-o', `${BUILD}/true`], { input: 'int main(void) { return 0; }' })
}

const SCRIPT = `set -e
mkdir -p /tmp/bench/data/a/b/c/d/e/f/g/h/i/j
cp ${BUILD}/true /tmp/bench/true
for i in $(seq -w 0 127); do echo > /tmp/bench/data/$i; done
echo > /tmp/bench/data/file; echo > /tmp/bench/data/a/b/c/d/e/f/g/h/i/j/file
cp ${BUILD}/cost ${BUILD}/*.table build/bpf/merlon.bpf.o /tmp/
cd /tmp && ./cost merlon.bpf.o one.table thousand.table allow.table
`

type Rows = Map<string, Map<string, number>>

async function measure(kernel: (typeof KERNEL_NAMES)[number]): Promise<Rows> {
  console.log(`Measuring on ${kernel}`)
  const { status, output } = await runInGuest({ kernel, script: SCRIPT, timeoutSeconds: 1800, icount: true })
  if (status !== 0) throw new Error(`The bench on ${kernel} ended with ${status}:\n${output}`)
  const rows: Rows = new Map()
  for (const line of output.split('\n')) {
    const [configuration, workload, value] = line.split('\t')
    if (configuration === undefined || workload === undefined || value === undefined) continue
    rows.set(workload, (rows.get(workload) ?? new Map<string, number>()).set(configuration, Number(value)))
  }
  return rows
}

function render(kernel: string, rows: Rows): string {
  const configurations = ['loaded, not bound', 'bound, 1 rule', 'bound, 1,000 rules', 'bound, allow-list, matched']
  const lines = [...rows].map(([workload, values]) => {
    const base = values.get('base') ?? 0
    const noise = Math.max(...['base again', 'base last'].map((name) => Math.abs((values.get(name) ?? base) - base)))
    const added = configurations.map((name) => `+${(values.get(name) ?? Number.NaN) - base}`.replace('+-', '-'))
    return `| ${[workload, base, `±${noise}`, ...added].join(' | ')} |`
  })
  return [`### Linux ${kernel}`, '', `| operation | base | noise | ${configurations.join(' | ')} |`, `|---|${'--:|'.repeat(configurations.length + 2)}`, ...lines, ''].join('\n')
}

/** Puts the text between the marks of the results page. */
function writeResults(text: string): void {
  const page = readFileSync(RESULTS, 'utf8')
  const [before = ''] = page.split(BEGIN)
  const after = page.split(END)[1] ?? ''
  writeFileSync(RESULTS, `${before}${BEGIN}\n\n${text}\n${END}${after}`)
}

const { positionals } = parseArgs({ allowPositionals: true })
const kernels = KERNEL_NAMES.filter((name) => positionals.length === 0 || positionals.includes(name))
for (const name of positionals) if (!isKernelName(name)) throw new Error(`There is no kernel "${name}": use one of ${KERNEL_NAMES.join(', ')}`)
prepare()
const sections: string[] = []
for (const kernel of kernels) {
  const section = render(kernel, await measure(kernel))
  console.log(section)
  sections.push(section)
}
if (kernels.length === KERNEL_NAMES.length) writeResults(sections.join('\n'))
else console.log(`Not all kernels were measured: ${RESULTS} is left as it is`)
