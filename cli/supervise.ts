// SPDX-License-Identifier: Apache-2.0
// One child process: started, started again with growing pauses when it dies, its output handed on line by line.
import { spawn, type ChildProcess } from 'node:child_process'
import { createInterface } from 'node:readline'
import type { Backoff } from '../runtime/backoff.ts'

export interface ChildSpec {
  /** operator, relay, agent */
  readonly name: string
  readonly command: string
  readonly args: readonly string[]
  /** Default: our own. */
  readonly environment?: Readonly<Record<string, string | undefined>>
}

export interface SuperviseOptions {
  readonly backoff: Backoff
  /** A line that the child wrote. */
  readonly onLine: (name: string, line: string) => void
  /** What happens to the child, in sentences for people. */
  readonly onNotice: (text: string) => void
  /** The child's process has changed: started or ended. */
  readonly onChange: () => void
}

export type Started = { readonly ok: true } | { readonly ok: false; readonly end: string }

/** A process that lived this long had started: the next pause is short again. */
const SETTLED_MS = 10_000

export class Child {
  readonly name: string
  readonly #spec: ChildSpec
  readonly #options: SuperviseOptions
  readonly #stopping = new AbortController()
  #process: ChildProcess | undefined
  #ended: Promise<string> = Promise.resolve('not started')
  #loop: Promise<void> = Promise.resolve()

  constructor(spec: ChildSpec, options: SuperviseOptions) {
    this.name = spec.name
    this.#spec = spec
    this.#options = options
  }

  /** Of the running process. */
  get pid(): number | undefined {
    return this.#process?.pid
  }

  /**
   * Starts the process and waits for `ready`, which gets a signal that aborts when the process ends first. Then, and only then, it is kept
   * alive: what cannot start at all is for the caller. Resolves with how it ended where it did not become ready.
   */
  async start(ready: (signal: AbortSignal) => Promise<boolean>): Promise<Started> {
    this.#spawn()
    const died = new AbortController()
    const ended = this.#ended.then((end) => {
      died.abort()
      return end
    })
    const isReady = await ready(AbortSignal.any([died.signal, this.#stopping.signal]))
    if (!isReady) return { ok: false, end: died.signal.aborted ? await ended : 'it was not ready in time' }
    this.#loop = this.#keepAlive()
    return { ok: true }
  }

  /** SIGTERM, then SIGKILL after `graceMs`. Resolves when the process has ended, with how it did, if only long ago. */
  async stop(graceMs: number): Promise<string> {
    this.#stopping.abort()
    const running = this.#process
    if (running !== undefined) {
      running.kill('SIGTERM')
      const timer = setTimeout(() => {
        this.#options.onNotice(`The ${this.name} did not stop within ${graceMs / 1000} s and was killed`)
        running.kill('SIGKILL')
      }, graceMs)
      await this.#ended
      clearTimeout(timer)
    }
    await this.#loop
    return this.#ended
  }

  #spawn(): void {
    const { environment } = this.#spec
    const child = spawn(this.#spec.command, [...this.#spec.args], {
      ...(environment === undefined ? {} : { env: environment }),
      stdio: ['ignore', 'pipe', 'pipe'],
      // A group of its own: Ctrl-C in a terminal must reach us alone, so that we stop them in order.
      detached: true,
    })
    this.#process = child
    for (const stream of [child.stdout, child.stderr]) {
      createInterface({ input: stream, crlfDelay: Infinity }).on('line', (line) => this.#options.onLine(this.name, line))
    }
    this.#ended = new Promise((resolve) => {
      child.once('error', (error) => resolve(error.message))
      // `close`, not `exit`: its last lines are out before anything is said about its end.
      child.once('close', (code, signal) => resolve(signal === null ? `exit code ${code}` : `signal ${signal}`))
    }).then((end) => {
      this.#process = undefined
      this.#options.onChange()
      return end as string
    })
    this.#options.onChange()
  }

  async #keepAlive(): Promise<void> {
    const { backoff, onNotice } = this.#options
    for (;;) {
      const started = performance.now()
      const end = await this.#ended
      if (this.#stopping.signal.aborted) return
      if (performance.now() - started > SETTLED_MS) backoff.reset()
      const delay = backoff.next()
      onNotice(`The ${this.name} ended (${end}); starting it again in ${(delay / 1000).toFixed(1)} s`)
      if (!(await backoff.wait(this.#stopping.signal, delay))) return
      this.#spawn()
      onNotice(`The ${this.name} is started again (pid ${this.pid ?? 'none'})`)
    }
  }
}
