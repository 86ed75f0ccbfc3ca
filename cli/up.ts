// SPDX-License-Identifier: Apache-2.0
import { spawnSync } from 'node:child_process'
import { mkdir, stat } from 'node:fs/promises'
import { isAbsolute, resolve } from 'node:path'
import { parseAddress } from '../runtime/address.ts'
import { Backoff } from '../runtime/backoff.ts'
import { sleep, systemClock } from '../runtime/clock.ts'
import { formatText } from '../runtime/log.ts'
import { readable } from './child-output.ts'
import { isAlive } from '../runtime/process.ts'
import { claim, type Claim } from './claim.ts'
import { programPath } from './program.ts'
import { checkDirectory, readHostFacts, shortcomings } from './preflight.ts'
import { agentReady, operatorReady, relayReady } from './readiness.ts'
import { readStatus, summarise } from './status-file.ts'
import { Child, type ChildSpec, type SuperviseOptions } from './supervise.ts'
import { EXIT_OK, EXIT_TROUBLE, readArgs, readChoice, TroubleError, UsageError, type Io, type Verb } from './verb.ts'

const HELP = `Usage: merlon up DIR [OPTION]...

Enforces the policies of DIR on this host: starts the operator, the relay and the agent, each a process of its own, and keeps them
running. DIR is watched: what is changed there is in force moments later. Needs root.

  --listen HOST:PORT       where clients get events (default 127.0.0.1:32767)
  --default-posture WORD   what allow-lists do with what no rule names: audit or block (default audit)
  --unbound WORD           what containers may do that no profile is bound to yet: allow, audit or block (default allow)
  --state-dir PATH         sockets and status (default /run/merlon)
  --json                   logs as JSON lines

SIGTERM, Ctrl-C or the end of the terminal stops the three processes. Enforcement goes on without them: merlon rescue ends it.
`

const SECONDS_TO_STOP = 10
/** How an agent ends that finds nothing to enforce with (agent --help). */
const CANNOT_ENFORCE = 'exit code 4'

interface Settings {
  readonly directory: string
  readonly listen: string
  readonly defaultPosture: string
  readonly unbound: string
  readonly stateDir: string
  readonly json: boolean
}

export const verb: Verb = { help: HELP, run }

async function run(args: readonly string[], io: Io): Promise<number> {
  const settings = readSettings(args)
  const say = sayer(settings, io)
  const directory = await checkDirectory(settings.directory)
  if (!directory.ok) throw new TroubleError('MERLON_CLI_NO_DIRECTORY', directory.message)
  for (const { sentence, fatal } of shortcomings(await readHostFacts())) {
    if (fatal) throw new TroubleError('MERLON_CLI_CANNOT_ENFORCE', sentence)
    say('warn', sentence)
  }
  const claimed = await takeStateDirectory(settings.stateDir, say)
  if (directory.manifests === 0) say('warn', `There is no manifest in ${settings.directory} yet: nothing is enforced until there is one`)
  try {
    return await superviseAll(settings, { io, say, claimed })
  } finally {
    await claimed.release()
  }
}

function readSettings(args: readonly string[]): Settings {
  const { values, positionals } = readArgs(args, {
    listen: { type: 'string', default: '127.0.0.1:32767' },
    'default-posture': { type: 'string', default: 'audit' },
    unbound: { type: 'string', default: 'allow' },
    'state-dir': { type: 'string', default: '/run/merlon' },
    json: { type: 'boolean', default: false },
  }, 1)
  const directory = positionals[0]
  if (directory === undefined) throw new UsageError('Name the directory that holds the policies')
  const listen = parseAddress(values.listen)
  if (!listen.ok) throw new UsageError(listen.message)
  if (!isAbsolute(values['state-dir'])) throw new UsageError(`Cannot use --state-dir ${JSON.stringify(values['state-dir'])}: an absolute path is needed`)
  return {
    directory: resolve(directory),
    listen: values.listen,
    defaultPosture: readChoice('default-posture', values['default-posture'], ['audit', 'block']),
    unbound: readChoice('unbound', values.unbound, ['allow', 'audit', 'block']),
    stateDir: values['state-dir'],
    json: values.json,
  }
}

