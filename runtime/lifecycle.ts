// SPDX-License-Identifier: Apache-2.0
import { createLogger, setLogLevel, type Level, type Logger } from './log.ts'
import { systemClock, type Clock } from './clock.ts'

export const EXIT_OK = 0
export const EXIT_FAILED = 1
export const EXIT_USAGE = 2
/** The clean shutdown did not end in time, or a second signal cut it short. */
export const EXIT_FORCED = 3

export interface Life {
  /** Aborted by SIGTERM or SIGINT, or by stop(). */
  readonly signal: AbortSignal
  /** Runs at shutdown, the last one registered first: what was started last is stopped first. */
  onShutdown(name: string, step: () => Promise<void> | void): void
  /** Ends the process with `code`, cleanly. */
  stop(code?: number): void
}

export interface LifeOptions {
  readonly name: string
  /** For all shutdown steps together. Default 10,000. */
  readonly shutdownMs?: number
  readonly logger?: Logger
  readonly clock?: Clock
}

interface Step {
  readonly name: string
  readonly run: () => Promise<void> | void
}

/**
 * Runs a program: `main` starts it and returns; the process then lives until a signal or stop(), shuts down in order and exits.
 * A main that returns a number is a command: it is shut down at once and exits with that code. A main that throws exits with 1.
 */
export async function runMain(main: (life: Life) => Promise<number | void>, options: LifeOptions): Promise<never> {
  const logger = options.logger ?? createLogger(options.name)
  const clock = options.clock ?? systemClock
  const steps: Step[] = []
  const abort = new AbortController()
  let code = EXIT_OK
  const stop = (wanted = EXIT_OK): void => {
    if (abort.signal.aborted) return
    code = wanted
    abort.abort()
  }
  const onSignal = (name: NodeJS.Signals): void => {
    if (abort.signal.aborted) process.exit(EXIT_FORCED)
    logger.info('Received signal', { signal: name })
    stop()
  }
  // Whoever read our lines may have been killed, and the disk that they go to may be full: that is no reason for a service to end.
  let unwritten: NodeJS.ErrnoException | undefined
  process.stdout.on('error', (error: NodeJS.ErrnoException) => { if (error.code !== 'EPIPE') unwritten = error })
  process.stderr.on('error', () => {})
  process.on('SIGTERM', onSignal)
  process.on('SIGINT', onSignal)
  const stopped = new Promise<void>((resolve) => abort.signal.addEventListener('abort', () => resolve(), { once: true }))
  // An idle process with nothing but a promise would end by itself.
  const keepAlive = setInterval(() => {}, 1 << 30)
  let isCommand = false
  try {
    const result = await main({ signal: abort.signal, onShutdown: (name, run) => void steps.push({ name, run }), stop })
    isCommand = typeof result === 'number'
    if (typeof result === 'number') stop(result)
    await stopped
  } catch (error) {
    logger.error('Stopped after an error', { error })
    stop(EXIT_FAILED)
    code = EXIT_FAILED
  }
  clearInterval(keepAlive)
  const inTime = await shutDown(steps.toReversed(), { logger, clock, limitMs: options.shutdownMs ?? 10_000 })
  // By then the stream has said what became of the last write.
  if (isCommand) await new Promise((resolve) => setImmediate(resolve))
  if (isCommand && unwritten && code === EXIT_OK) {
    logger.error('Failed to write the output', { error: unwritten })
    code = EXIT_FAILED
  }
  process.exit(inTime ? code : EXIT_FORCED)
}

async function shutDown(steps: readonly Step[], context: { logger: Logger; clock: Clock; limitMs: number }): Promise<boolean> {
  const { logger, clock, limitMs } = context
  let current = ''
  const run = async (): Promise<boolean> => {
    for (const step of steps) {
      current = step.name
      try {
        await step.run()
      } catch (error) {
        logger.error('Failed a shutdown step', { step: step.name, error })
      }
    }
    return true
  }
  const timeLimit = new Promise<boolean>((resolve) => {
    clock.after(limitMs, () => {
      logger.error('Gave up on a clean shutdown', { step: current, limitMs })
      resolve(false)
    })
  })
  return Promise.race([run(), timeLimit])
}

/** Logs at this level; SIGUSR2 switches to debug, and back to it. */
export function switchLevels(level: Level): void {
  setLogLevel(level)
  let isDebugging = false
  process.on('SIGUSR2', () => {
    isDebugging = !isDebugging
    setLogLevel(isDebugging ? 'debug' : level)
  })
}
