// SPDX-License-Identifier: Apache-2.0
import { harmless, paint, quote } from './terminal.ts'
import { count, readStatus, type Status, type StatusFinding, type StatusNode } from './status-file.ts'
import { EXIT_NEGATIVE, EXIT_OK, readArgs, readChoice, TroubleError, type Io, type Verb } from './verb.ts'

const HELP = `Usage: merlon status [OPTION]...

Shows which policies merlon up enforces here, what is wrong with others, and whether the kernel refuses what it should.

  --state-dir PATH       of merlon up (default /run/merlon)
  -o, --output FORMAT    text or json: the operator's status file as it is (default text)

Exit code 1 where something is wrong: an error in a policy, or a node that does not enforce what it was sent.
`

export const verb: Verb = { help: HELP, run }

async function run(args: readonly string[], io: Io): Promise<number> {
  const { values } = readArgs(args, {
    'state-dir': { type: 'string', default: '/run/merlon' },
    output: { type: 'string', short: 'o', default: 'text' },
  })
  const output = readChoice('output', values.output, ['text', 'json'])
  const status = await readStatus(`${values['state-dir']}/status.json`).catch((error: NodeJS.ErrnoException) => {
    throw new TroubleError('MERLON_CLI_NO_STATUS', `Cannot read the status in ${values['state-dir']}: ${error.message}`, { cause: error })
  })
  if (status === undefined) {
    throw new TroubleError('MERLON_CLI_NO_STATUS', `There is no status in ${values['state-dir']}: is merlon up running, with this --state-dir?`)
  }
  io.stdout.write(output === 'json' ? `${JSON.stringify(status.raw, null, 2)}\n` : describe(status, io.colour))
  return isWell(status) ? EXIT_OK : EXIT_NEGATIVE
}

export function isWell(status: Status): boolean {
  return status.findings.every(({ severity }) => severity !== 'error') && status.nodes.every((node) => node.connected && node.acknowledged && node.errors.length === 0 && node.canaryRefused !== false)
}

export function describe(status: Status, colour: boolean): string {
  const lines = [`Generation ${status.generation}: ${count(status.policies.length, 'policy', 'policies')}, ${count(status.workloads, 'workload', 'workloads')}`]
  for (const policy of status.policies) {
    const name = [policy.namespace, policy.name].filter((part) => part !== '').map(harmless).join('/')
    lines.push(`  ${harmless(policy.kind)} ${name}: ${count(policy.workloads, 'workload', 'workloads')}${policy.file === '' ? '' : `, ${quote(policy.file)}`}`)
  }
  for (const node of status.nodes) lines.push(...describeNode(node, colour))
  if (status.nodes.length === 0) lines.push(paint('No agent is connected: what was loaded before stays in force, changes wait', 'red', colour))
  for (const finding of status.findings) lines.push(...describeFinding(finding, colour))
  return `${lines.join('\n')}\n`
}

function describeNode(node: StatusNode, colour: boolean): string[] {
  const canary = node.canaryRefused === undefined ? 'probe not run' : node.canaryRefused ? 'probe refused, as it must be' : 'PROBE NOT REFUSED: the kernel does not enforce'
  const state = node.connected ? (node.acknowledged ? `enforces generation ${node.generation}` : `behind: holds generation ${node.generation}`) : 'not connected'
  const well = node.connected && node.acknowledged && node.canaryRefused !== false
  return [
    `Node ${harmless(node.name)}: ${paint(`${state}; ${canary}`, well ? 'green' : 'red', colour)}`,
    ...node.errors.map((error) => `  ${paint(harmless(error), 'red', colour)}`),
    ...node.reasons.map((reason) => `  ${harmless(reason)}`),
  ]
}

/** file:line:column first, as editors and terminals know it. */
function describeFinding(finding: StatusFinding, colour: boolean): string[] {
  const place = finding.line === 0 ? quote(finding.file) : `${quote(finding.file)}:${finding.line}:${finding.column}`
  const head = `${place}: ${paint(harmless(finding.severity), finding.severity === 'error' ? 'red' : 'yellow', colour)}: ${harmless(finding.message)} (${harmless(finding.code)})`
  const text = finding.text === '' ? [] : [`    ${harmless(finding.text)}`]
  const hint = finding.hint === '' ? [] : [`  ${harmless(finding.hint)}`]
  return [head, ...text, ...hint]
}
