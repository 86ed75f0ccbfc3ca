// SPDX-License-Identifier: Apache-2.0
// The merlon command as a person runs it: up in the background, events followed, anything else run to its end.
import { spawn, type ChildProcess } from 'node:child_process'
import { createInterface } from 'node:readline'
import { readFile } from 'node:fs/promises'
import { run, type CommandResult } from './oci.ts'

/** What images run: two levels up from this file and from the bundle of the demo alike. */
const MAIN = new URL('../../build/bundle/cli/main.mjs', import.meta.url).pathname

export async function merlon(...args: readonly string[]): Promise<CommandResult> {
  return run(process.execPath, [MAIN, ...args], '/')
}

/** Lines that a process writes, to be waited for. */
export class Lines {
  readonly #process: ChildProcess
  readonly #lines: string[] = []
  #changed = Promise.withResolvers<void>()
  readonly ended: Promise<number>

  constructor(args: readonly string[]) {
    // A group of its own: Ctrl-C in a terminal is for the demo, which then stops everything in order.
    this.#process = spawn(process.execPath, [MAIN, ...args], { stdio: ['ignore', 'pipe', 'pipe'], detached: true })
    for (const stream of [this.#process.stdout, this.#process.stderr]) {
      if (stream !== null) createInterface({ input: stream }).on('line', (line) => this.#add(line))
    }
    this.ended = new Promise((resolve) => this.#process.once('close', (code) => resolve(code ?? 128)))
    void this.ended.then((code) => this.#add(`(ended with status ${code})`))
  }

  get count(): number {
    return this.#lines.length
  }

  /** The last `number` lines, for a report of what went wrong. */
  tail(number: number): string {
    return this.#lines.slice(-number).join('\n')
  }

  /** The first line from number `from` on that matches. Rejects after `seconds`. */
  async until(matches: (line: string) => boolean, seconds: number, from = 0): Promise<string> {
    const expired = AbortSignal.timeout(seconds * 1000)
    const end = new Promise<void>((resolve) => { expired.addEventListener('abort', () => resolve()) })
    for (let at = from; ; at += 1) {
      while (at >= this.#lines.length) {
        if (expired.aborted) throw new Error(`not seen within ${seconds} s: ${String(matches)}; the last lines were:\n${this.tail(25)}`)
        await Promise.race([this.#changed.promise, end])
      }
      const line = this.#lines[at] ?? ''
      if (matches(line)) return line
    }
  }

  async stop(): Promise<number> {
    this.#process.kill('SIGTERM')
    return this.ended
  }

  #add(line: string): void {
    this.#lines.push(line)
    this.#changed.resolve()
    this.#changed = Promise.withResolvers()
  }
}

/** Pid of a process that `merlon up` started. */
export async function childPid(stateDir: string, name: string): Promise<number> {
  const { children } = JSON.parse(await readFile(`${stateDir}/up.json`, 'utf8')) as { children: readonly { name: string; pid: number }[] }
  const found = children.find((child) => child.name === name)
  if (found === undefined) throw new Error(`merlon up runs no ${name}`)
  return found.pid
}

/** Resident memory of a process that `merlon up` started. */
export async function residentMb(stateDir: string, name: string): Promise<number> {
  const status = await readFile(`/proc/${await childPid(stateDir, name)}/status`, 'utf8')
  return Math.round(Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1]) / 1024)
}