type Say = (level: 'info' | 'warn' | 'error', message: string) => void

function sayer(settings: Settings, io: Io): Say {
  return (level, message) => {
    const record = { time: new Date().toISOString(), level, name: 'merlon', message, fields: {} }
    const { fields: _, ...plain } = record
    io.stderr.write(`${settings.json ? JSON.stringify(plain) : formatText(record)}\n`)
  }
}

/** What lies there is believed, and the compiled code among it is run: nobody else may write to it. */
async function makeOwn(directory: string): Promise<void> {
  await mkdir(directory, { recursive: true, mode: 0o700 })
  const { uid, mode } = await stat(directory)
  if (uid !== process.getuid?.()) throw new Error(`it belongs to user ${uid}`)
  if (mode & 0o022) throw new Error(`others may write to it (mode ${(mode & 0o7777).toString(8)})`)
}

async function takeStateDirectory(stateDir: string, say: Say): Promise<Claim> {
  const claimed = await makeOwn(stateDir)
    .then(() => claim(stateDir))
    .catch((error: Error) => {
      throw new TroubleError('MERLON_CLI_STATE_DIRECTORY', `Cannot use the state directory ${stateDir}: ${error.message}: make it writable, for root alone, or choose another --state-dir`, { cause: error })
    })
  if (!claimed.ok) {
    const pid = claimed.pid === 0 ? '' : ` (pid ${claimed.pid})`
    throw new TroubleError('MERLON_CLI_ALREADY_UP', `merlon up already runs with state directory ${stateDir}${pid}: stop it, or choose another --state-dir`)
  }
  for (const leftover of claimed.value.leftovers) {
    say('warn', `Stopping the ${leftover.name} (pid ${leftover.pid}), left behind by a merlon up that was killed`)
    signal(leftover.pid, 'SIGTERM')
    for (let waits = 0; (await isAlive(leftover)) && waits < SECONDS_TO_STOP * 10; waits += 1) await sleep(systemClock, 100)
    if (await isAlive(leftover)) signal(leftover.pid, 'SIGKILL')
  }
  return claimed.value
}

/** One that has ended since somebody looked needs none. */
function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}

/** What to start, in order, and how to tell that it works. */
function plan(settings: Settings, io: Io): readonly { readonly spec: ChildSpec; readonly ready: (signal: AbortSignal) => Promise<boolean> }[] {
  const { stateDir, listen } = settings
  const operator = `unix:${stateDir}/operator.sock`
  const relay = `unix:${stateDir}/relay.sock`
  const status = `${stateDir}/status.json`
  // Compiled code is kept between starts: a process that is started again is up in a third of the time.
  const environment = { NODE_COMPILE_CACHE: `${stateDir}/compile-cache`, ...io.environment }
  const child = (name: 'agent' | 'operator' | 'relay', args: readonly string[]): ChildSpec => ({
    name,
    command: process.execPath,
    args: [programPath(name), ...args],
    environment,
  })
  return [
    {
      spec: child('operator', ['--directory', settings.directory, '--listen', operator, '--status-file', status, '--last-good', `${stateDir}/last-good`, '--default-posture', settings.defaultPosture]),
      ready: (signal) => operatorReady(operator, status, signal),
    },
    { spec: child('relay', ['--listen', listen, '--agents', relay]), ready: (signal) => relayReady(listen, signal) },
    {
      spec: child('agent', ['--operator', operator, '--relay', relay, '--unbound', settings.unbound]),
      ready: (signal) => agentReady(status, signal),
    },
  ]
}

interface Context {
  readonly io: Io
  readonly say: Say
  readonly claimed: Claim
}

