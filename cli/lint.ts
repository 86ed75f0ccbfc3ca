// SPDX-License-Identifier: Apache-2.0
import { lint } from '../policy/lint.ts'
import { renderJson, renderText } from '../policy/render.ts'
import { readInputs } from './manifests.ts'
import { EXIT_NEGATIVE, EXIT_OK, readArgs, readChoice, type Io, type Verb } from './verb.ts'

const HELP = `Usage: merlon lint PATH... [OPTION]...

Says what is wrong with policies, and what is legal and probably not meant. A PATH is a file, a directory of *.yaml, *.yml
and *.json, or - for standard input. Files are looked at together: names, and selectors against pods that are among them.

  -o, --output FORMAT    text or json (default text)

Exit codes: 0 nothing or warnings only, 1 errors, 2 usage or files that cannot be read. docs/errors.md explains each code.
`

export const verb: Verb = { help: HELP, run }

async function run(args: readonly string[], io: Io): Promise<number> {
  const { values, positionals } = readArgs(args, { output: { type: 'string', short: 'o', default: 'text' } }, Infinity)
  const output = readChoice('output', values.output, ['text', 'json'])
  const inputs = await readInputs(positionals, io)
  const report = lint(inputs)
  io.stdout.write(output === 'json' ? renderJson(report) : renderText(report, new Map(inputs.map(({ file, text }) => [file, text]))))
  return report.findings.some(({ severity }) => severity === 'error') ? EXIT_NEGATIVE : EXIT_OK
}
