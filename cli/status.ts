// SPDX-License-Identifier: Apache-2.0
import { harmless, paint, quote, type Colour } from './terminal.ts'
import { isUp } from './claim.ts'
import { isCurrent, isProbeRefused, readStatus, summarise, type Status, type StatusFinding, type StatusNode, type StatusPolicy } from './status-file.ts'
import { EXIT_NEGATIVE, EXIT_OK, readArgs, readChoice, TroubleError, type Io, type Verb } from './verb.ts'

const HELP = `Usage: merlon status [OPTION]...

Shows which policies merlon up enforces here, what is wrong with others, and whether the kernel refuses what it should.

  --state-dir PATH       of merlon up (default /run/merlon)
  -o, --output FORMAT    text or json: the operator's status file as it is (default text)

Exit code 1 where something is wrong: an error in a policy, a node that does not enforce what it was sent, or no merlon up that runs.
`

export const verb: Verb = { help: HELP, run }

async function run(args: readonly string[], io: Io): Promise<number> {
  const { values } = readArgs(args, {
    'state-dir': { type: 'string', default: '/run/merlon' },
    output: { type: 'string', short: 'o', default: 'text' },
  })
  const output = readChoice('output', values.output, ['text', 'json'])
  const stateDir = values['state-dir']
  const read = await readStatus(`${stateDir}/status.json`)
  if (!read.ok) {
    const message = read.why === 'absent' ? `There is no status in ${stateDir}: is merlon up running, with this --state-dir?` : `Cannot read the status in ${stateDir}: ${read.message}`
    throw new TroubleError('MERLON_CLI_NO_STATUS', message)
  }
  io.stdout.write(output === 'json' ? `${JSON.stringify(read.value, null, 2)}\n` : describe(read.value, io.colour))
  if (await isUp(stateDir)) return isWell(read.value) ? EXIT_OK : EXIT_NEGATIVE
  io.stderr.write(`merlon status: this was the state at ${harmless(read.value.time)}: no merlon up keeps it current now. What the kernel had then it goes on enforcing, until merlon rescue or a boot\n`)
  return EXIT_NEGATIVE
}

export function isWell(status: Status): boolean {
  const policies = status.policies.every(({ state, stale }) => (state === 'programmed' || state === 'idle') && !stale)
  const nodes = status.nodes.length > 0 && status.nodes.every((node) => isCurrent(node) && node.errors.length === 0 && isProbeRefused(node) !== false)
  return policies && nodes && status.findings.every(({ severity }) => severity !== 'error')
}

export function describe(status: Status, colour: boolean): string {
  const lines = [`${harmless(status.directory)}: ${summarise(status)}`]
  for (const policy of status.policies) lines.push(...describePolicy(policy, colour))
  for (const node of status.nodes) lines.push(...describeNode(node, colour))
  if (status.nodes.length === 0) lines.push(paint('No agent is connected: what was loaded before stays in force, changes wait', 'red', colour))
  for (const finding of status.findings) lines.push(...describeFinding(finding, colour))
  return `${lines.join('\n')}\n`
}

const STATE_COLOUR = { programmed: 'green', idle: 'dim', pending: 'yellow', failed: 'red', refused: 'red' } as const satisfies Record<StatusPolicy['state'], Colour>

function describePolicy(policy: StatusPolicy, colour: boolean): string[] {
  const name = [policy.namespace, policy.name].filter((part) => part !== '').map(harmless).join('/')
  const { selected, programmed } = policy.workloads
  const stale = policy.stale ? '; its file has errors, the version before them is in force' : ''
  const head = `${paint(policy.state.padEnd(10), STATE_COLOUR[policy.state] ?? 'red', colour)} ${harmless(policy.kind)} ${name}: ${programmed} of ${selected} workloads${stale} (${quote(policy.file)}:${policy.line})`
  return [head, ...policy.failures.map(({ node, workload, code, message }) => `  ${harmless([node, workload].filter((part) => part !== '').join(' '))}: ${harmless(message)} (${harmless(code)})`)]
}

function describeNode(node: StatusNode, colour: boolean): string[] {
  const refused = isProbeRefused(node)
  const probe = refused === undefined ? 'probe not run' : refused ? 'probe refused, as it must be' : 'PROBE NOT REFUSED: the kernel does not enforce'
  const { sent, acknowledged } = node.generation
  const state = !node.connected ? 'not connected' : isCurrent(node) ? `holds generation ${acknowledged}` : `behind: holds generation ${acknowledged} of ${sent}`
  const well = isCurrent(node) && refused !== false
  return [
    `node ${harmless(node.node)}: ${paint(`${state}; ${probe}`, well ? 'green' : 'red', colour)}`,
    ...node.errors.map(({ workload, code, message }) => `  ${workload === '' ? '' : `${harmless(workload)}: `}${harmless(message)} (${harmless(code)})`),
    ...node.reasons.map((reason) => `  ${harmless(reason)}`),
  ]
}

/** file:line:column first, as editors and terminals know it. */
function describeFinding(finding: StatusFinding, colour: boolean): string[] {
  const { file, line, column } = finding.position
  const place = line === 0 ? quote(file) : `${quote(file)}:${line}:${column}`
  const head = `${place}: ${paint(harmless(finding.severity), finding.severity === 'error' ? 'red' : 'yellow', colour)}: ${harmless(finding.message)} (${harmless(finding.code)})`
  const text = finding.text === '' ? [] : [`    ${harmless(finding.text)}`]
  const hint = finding.hint === '' ? [] : [`  ${harmless(finding.hint)}`]
  return [head, ...text, ...hint]
}
