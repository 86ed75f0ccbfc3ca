// SPDX-License-Identifier: Apache-2.0
// Work of the pure core in a thread of its own, one task after another. The thread is started when it is needed, also after it has died.
import { Worker } from 'node:worker_threads'
import type { Finding, Plan, Policy } from '../policy/types.ts'
import type { Clock, Timer } from '../runtime/clock.ts'
import type { Logger } from '../runtime/log.ts'
import { fileFinding } from './files.ts'
import type { Compiled } from './library.ts'

export type Task = { readonly kind: 'plan'; readonly plan: Plan } | { readonly kind: 'policy'; readonly policy: Policy }

interface Examined {
  readonly ok: true
  /** Rules that never decide. */
  readonly findings: readonly Finding[]
}

export type Answer = Compiled | Examined

/** To start one takes longer than most tasks; to keep one costs some 20 MB. */
export const IDLE_MS = 10_000

export interface ThreadOptions {
  readonly logger: Logger
  readonly clock: Clock
  /** compile-worker, where it is not beside this file: a bundle's files are elsewhere. */
  readonly program?: URL
}

/** A thread and what it has been asked. It ends when it has been asked nothing for a while. */
class Thread<T extends Answer> {
  readonly #name: string
  readonly #options: ThreadOptions
  readonly #waiting = new Map<number, (answer: T | undefined) => void>()
  #worker: Worker | undefined
  #idle: Timer | undefined
  #count = 0

  /** `name`: as the kernel shows it. */
  constructor(name: string, options: ThreadOptions) {
    this.#name = name
    this.#options = options
  }

  /** Never rejects; undefined: the thread was lost. */
  ask(task: Task): Promise<T | undefined> {
    this.#idle?.cancel()
    const worker = (this.#worker ??= this.#start())
    const id = ++this.#count
    const { promise, resolve } = Promise.withResolvers<T | undefined>()
    this.#waiting.set(id, resolve)
    // An idle thread keeps no process alive, one with work does.
    worker.ref()
    worker.postMessage({ id, task })
    return promise
  }

  /** What it was asked has no answer. */
  async stop(): Promise<void> {
    const worker = this.#worker
    this.#worker = undefined
    this.#forget()
    await worker?.terminate()
  }

  #start(): Worker {
    const worker = new Worker(this.#options.program ?? PROGRAM, { name: this.#name })
    worker.on('message', ({ id, answer }: { readonly id: number; readonly answer: T }) => {
      // It was stopped while it answered, and what it was asked has been given up.
      if (this.#worker !== worker) return
      this.#waiting.get(id)?.(answer)
      this.#waiting.delete(id)
      if (this.#waiting.size > 0) return
      worker.unref()
      this.#idle = this.#options.clock.after(IDLE_MS, () => void this.stop())
    })
    worker.on('error', (error) => this.#lose(worker, `the compiler's thread failed: ${error.message}`))
    worker.on('exit', () => this.#lose(worker, 'the compiler\'s thread ended'))
    return worker
  }

  /** What a task did to the thread it may do to the next one: it is not tried again. */
  #lose(worker: Worker, reason: string): void {
    // An error is followed by an end, and by then there may be another one.
    if (this.#worker !== worker) return
    this.#worker = undefined
    if (this.#waiting.size > 0) this.#options.logger.error('Lost the compiler', { reason, tasks: this.#waiting.size })
    this.#forget()
  }

  #forget(): void {
    this.#idle?.cancel()
    for (const resolve of this.#waiting.values()) resolve(undefined)
    this.#waiting.clear()
  }
}

const PROGRAM = new URL('./compile-worker.ts', import.meta.url)

export class Compiler {
  readonly #thread: Thread<Compiled>

  constructor(options: ThreadOptions) {
    this.#thread = new Thread('compiler', options)
  }

  /** Never rejects. */
  async compile(plan: Plan): Promise<Compiled> {
    const lost = 'the compiler\'s thread ended'
    return (await this.#thread.ask({ kind: 'plan', plan })) ?? { ok: false, findings: [fileFinding('MERLON_OPERATOR_INTERNAL', '', lost, 'report this defect, with the policies that select the workload')] }
  }

  stop(): Promise<void> {
    return this.#thread.stop()
  }
}

/** Asks which rules of policies never decide: nobody waits for that, and it may take long, so it has a thread of its own. */
export class Examiner {
  readonly #thread: Thread<Examined>
  readonly #options: ThreadOptions

  constructor(options: ThreadOptions) {
    this.#thread = new Thread('examiner', options)
    this.#options = options
  }

  /** Empty where it took longer than `limitMs`. One at a time. */
  async examine(policy: Policy, limitMs: number): Promise<readonly Finding[]> {
    const { clock, logger } = this.#options
    const limit = clock.after(limitMs, () => {
      logger.warn('Gave up examining a policy', { kind: policy.kind, namespace: policy.namespace, policy: policy.name, limitMs })
      void this.#thread.stop()
    })
    const answer = await this.#thread.ask({ kind: 'policy', policy })
    limit.cancel()
    return answer?.ok ? answer.findings : []
  }

  stop(): Promise<void> {
    return this.#thread.stop()
  }
}
