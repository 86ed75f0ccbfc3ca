// SPDX-License-Identifier: Apache-2.0
// What the demo shows, step by step. Each step says what came about, or throws.
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { removeContainer, startContainer, type CommandResult, type Container } from './oci.ts'
import { childPid, Lines, merlon, residentMb } from './merlon.ts'

const EXAMPLE = new URL('../../examples/demo', import.meta.url).pathname
const ADDRESS = '127.0.0.1:32767'
const CONTAINER = 'demo-web'
const BLOCKED = 'find /etc -maxdepth 0'
/** Software emulation is slow: these are for finding out, not for measuring. */
const SECONDS = { ready: 600, alert: 600, change: 600 }

interface Stage {
  /** A copy of examples/demo: the demo edits it. */
  readonly policies: string
  readonly stateDir: string
  readonly directory: string
  up: Lines | undefined
  events: Lines | undefined
  container: Container | undefined
  /** Programs of ours may be in the kernel. */
  isEnforcing: boolean
}

/** Ctrl-C, or a terminal that was closed: the machine is left as it was then, too. */
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const

type Step = readonly [name: string, run: (stage: Stage) => Promise<string>]

const STEPS: readonly Step[] = [
  ['start Merlon', start],
  ['start a container', startWeb],
  ['run what is allowed', runAllowed],
  ['run what is blocked', runBlocked],
  ['see the alert', seeAlert],
  ['edit the policy', editPolicy],
  ['kill the agent', killAgent],
  ['break a policy file', breakFile],
  ['stop', stop],
]

/** Exit code 0, or 1 after naming the step that failed. */
export async function runSteps(): Promise<number> {
  const directory = await mkdtemp(join(tmpdir(), 'merlon-demo-'))
  const stage: Stage = { directory, policies: join(directory, 'policies'), stateDir: join(directory, 'state'), up: undefined, events: undefined, container: undefined, isEnforcing: false }
  const began = performance.now()
  const interruption = Promise.withResolvers<never>()
  for (const signal of SIGNALS) process.on(signal, () => interruption.reject(new Error(`interrupted by ${signal}`)))
  interruption.promise.catch(() => {})
  try {
    for (const [index, [name, run]] of STEPS.entries()) {
      const step: Step = [name, () => Promise.race([run(stage), interruption.promise])]
      if (!(await take(step, `${index + 1}/${STEPS.length}`, stage))) return 1
    }
    console.log(`All of it came about, in ${seconds(began)} s`)
    return 0
  } finally {
    await cleanUp(stage)
  }
}

async function take([name, step]: Step, place: string, stage: Stage): Promise<boolean> {
  const began = performance.now()
  try {
    const outcome = await step(stage)
    console.log(`${place} ${name}: ${outcome} (${seconds(began)} s)`)
    return true
  } catch (error) {
    console.log(`${place} ${name}: FAILED: ${(error as Error).message}`)
    if (stage.up !== undefined) console.log(`merlon up had said:\n${stage.up.tail(40)}`)
    return false
  }
}

function seconds(since: number): string {
  return ((performance.now() - since) / 1000).toFixed(1)
}

async function cleanUp(stage: Stage): Promise<void> {
  await stage.events?.stop()
  await stage.up?.stop()
  // Whatever happened, the machine is left as it was: nothing enforced, no container.
  if (stage.isEnforcing) await merlon('rescue', '--yes')
  // By name: one whose start was interrupted is there, too.
  await removeContainer(CONTAINER)
  await rm(stage.directory, { recursive: true, force: true })
}

async function start(stage: Stage): Promise<string> {
  await cp(EXAMPLE, stage.policies, { recursive: true })
  stage.isEnforcing = true
  stage.up = new Lines(['up', stage.policies, '--state-dir', stage.stateDir, '--listen', ADDRESS])
  const line = await stage.up.until((text) => /Ready in|ended with status/.test(text), SECONDS.ready)
  if (!line.includes('Ready in')) throw new Error('merlon up ended')
  stage.events = new Lines(['events', '--address', ADDRESS, '-o', 'json'])
  await stage.events.until((text) => text.startsWith('-- Connected'), SECONDS.alert)
  return line.replace(/^.*Ready in/, 'merlon up was ready in')
}

async function startWeb(stage: Stage): Promise<string> {
  stage.container = await startContainer(CONTAINER, stage.directory)
  return `crun runs "${CONTAINER}", which is pod demo/demo-web with label app=web`
}

async function runAllowed(stage: Stage): Promise<string> {
  const result = await inContainer(stage, 'ls -d /etc')
  if (result.status !== 0 || result.output.trim() !== '/etc') throw new Error(`ls in the container gave status ${result.status}: ${result.output}`)
  return 'ls works in the container'
}

async function runBlocked(stage: Stage): Promise<string> {
  const result = await inContainer(stage, BLOCKED)
  if (!isDenied(result)) throw new Error(`it was not refused: status ${result.status}: ${result.output}`)
  return result.output.trim()
}

