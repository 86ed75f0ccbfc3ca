// SPDX-License-Identifier: Apache-2.0
import { readdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { readPolicyTests, runPolicyTest, type Outcome, type PolicyTest } from '../policy/policytest.ts'
import { renderFinding } from '../policy/render.ts'
import type { Position } from '../policy/types.ts'
import { isManifest, isPolicyTest, loadPolicies, readInputs, type Loaded } from './manifests.ts'
import { junit, tap } from './test-report.ts'
import { EXIT_NEGATIVE, EXIT_OK, readArgs, readChoice, TroubleError, type Io, type Verb } from './verb.ts'

const HELP = `Usage: merlon test PATH... [OPTION]...

Runs tests of policies, without a kernel. A PATH is a *.policytest.yaml, or a directory with some in it or below. Manifests are
those that the file lists, or else those beside it.

  -o, --output FORMAT    tap or junit (default tap)

A test file:

  workload: {namespace: shop, labels: {app: web}}     # or {host: true, labels: {...}}
  tests:
    - {exec: /usr/bin/wget, source: /bin/sh, expect: Block, policy: block-shell-tools}
    - {open: /etc/passwd, write: true, notOwner: true, expect: Audit, rule: file path /etc/passwd}

Each test may have a name, a workload and a posture of its own. Exit codes: 0 all hold, 1 some do not or some manifest or test is
wrong, 2 usage, files, or nothing to run.
`

export const verb: Verb = { help: HELP, run }

export interface Run {
  readonly file: string
  readonly test: PolicyTest
  readonly outcome: Outcome
}

async function run(args: readonly string[], io: Io): Promise<number> {
  const { values, positionals } = readArgs(args, { output: { type: 'string', short: 'o', default: 'tap' } }, Infinity)
  const output = readChoice('output', values.output, ['tap', 'junit'])
  const files = await readInputs(positionals, io, isPolicyTest)
  const runs: Run[] = []
  const rules = new Map<string, boolean>()
  let wrong = false
  for (const { file, text } of files) {
    const { manifests, tests, findings } = readPolicyTests(text, file)
    for (const finding of findings) io.stderr.write(`${renderFinding(finding, text)}\n`)
    const loaded = await loadPolicies(await manifestsOf(file, manifests), io)
    if (findings.length > 0 || loaded.errors.length > 0) wrong = true
    const own = tests.map((test): Run => ({ file, test, outcome: runPolicyTest(test, loaded.policies, loaded.namespaces) }))
    note(rules, loaded, own)
    runs.push(...own)
  }
  if (runs.length === 0 && !wrong) throw new TroubleError('MERLON_CLI_NO_TESTS', 'There is no test in these files: write some under tests:')
  io.stdout.write(output === 'tap' ? tap(runs, rules) : junit(runs))
  return wrong || runs.some(({ outcome }) => !outcome.ok) ? EXIT_NEGATIVE : EXIT_OK
}

/** As the file lists them, or else the manifests in its directory. */
async function manifestsOf(file: string, listed: readonly string[]): Promise<readonly string[]> {
  const directory = dirname(file)
  if (listed.length > 0) return listed.map((name) => join(directory, name))
  const found = (await readdir(directory)).filter(isManifest).toSorted().map((name) => join(directory, name))
  if (found.length === 0) throw new TroubleError('MERLON_CLI_NO_MANIFESTS', `There is no manifest beside ${file}: name some under manifests:`)
  return found
}

/** Every rule of the manifests, and whether a test was decided by it. */
function note(rules: Map<string, boolean>, { policies }: Loaded, runs: readonly Run[]): void {
  for (const place of policies.flatMap((policy) => policy.rules.map(({ position }) => placeOf(position)))) rules.set(place, rules.get(place) ?? false)
  for (const { outcome } of runs) {
    const { origin, by } = outcome.explanation
    if (by === 'rule' && origin !== undefined) rules.set(placeOf(origin.position), true)
  }
}

function placeOf({ file, line, column }: Position): string {
  return `${file}:${line}:${column}`
}
