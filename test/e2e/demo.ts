// SPDX-License-Identifier: Apache-2.0
// make demo: the main job on real parts, one line for each step as it happens. Runs here where the kernel can enforce, else in a guest.
// Exit code 0 when every step came about; 1 with the name of the step that did not.
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { readHostFacts, shortcomings } from '../../cli/preflight.ts'
import { run, type CommandResult } from './oci.ts'
import { runInGuest, TREE } from '../support/vm/guest.ts'
import { isKernelName, type KernelName } from '../support/vm/kernels.ts'

const USAGE = 'Usage: node test/e2e/demo.ts [--here | --guest] [--where] [--kernel 6.12]; --where says where it would run, and ends'
const GUEST_SECONDS = 3600

/** The demo itself as one file (bundle.ts): under emulation, reading its sources would take longer than a step does. */
const HERE = 'build/demo/here.mjs'

/** How a command is run as root here. sudo may ask for a password, as it does for any command. */
const AS_ROOT: readonly string[] = process.getuid?.() === 0 ? [] : ['sudo']
const TOO_LONG = 160
/** Where agents pin what they load, by default. */
const PINS = '/sys/fs/bpf/merlon'

/** Why the demo cannot run on this machine itself; undefined: it can. */
async function obstacle(): Promise<string | undefined> {
  const facts = await readHostFacts()
  // Root is asked for only where everything that can be seen without it is there.
  const missing = shortcomings({ ...facts, root: true })[0]
  if (missing !== undefined) return missing.sentence
  if (!existsSync('/usr/bin/crun')) return 'There is no crun here (apt-get install crun).'
  if (AS_ROOT.length > 0) {
    const { status, output } = await run('sudo', ['--version'], '/')
    if (status !== 0) return `Only root may load programs into the kernel, and there is no sudo (${output.trim().slice(0, TOO_LONG)}).`
    console.log("This machine's kernel has what is needed; loading programs into it takes root, so sudo runs the demo")
  }
  // What enforces here already is nothing to play with: the demo would take it over, and end it.
  if ((await asRoot('test', '-e', PINS)).status === 0) return `Merlon enforces on this machine already (${PINS}).`
  const { status, output } = await asRoot(process.execPath, join(TREE, 'build/bundle/agent/main.mjs'), '--check')
  return status === 0 ? undefined : output.trim().split('\n')[0]
}

function asRoot(...command: readonly string[]): Promise<CommandResult> {
  const [file = '', ...args] = [...AS_ROOT, ...command]
  return run(file, args, '/')
}

function onThisMachine(): Promise<number> {
  const [file, ...args] = [...AS_ROOT, process.execPath, join(TREE, HERE)]
  const child = spawn(file, args, { stdio: 'inherit' })
  // The demo has the same signal from the terminal, and cleans up: its end is ours. One that was meant for us alone is handed on.
  process.on('SIGINT', () => {})
  process.on('SIGTERM', () => child.kill('SIGTERM'))
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (status) => resolve(status ?? 1))
  })
}

async function inGuest(kernel: KernelName): Promise<number> {
  const onOutput = (chunk: Buffer): void => void process.stdout.write(chunk)
  const { status } = await runInGuest({ kernel, script: `exec node ${HERE}`, timeoutSeconds: GUEST_SECONDS, onOutput })
  return status
}

async function main(): Promise<number> {
  const { values } = parseArgs({ options: { here: { type: 'boolean', default: false }, guest: { type: 'boolean', default: false }, where: { type: 'boolean', default: false }, kernel: { type: 'string', default: '6.12' } } })
  if (!isKernelName(values.kernel)) {
    console.error(USAGE)
    return 2
  }
  const why = values.here ? undefined : values.guest ? 'as you asked' : await obstacle()
  console.log(why === undefined ? 'On this machine' : `Not on this machine: ${why}\nIn a guest with Linux ${values.kernel} instead, under software emulation`)
  if (values.where) return 0
  return why === undefined ? onThisMachine() : inGuest(values.kernel)
}

if (import.meta.main) process.exitCode = await main()
