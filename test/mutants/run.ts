// SPDX-License-Identifier: Apache-2.0
// make mutants: seeds bugs into copies of the tree, one at a time, and lets the tests find them. Ends with 1 where one survives.
//
//   node test/mutants/run.ts [names...]
//   MERLON_MUTANT_CASES sets how many questions the differential tests put to each (10,000).
import { spawnSync } from 'node:child_process'
import { globSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { MUTANTS } from './list.ts'
import type { Mutant } from './mutant.ts'
import { ScratchTree, TREE } from './tree.ts'
import { tryOut, type Outcome } from './trial.ts'

const CASES = process.env['MERLON_MUTANT_CASES'] ?? '10000'
const ENVIRONMENT = { MERLON_CASES: CASES, MERLON_SEED: process.env['MERLON_SEED'] ?? '7' }
/** Of processor time for one file; the longest takes a tenth of it. */
const SECONDS = 180

interface Verdict {
  readonly mutant: Mutant
  /** Absent: it survived. */
  readonly killer?: { readonly file: string; readonly test: string }
  /** The mutant itself is wrong. */
  readonly broken?: string
}

/** Every unit test that reads the compiler or the matcher: what a survivor has survived. */
function allTests(): readonly string[] {
  return globSync('{policy,test/matcher}/**/*.test.ts', { cwd: TREE }).filter((file) => !file.endsWith('/corpus.test.ts')).sort()
}

/** Without the bugs everything passes: otherwise a failure would prove nothing. */
async function baseline(trees: readonly ScratchTree[], files: readonly string[]): Promise<void> {
  await inLanes(files, trees, async (file, { directory }) => {
    const outcome = await tryOut({ directory, file, seconds: SECONDS, environment: ENVIRONMENT })
    if (outcome.kind !== 'passed') throw new Error(`${file} does not pass on the tree as it is: ${describe(outcome)}`)
  })
}

/** Bugs that the type checker finds would never be committed. */
function checkTypes(mutants: readonly Mutant[]): void {
  const tree = new ScratchTree()
  try {
    for (let left: readonly Mutant[] = mutants.filter(({ file }) => file.endsWith('.ts')); left.length > 0; ) {
      left = tree.seedMany(left)
      const { stdout } = spawnSync(process.execPath, [join(TREE, 'node_modules/typescript/bin/tsc'), '-p', '.'], { cwd: tree.directory, encoding: 'utf8' })
      // Only rooms that are in the scratch tree: what they import of others is missed, which is no news of the mutants.
      const own = stdout.split('\n').filter((line) => mutants.some(({ file }) => line.startsWith(`${file}(`)))
      if (own.length > 0) throw new Error(`A mutant does not type-check:\n${own.join('\n')}`)
    }
  } finally {
    tree.remove()
  }
}

async function judge(mutant: Mutant, tree: ScratchTree, all: readonly string[]): Promise<Verdict> {
  tree.seed(mutant)
  try {
    const made = mutant.file.startsWith('bpf/') ? spawnSync('make', ['-s', '-C', join(tree.directory, 'test/matcher')], { encoding: 'utf8' }) : undefined
    if (made !== undefined && made.status !== 0) return { mutant, broken: made.stderr || `make ended with ${made.signal ?? made.status}: ${String(made.error)}` }
    for (const file of new Set([...mutant.tests, ...all])) {
      const outcome = await tryOut({ directory: tree.directory, file, seconds: SECONDS, environment: ENVIRONMENT })
      if (outcome.kind === 'broken') return { mutant, broken: outcome.said }
      if (outcome.kind !== 'passed') return { mutant, killer: { file, test: describe(outcome) } }
    }
    return { mutant }
  } finally {
    tree.restore(mutant)
  }
}

function describe(outcome: Outcome): string {
  switch (outcome.kind) {
    case 'passed':
      return 'it passed'
    case 'failed':
      return outcome.test
    case 'hung':
      return `(no end within ${SECONDS} s of processor time)`
    case 'exhausted':
      return '(more memory than it may have)'
    case 'broken':
      return outcome.said
  }
}

/** One item after the other in each lane. */
async function inLanes<T, L>(items: readonly T[], lanes: readonly L[], work: (item: T, lane: L) => Promise<void>): Promise<void> {
  const waiting = [...items]
  await Promise.all(
    lanes.map(async (lane) => {
      for (let item = waiting.shift(); item !== undefined; item = waiting.shift()) await work(item, lane)
    }),
  )
}

function show({ mutant, killer, broken }: Verdict): string {
  const head = `${mutant.name} (${mutant.file}): ${mutant.bug}`
  if (broken !== undefined) return `BROKEN    ${head}\n          ${broken.trim().replaceAll('\n', '\n          ')}`
  if (killer === undefined) return `SURVIVED  ${head}`
  return `killed    ${head}\n          by ${killer.file}: ${killer.test}`
}

const names = process.argv.slice(2)
const unknown = names.find((name) => !MUTANTS.some((mutant) => mutant.name === name))
if (unknown !== undefined) throw new Error(`There is no mutant ${unknown}`)
const chosen = MUTANTS.filter(({ name }) => names.length === 0 || names.includes(name))
const lanes = Array.from({ length: availableParallelism() }, () => new ScratchTree())
const verdicts: Verdict[] = []
try {
  checkTypes(MUTANTS)
  const all = allTests()
  await baseline(lanes, names.length === 0 ? all : [...new Set(chosen.flatMap(({ tests }) => tests))])
  await inLanes(chosen, lanes, async (mutant, tree) => {
    const verdict = await judge(mutant, tree, all)
    verdicts.push(verdict)
    console.log(show(verdict))
  })
} finally {
  for (const tree of lanes) tree.remove()
}
const alive = verdicts.filter(({ killer }) => killer === undefined)
console.log(`${verdicts.length - alive.length} of ${verdicts.length} mutants killed${alive.length > 0 ? `; not killed: ${alive.map(({ mutant }) => mutant.name).join(', ')}` : ''}`)
process.exitCode = alive.length > 0 || verdicts.length === 0 ? 1 : 0