async function superviseAll(settings: Settings, { io, say, claimed }: Context): Promise<number> {
  const started = performance.now()
  const parts: Part[] = []
  const lastWords = new Map<string, string>()
  let isStarting = true
  const record = (): void => {
    const running = parts.flatMap(({ child: { name, pid } }) => (pid === undefined ? [] : [{ name, pid }]))
    claimed.record(running).catch((error: Error) => say('warn', `Cannot write the list of processes: ${error.message}`))
  }
  const options: Omit<SuperviseOptions, 'backoff'> = {
    onLine: (name, line) => {
      // The operator's word for being ready is for scripts that start it alone.
      if (/^ready \S+$/.test(line)) return
      if (isStarting) lastWords.set(name, readable(name, line))
      io.stderr.write(`${settings.json ? line : readable(name, line)}\n`)
    },
    onNotice: (text) => say('warn', text),
    onChange: record,
  }
  for (const { spec, ready } of plan(settings, io)) {
    const backoff = new Backoff({ baseMs: 500, capMs: 30_000, clock: systemClock, random: Math.random })
    parts.push({ child: new Child(spec, { ...options, backoff }), ready })
  }
  const { failure, unable } = await startAll(parts, io.signal, say)
  isStarting = false
  if (failure === undefined && !io.signal.aborted) {
    say('info', `Ready in ${((performance.now() - started) / 1000).toFixed(1)} s: ${unable ? 'nothing is enforced on this host; ' : ''}${await enforced(settings)}; events on ${settings.listen}`)
    await new Promise((resolveWait) => io.signal.addEventListener('abort', resolveWait, { once: true }))
  }
  await stopAll(parts.map(({ child }) => child), settings)
  if (failure === undefined) {
    say('info', unable ? 'Stopped' : 'Stopped. The kernel goes on enforcing what was loaded; merlon rescue ends that')
    return EXIT_OK
  }
  // Last, where it is seen: the others have had their say about being stopped.
  say('error', `The ${failure.name} did not start: ${failure.end}. ${lastWords.get(failure.name) ?? 'It said nothing'}`)
  return EXIT_TROUBLE
}

interface Part {
  readonly child: Child
  readonly ready: (signal: AbortSignal) => Promise<boolean>
}

interface Failure {
  readonly name: string
  /** How it ended. */
  readonly end: string
}

interface Outcome {
  /** What failed first; undefined when nothing did. */
  readonly failure: Failure | undefined
  /** The agent has found that this host lacks what enforcement needs. */
  readonly unable: boolean
}

/** All at once: they wait for each other as they do after any restart. */
async function startAll(parts: readonly Part[], stopping: AbortSignal, say: Say): Promise<Outcome> {
  const giveUp = new AbortController()
  let failure: Failure | undefined
  let unable = false
  const start = async ({ child, ready }: Part): Promise<void> => {
    const outcome = await child.start((died) => ready(AbortSignal.any([died, stopping, giveUp.signal])))
    if (outcome.ok || stopping.aborted || giveUp.signal.aborted) return
    if (child.name === 'agent' && outcome.end === CANNOT_ENFORCE) {
      unable = true
      say('error', 'Nothing is enforced on this host: the agent says above what is missing. Policies are still read and checked, and merlon status shows them')
      return
    }
    failure = { name: child.name, end: outcome.end }
    giveUp.abort()
  }
  await Promise.all(parts.map(start))
  return { failure, unable }
}

async function enforced({ stateDir }: Settings): Promise<string> {
  const read = await readStatus(`${stateDir}/status.json`)
  return read.ok ? summarise(read.value) : read.message
}

/** The agent first, so that its last events reach the relay; the operator last. */
async function stopAll(children: readonly Child[], { unbound }: Settings): Promise<void> {
  for (const child of children.toReversed()) {
    const end = await child.stop(SECONDS_TO_STOP * 1000)
    // An agent that was killed may have stopped a container before its first instruction, and no other agent comes to let it go.
    if (child.name === 'agent' && end !== 'exit code 0' && unbound !== 'block') spawnSync(process.execPath, [programPath('agent'), '--release'], { stdio: ['ignore', 'inherit', 'inherit'] })
  }
}
