// SPDX-License-Identifier: Apache-2.0
// Compilation in a thread of its own, one plan after another. The thread is started when it is needed first, and again if it dies.
import { Worker } from 'node:worker_threads'
import type { Plan } from '../policy/types.ts'
import type { Logger } from '../runtime/log.ts'
import { fileFinding } from './files.ts'
import type { Compiled } from './library.ts'

export class Compiler {
  readonly #logger: Logger
  readonly #program: URL
  readonly #waiting = new Map<number, (compiled: Compiled) => void>()
  #worker: Worker | undefined
  #count = 0

  /** `program`: compile-worker, where it is not beside this file: a bundle's files are elsewhere. */
  constructor(logger: Logger, program = new URL('./compile-worker.ts', import.meta.url)) {
    this.#logger = logger
    this.#program = program
  }

  /** Never rejects. */
  compile(plan: Plan): Promise<Compiled> {
    this.#worker ??= this.#start()
    const id = ++this.#count
    const { promise, resolve } = Promise.withResolvers<Compiled>()
    this.#waiting.set(id, resolve)
    // An idle thread keeps no process alive, one with work does.
    this.#worker.ref()
    this.#worker.postMessage({ id, plan })
    return promise
  }

  async stop(): Promise<void> {
    await this.#worker?.terminate()
  }

  #start(): Worker {
    const worker = new Worker(this.#program)
    worker.on('message', ({ id, compiled }: { readonly id: number; readonly compiled: Compiled }) => {
      this.#waiting.get(id)?.(compiled)
      this.#waiting.delete(id)
      if (this.#waiting.size === 0) worker.unref()
    })
    worker.on('error', (error) => this.#fail(`the compiler's thread failed: ${error.message}`))
    worker.on('exit', () => this.#fail('the compiler\'s thread ended'))
    return worker
  }

  /** What a plan did to the thread it may do to the next one: it is not tried again. */
  #fail(message: string): void {
    this.#worker = undefined
    if (this.#waiting.size > 0) this.#logger.error('Lost the compiler', { reason: message, plans: this.#waiting.size })
    const compiled: Compiled = { ok: false, findings: [fileFinding('MERLON_OPERATOR_INTERNAL', '', message, 'report this defect, with the policies that select the workload')] }
    for (const resolve of this.#waiting.values()) resolve(compiled)
    this.#waiting.clear()
  }
}
