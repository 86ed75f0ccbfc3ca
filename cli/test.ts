// SPDX-License-Identifier: Apache-2.0
import { readdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { readPolicyTests, runPolicyTest } from '../policy/policytest.ts'
import { renderFinding } from '../policy/render.ts'
import { isManifest, isPolicyTest, loadPolicies, readInputs } from './manifests.ts'
import { Coverage, type Run } from './test-coverage.ts'
import { junit, tap, type Wrong } from './test-report.ts'
import { EXIT_NEGATIVE, EXIT_OK, readArgs, readChoice, TroubleError, type Io, type Verb } from './verb.ts'

const HELP = `Usage: merlon test PATH... [OPTION]...

Runs tests of policies, without a kernel. A PATH is a *.policytest.yaml, or a directory with some in it or below. Manifests are
those that the file lists, or else those beside it.

  -o, --output FORMAT    tap or junit (default tap)
      --mutants          also change every rule in several ways, one at a time, and say which changes no test notices

The output ends with the rules that decided a test and the classes of objects that a test was about, of all that the rules tell apart.

A test file:

  workload: {namespace: shop, labels: {app: web}}     # or {host: true, labels: {...}}
  tests:
    - {exec: /usr/bin/wget, source: /bin/sh, expect: Block, policy: block-shell-tools}
    - {open: /etc/passwd, write: true, notOwner: true, expect: Audit, rule: file path /etc/passwd}

Operations are those of merlon why. Each test may have a name, a workload and a posture of its own. Exit codes: 0 all hold, 1 some
do not or some manifest or test is wrong, 2 usage, files, or nothing to run.
`

export const verb: Verb = { help: HELP, run }

async function run(args: readonly string[], io: Io): Promise<number> {
  const { values, positionals } = readArgs(args, { output: { type: 'string', short: 'o', default: 'tap' }, mutants: { type: 'boolean' } }, Infinity)
  const output = readChoice('output', values.output, ['tap', 'junit'])
  const files = await readInputs(positionals, io, isPolicyTest)
  const runs: Run[] = []
  const coverage = new Coverage(values.mutants === true)
  const wrong: Wrong[] = []
  for (const { file, text } of files) {
    const { manifests, tests, findings } = readPolicyTests(text, file)
    for (const finding of findings) io.stderr.write(`${renderFinding(finding, text)}\n`)
    const loaded = await loadPolicies(await manifestsOf(file, manifests), io)
    wrong.push(...[...findings, ...loaded.errors].map((finding) => ({ file, finding })))
    const own = tests.map((test): Run => ({ file, test, outcome: runPolicyTest(test, loaded.policies, loaded.surroundings) }))
    coverage.add(loaded, own)
    runs.push(...own)
  }
  if (runs.length === 0 && wrong.length === 0) throw new TroubleError('MERLON_CLI_NO_TESTS', 'There is no test in these files: write some under tests:')
  const results = { runs, wrong, coverage }
  io.stdout.write(output === 'tap' ? tap(results) : junit(results))
  return wrong.length > 0 || runs.some(({ outcome }) => !outcome.ok) ? EXIT_NEGATIVE : EXIT_OK
}

/** As the file lists them, or else the manifests in its directory. */
async function manifestsOf(file: string, listed: readonly string[]): Promise<readonly string[]> {
  const directory = dirname(file)
  if (listed.length > 0) return listed.map((name) => join(directory, name))
  const found = (await readdir(directory)).filter(isManifest).toSorted().map((name) => join(directory, name))
  if (found.length === 0) throw new TroubleError('MERLON_CLI_NO_MANIFESTS', `There is no manifest beside ${file}: name some under manifests:`)
  return found
}
