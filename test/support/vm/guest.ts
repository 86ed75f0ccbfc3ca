// SPDX-License-Identifier: Apache-2.0
// Runs a script in a fresh virtual machine with one of the kernels, on the working tree as it is now.

import { type ChildProcess, spawn } from 'node:child_process'
import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import type { Readable } from 'node:stream'
import { provideImage } from './image.ts'
import { provideInitramfs } from './initramfs.ts'
import { type KernelName, provideKernel } from './kernels.ts'
import { CONTROL_FD, type Forward, LAUNCHER, OUTPUT_FD, qemuArguments } from './qemu.ts'

export type GuestOptions = {
  kernel: KernelName
  /** A path in the tree (a .ts file is run by Node), or the text of a bash script: anything with a blank or a line break. */
  script: string
  args?: readonly string[]
  env?: Readonly<Record<string, string>>
  /** Of the script, counted from its start: how long a machine takes to boot says nothing of it. The boot has ten minutes. */
  timeoutSeconds: number
  /** The guest's clock counts instructions, on one processor. Slow, and the same on every run. */
  icount?: boolean
  /** Default 1: one does the same work in 60 % of the time that two take. */
  cpus?: number
  /** Faster with more than one, and not quite right (qemu.ts, processor()): for measurements that one can repeat. */
  atOnce?: boolean
  /** Default 1024. */
  memoryMb?: number
  forwards?: readonly Forward[]
  /** The kernel's lsm= parameter. Default: as Debian has it, bpf included. */
  lsm?: string
  /** The disk that the guest runs from, an ext4 file system with what provideImage() has. Default: that one. Never written to. */
  disk?: string
  /** Further disks: /dev/vdb, /dev/vdc, ... What a guest writes there is gone with it. */
  moreDisks?: readonly string[]
  /** A directory of this machine, created when absent, that the guest sees as /results. */
  results?: string
  onOutput?: (chunk: Buffer) => void
}

export type GuestResult = {
  /** The script's exit status; 128 and the number of the signal that ended it. */
  status: number
  /** Standard output and standard error, as they came. */
  output: string
  /** From the start of QEMU to the start of the script. */
  bootSeconds: number
}

/** A guest that did not run its script to the end. `output` is what the script had said so far. */
export class GuestError extends Error {
  readonly code: 'MERLON_TEST_GUEST_TIMEOUT' | 'MERLON_TEST_GUEST_DIED'
  readonly output: string

  constructor(code: GuestError['code'], message: string, output: string) {
    super(`${code}: ${message}`)
    this.name = 'GuestError'
    this.code = code
    this.output = output
  }
}

export const TREE = resolve(import.meta.dirname, '../../..')

/** Far beyond what a starved machine needs. */
const BOOT_SECONDS = 600
/** How long a guest may take to hand over the last output once its script has ended: a megabyte takes a starved one its time. */
const DRAIN_MS = 120_000
/** How much of what was said is shown of a guest that did not come to its end. */
const LAST_LINES = 40

/** Runs a script in a guest. The guest ends with the script. Throws GuestError when there is no exit status to return. */
export async function runInGuest(options: GuestOptions): Promise<GuestResult> {
  const job = await mkdtemp(join(tmpdir(), 'merlon-guest-'))
  try {
    const script = await writeJob(job, options)
    const args = await argumentsFor(options, job, false)
    const [launcher, ...rest] = LAUNCHER
    const child = spawn(launcher, [...rest, ...args], { stdio: ['ignore', 'ignore', 'pipe', 'pipe', 'pipe'] })
    return await followed(child, script, job, options)
  } finally {
    await rm(job, { recursive: true, force: true })
  }
}

/** An interactive shell on this terminal. Returns the shell's exit status. */
export async function shellInGuest(options: Omit<GuestOptions, 'script' | 'timeoutSeconds'>): Promise<number> {
  const job = await mkdtemp(join(tmpdir(), 'merlon-guest-'))
  try {
    const { columns, rows } = process.stdout
    const size = columns === undefined ? '' : `stty cols ${columns} rows ${rows}; `
    const text = `${size}export TERM=${quote(process.env['TERM'] ?? 'linux')}; exec bash -i`
    await writeFile(join(job, 'run'), `${exportLines(options.env)}${text}\n`)
    const args = await argumentsFor({ ...options, script: '', timeoutSeconds: 0 }, job, true)
    const [launcher, ...rest] = LAUNCHER
    const child = spawn(launcher, [...rest, ...args], { stdio: ['inherit', 'inherit', 'inherit', 'pipe', 'pipe'] })
    const output = child.stdio[OUTPUT_FD] as Readable
    output.resume()
    let status = 1
    followControl(child, { onReady: () => {}, onExit: (value) => { status = value }, onDrained: () => child.kill('SIGKILL') })
    await closed(child)
    return status
  } finally {
    await rm(job, { recursive: true, force: true })
  }
}

