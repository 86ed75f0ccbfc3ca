// SPDX-License-Identifier: Apache-2.0
// Work of the pure core in a thread of its own, one task after another. The thread is started when it is needed first, and again if it dies.
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
const IDLE_MS = 30_000

/** A thread and what it has been asked. */
class Thread<T extends Answer> {
  readonly #logger: Logger
  readonly #program: URL
  readonly #waiting = new Map<number, (answer: T | undefined) => void>()
  #worker: Worker | undefined
  #count = 0

  constructor(logger: Logger, program: URL) {
    this.#logger = logger
    this.#program = program
  }

  /** Never rejects; undefined: the thread was lost. */
  ask(task: Task): Promise<T | undefined> {
    this.#worker ??= this.#start()
    const id = ++this.#count
    const { promise, resolve } = Promise.withResolvers<T | undefined>()
    this.#waiting.set(id, resolve)
    // An idle thread keeps no process alive, one with work does.
    this.#worker.ref()
    this.#worker.postMessage({ id, task })
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
    const worker = new Worker(this.#program)
    worker.on('message', ({ id, answer }: { readonly id: number; readonly answer: T }) => {
      this.#waiting.get(id)?.(answer)
      this.#waiting.delete(id)
      if (this.#waiting.size === 0) worker.unref()
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
    if (this.#waiting.size > 0) this.#logger.error('Lost the compiler', { reason, tasks: this.#waiting.size })
    this.#forget()
  }

  #forget(): void {
    for (const resolve of this.#waiting.values()) resolve(undefined)
    this.#waiting.clear()
  }
}

/** `program` of both: compile-worker, where it is not beside this file: a bundle's files are elsewhere. */
const PROGRAM = new URL('./compile-worker.ts', import.meta.url)

export class Compiler {
  readonly #thread: Thread<Compiled>

  constructor(logger: Logger, program = PROGRAM) {
    this.#thread = new Thread(logger, program)
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

/** Asks which rules of policies never decide: nobody waits for that, and it may take long, so it has a thread of its own, while there is something to ask. */
export class Examiner {
  readonly #thread: Thread<Examined>
  readonly #clock: Clock
  readonly #logger: Logger
  #idle: Timer | undefined

  constructor({ logger, clock, program = PROGRAM }: { readonly logger: Logger; readonly clock: Clock; readonly program?: URL }) {
    this.#thread = new Thread(logger, program)
    this.#clock = clock
    this.#logger = logger
  }

  /** Empty where it took longer than `limitMs`. One at a time. */
  async examine(policy: Policy, limitMs: number): Promise<readonly Finding[]> {
    this.#idle?.cancel()
    const limit = this.#clock.after(limitMs, () => {
      this.#logger.warn('Gave up examining a policy', { kind: policy.kind, namespace: policy.namespace, policy: policy.name, limitMs })
      void this.#thread.stop()
    })
    const answer = await this.#thread.ask({ kind: 'policy', policy })
    limit.cancel()
    this.#idle = this.#clock.after(IDLE_MS, () => void this.#thread.stop())
    return answer?.ok ? answer.findings : []
  }

  async stop(): Promise<void> {
    this.#idle?.cancel()
    await this.#thread.stop()
  }
}