async function seeAlert(stage: Stage): Promise<string> {
  const line = await stage.events?.until((text) => text.startsWith('{') && text.includes('"PolicyName":"block-shell-tools"'), SECONDS.alert)
  const alert = JSON.parse(line ?? '{}') as Record<string, string>
  const wanted = { Operation: 'Process', Action: 'Block', Result: 'Permission denied', NamespaceName: 'demo', PodName: 'demo-web', ContainerName: 'web', Severity: '7' }
  for (const [field, value] of Object.entries(wanted)) {
    if (alert[field] !== value) throw new Error(`the alert has ${field} ${JSON.stringify(alert[field])}, not ${JSON.stringify(value)}: ${line}`)
  }
  return `WatchAlerts on ${ADDRESS} brought ${alert['Action']} of ${alert['ProcessName']} in ${alert['NamespaceName']}/${alert['PodName']} by ${alert['PolicyName']}`
}

async function editPolicy(stage: Stage): Promise<string> {
  const file = join(stage.policies, 'block-shell-tools.yaml')
  const text = await readFile(file, 'utf8')
  const before = await childPid(stage.stateDir, 'agent')
  const began = performance.now()
  await writeFile(file, text.replace('action: Block', 'action: Audit'))
  await eventually(stage, (result) => result.status === 0)
  const took = performance.now() - began
  await writeFile(file, text)
  await eventually(stage, isDenied)
  if ((await childPid(stage.stateDir, 'agent')) !== before) throw new Error('the agent was restarted meanwhile')
  return `Audit in place of Block let find run after ${Math.round(took)} ms, Block refused it again, no restart`
}

async function killAgent(stage: Stage): Promise<string> {
  const pid = await childPid(stage.stateDir, 'agent')
  const seen = stage.up?.count ?? 0
  process.kill(pid, 'SIGKILL')
  const result = await inContainer(stage, BLOCKED)
  if (!isDenied(result)) throw new Error(`without the agent find was not refused: status ${result.status}: ${result.output}`)
  // Its own word: until then it is the kernel alone that refuses.
  const line = await stage.up?.until((text) => /agent: Started|agent: .*MERLON_/.test(text), SECONDS.ready, seen)
  if (!line?.includes('kernelSide=adopted')) throw new Error(`the next agent did not adopt what the kernel holds: ${line}`)
  if (!isDenied(await inContainer(stage, BLOCKED))) throw new Error('with the new agent find was not refused')
  return `kill -9 ${pid}, and find was still refused; the next agent adopted it and took over`
}

async function breakFile(stage: Stage): Promise<string> {
  const broken = 'apiVersion: security.kubearmor.com/v1\nkind: KubeArmorPolicy\nmetadata:\n  name: broken\n  namespace: demo\nspec:\n  selector: {matchLabels: {app: web}}\n  process:\n    matchPath:\n      - path: /usr/bin/find\n  action: Block\n'
  const seen = stage.up?.count ?? 0
  await writeFile(join(stage.policies, 'broken.yaml'), broken)
  await stage.up?.until((text) => text.includes('broken.yaml:9:'), SECONDS.change, seen)
  const { status, output } = await merlon('status', '--state-dir', stage.stateDir)
  const finding = /broken\.yaml"?:9:\d+: error: .*\n(.*\n)?(.*\n)?/.exec(output)?.[0]
  if (finding === undefined) throw new Error(`merlon status does not show it:\n${output}`)
  if (status !== 1) throw new Error(`merlon status ended with ${status} in spite of the error`)
  if (!isDenied(await inContainer(stage, BLOCKED))) throw new Error('the other policies are no longer enforced')
  return `refused, the others hold:\n      ${finding.trim().replaceAll('\n', '\n      ')}`
}

async function stop(stage: Stage): Promise<string> {
  const memory = await Promise.all(['operator', 'relay', 'agent'].map(async (name) => `${name} ${await residentMb(stage.stateDir, name)} MB`))
  const code = await stage.up?.stop()
  if (code !== 0) throw new Error(`merlon up ended with status ${code}`)
  if (!isDenied(await inContainer(stage, BLOCKED))) throw new Error('enforcement ended with merlon up')
  const rescue = await merlon('rescue', '--yes')
  if (rescue.status !== 0) throw new Error(`merlon rescue failed: ${rescue.output}`)
  stage.isEnforcing = false
  const result = await inContainer(stage, BLOCKED)
  if (result.status !== 0) throw new Error(`after merlon rescue find is still refused: ${result.output}`)
  return `merlon up (${memory.join(', ')}) has stopped and the kernel went on enforcing; merlon rescue ended that`
}

async function inContainer(stage: Stage, command: string): Promise<CommandResult> {
  if (stage.container === undefined) throw new Error('there is no container')
  return stage.container.exec(command)
}

/** dash says "sh: 1: find: Permission denied" and ends with 126. */
function isDenied(result: CommandResult): boolean {
  return result.status === 126 && result.output.includes('Permission denied')
}

/** Runs the command over and over until it ends as wanted: each run is one more real attempt. */
async function eventually(stage: Stage, isWanted: (result: CommandResult) => boolean): Promise<void> {
  const deadline = performance.now() + SECONDS.change * 1000
  for (;;) {
    const result = await inContainer(stage, BLOCKED)
    if (isWanted(result)) return
    if (performance.now() > deadline) throw new Error(`the verdict did not change within ${SECONDS.change} s: status ${result.status}: ${result.output}`)
  }
}