async function argumentsFor(options: GuestOptions, job: string, interactive: boolean): Promise<string[]> {
  const kernel = await provideKernel(options.kernel)
  const [disk, initramfs] = await Promise.all([options.disk ?? provideImage(), provideInitramfs(kernel)])
  if (options.results !== undefined) await mkdir(options.results, { recursive: true })
  return qemuArguments({
    kernel, disk, moreDisks: options.moreDisks ?? [], initramfs, job, interactive, tree: TREE,
    ...(options.results === undefined ? {} : { results: resolve(options.results) }),
    icount: options.icount ?? false, cpus: options.cpus ?? 1, atOnce: options.atOnce ?? false, memoryMb: options.memoryMb ?? 1024, forwards: options.forwards ?? [], lsm: options.lsm ?? 'lockdown,capability,landlock,yama,bpf',
  })
}

/** Writes what the guest is to run. Returns a name for it that fits in a message. */
async function writeJob(job: string, { script, args = [], env }: GuestOptions): Promise<string> {
  const isText = /\s/.test(script)
  const words = args.map(quote).join(' ')
  let line: string
  if (isText) {
    await writeFile(join(job, 'script'), script.startsWith('#!') ? script : `#!/bin/bash\n${script}\n`, { mode: 0o755 })
    line = `exec /run/merlon/job/script ${words}`
  } else {
    const found = await stat(join(TREE, script)).catch(() => undefined)
    if (found === undefined) throw new Error(`MERLON_TEST_GUEST_SCRIPT: There is no ${script} in the tree`)
    const program = script.endsWith('.ts') ? 'node ' : (found.mode & 0o100) === 0 ? 'bash ' : ''
    line = `exec ${program}${quote(`./${script}`)} ${words}`
  }
  await writeFile(join(job, 'run'), `${exportLines(env)}${line}\n`)
  return isText ? 'the script' : script
}

function exportLines(env: GuestOptions['env'] = {}): string {
  return Object.entries(env).map(([name, value]) => `export ${name}=${quote(value)}\n`).join('')
}

function quote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`
}

async function followed(child: ChildProcess, script: string, job: string, options: GuestOptions): Promise<GuestResult> {
  const started = performance.now()
  const chunks: Buffer[] = []
  const problems: Buffer[] = []
  let bootSeconds = 0
  let status: number | undefined
  let timedOut = false
  const stop = (): void => void child.kill('SIGKILL')
  const within = (seconds: number): NodeJS.Timeout => setTimeout(() => { timedOut = true; stop() }, seconds * 1000)
  let limit = within(BOOT_SECONDS)
  let drain: NodeJS.Timeout | undefined
  const port = child.stdio[OUTPUT_FD] as Readable
  port.on('data', (chunk: Buffer) => { chunks.push(chunk); options.onOutput?.(chunk) })
  child.stderr?.on('data', (chunk: Buffer) => problems.push(chunk))
  followControl(child, {
    onReady: () => {
      bootSeconds = (performance.now() - started) / 1000
      clearTimeout(limit)
      limit = within(options.timeoutSeconds)
    },
    onExit: (value) => { status = value; clearTimeout(limit); drain = setTimeout(stop, DRAIN_MS) },
    onDrained: stop,
  })
  await closed(child)
  clearTimeout(limit)
  clearTimeout(drain)
  const output = Buffer.concat(chunks).toString('utf8')
  if (status !== undefined) return { status, output, bootSeconds }
  const console = await readFile(join(job, 'console.log'), 'utf8').catch(() => '')
  const last = [Buffer.concat(problems).toString('utf8'), lastWords(console)].join('\n').trim()
  const said = `\nThe script said last:\n${output.split('\n').slice(-LAST_LINES).join('\n')}`
  if (timedOut) {
    const reached = bootSeconds === 0 ? `had not booted after ${BOOT_SECONDS} s` : `booted in ${bootSeconds.toFixed(1)} s and was still running ${script} after ${options.timeoutSeconds} s`
    throw new GuestError('MERLON_TEST_GUEST_TIMEOUT', `The ${options.kernel} guest ${reached}, its time limit. Its console:\n${last}${said}`, output)
  }
  throw new GuestError('MERLON_TEST_GUEST_DIED', `The ${options.kernel} guest ended before ${script} did. QEMU and the console said:\n${last}${said}`, output)
}

/** The end of the console; where the kernel has panicked, from there on, since what follows is a long list of registers. */
function lastWords(console: string): string {
  const lines = console.replaceAll('\r', '').split('\n')
  const panic = lines.findIndex((line) => /Kernel panic|BUG:|Oops/.test(line))
  return (panic < 0 ? lines.slice(-LAST_LINES) : lines.slice(Math.max(0, panic - 2), panic + 40)).join('\n')
}

type Signals = { onReady: () => void; onExit: (status: number) => void; onDrained: () => void }

function followControl(child: ChildProcess, signals: Signals): void {
  const lines = createInterface({ input: child.stdio[CONTROL_FD] as Readable })
  lines.on('line', (line) => {
    const [word, value] = line.split(' ')
    if (word === 'ready') signals.onReady()
    if (word === 'exit') signals.onExit(Number(value))
    if (word === 'drained') signals.onDrained()
  })
}

/** Settles when QEMU is gone and everything that it had sent has been read. */
function closed(child: ChildProcess): Promise<void> {
  return new Promise((settle, reject) => {
    child.on('error', (cause) => reject(new Error(`MERLON_TEST_GUEST_START: Cannot start QEMU: ${cause.message}: run make setup`, { cause })))
    for (const fd of [OUTPUT_FD, CONTROL_FD]) child.stdio[fd]?.on('error', () => {})
    child.on('close', () => settle())
  })
}
