// SPDX-License-Identifier: Apache-2.0
// Proof that enforcement is live: a program that runs elsewhere, and must be refused in a cgroup that is bound to a table of one Block rule.
import { execFile } from 'node:child_process'
import { existsSync, mkdirSync, realpathSync, rmdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Canary as CanaryMessage } from '../proto/gen/merlon/v1/Canary.ts'
import type { Clock } from '../runtime/clock.ts'
import { reasonOf } from './errors.ts'

/** One probe in so long is enough: each is a process. */
export const CANARY_EVERY_MS = 5_000
export const CANARY_WORKLOAD = 'merlon:canary'
/** Far longer than two processes take, software emulation included. */
const PROBE_MS = 15_000
/** How the probe's shell says that the control did not succeed. */
const CONTROL_FAILED = 124

/** How a run of the probe ended: 126 is a shell's word for a file that it may not execute. */
export interface ProbeEnd {
  readonly status: number
  readonly output: string
}

export interface CanaryOptions {
  readonly clock: Clock
  /** Runs the probe in its cgroup. */
  readonly probe: () => Promise<ProbeEnd>
  /** Binds the probe's cgroup. Returns what is in the way, undefined when it is bound. */
  readonly prepare: () => string | undefined
}

export class Canary {
  readonly #options: CanaryOptions
  #last: CanaryMessage = { ran: false, refused: false, message: 'Not run yet' }
  #ranAt = -Infinity
  #running: Promise<CanaryMessage> | undefined

  constructor(options: CanaryOptions) {
    this.#options = options
  }

  /** The outcome, at most CANARY_EVERY_MS old. Never rejects. */
  check(): Promise<CanaryMessage> {
    const { clock } = this.#options
    if (this.#running) return this.#running
    if (clock.monotonic() - this.#ranAt < CANARY_EVERY_MS) return Promise.resolve(this.#last)
    this.#ranAt = clock.monotonic()
    this.#running = this.#run().then((outcome) => {
      this.#last = outcome
      return outcome
    }).finally(() => { this.#running = undefined })
    return this.#running
  }

  async #run(): Promise<CanaryMessage> {
    try {
      const obstacle = this.#options.prepare()
      if (obstacle !== undefined) return { ran: false, refused: false, message: obstacle }
      return read(await this.#options.probe())
    } catch (error) {
      return { ran: false, refused: false, message: `Cannot run the probe: ${reasonOf(error)}` }
    }
  }
}

function read({ status, output }: ProbeEnd): CanaryMessage {
  if (status === 126 && /permission denied/i.test(output)) return { ran: true, refused: true, message: '' }
  if (status === 0) return { ran: true, refused: false, message: 'The probe ran though a rule blocks it' }
  const said = output.trim().slice(0, 200)
  if (status === CONTROL_FAILED) return { ran: false, refused: false, message: `The probe proves nothing: it does not run where no rule blocks it either: ${said}` }
  return { ran: false, refused: false, message: `The probe ended with status ${status}: ${said}` }
}

export interface ProbePlace {
  /** Directory of the probe's cgroup. */
  readonly cgroup: string
  /** Path of the program that must be refused, as the kernel sees it. */
  readonly program: string
  /** The name that it is run by: on busybox `true` is a link, and the name says what it does. */
  readonly invoked: string
}

const PROGRAMS: readonly string[] = ['/usr/bin/true', '/bin/true']

/**
 * Makes the scratch cgroup and chooses the probe: a program of this machine that does nothing, blocked in that cgroup and nowhere else. Not a
 * copy: the places that an agent may write to are often mounted noexec, and there everything is refused. Throws where it cannot.
 */
export function makeProbe(cgroupRoot: string, programs: readonly string[] = PROGRAMS): ProbePlace {
  const cgroup = join(cgroupRoot, 'merlon-canary')
  mkdirSync(cgroup, { recursive: true })
  const invoked = programs.find((path) => existsSync(path))
  if (invoked === undefined) throw new Error(`Cannot find a program that does nothing: ${programs.join(' and ')} are missing`)
  return { cgroup, program: realpathSync(invoked), invoked }
}

/**
 * One shell: it runs the probe outside the cgroup, which must succeed (the control); then it moves itself into the cgroup and becomes the probe, so
 * that the exec that must be refused differs from the one that was permitted in nothing but the cgroup.
 */
export function runProbe({ cgroup, invoked }: ProbePlace): Promise<ProbeEnd> {
  const script = `"$2" || exit ${CONTROL_FAILED}; echo $$ > "$1/cgroup.procs" || exit 125; exec "$2"`
  return new Promise((resolve) => {
    execFile('/bin/sh', ['-c', script, 'sh', cgroup, invoked], { timeout: PROBE_MS, env: { LC_ALL: 'C' } }, (error, _stdout, stderr) => {
      const status = error === null ? 0 : typeof error.code === 'number' ? error.code : 1
      resolve({ status, output: stderr })
    })
  })
}

export function removeProbe(cgroupRoot: string): void {
  try {
    rmdirSync(join(cgroupRoot, 'merlon-canary'))
  } catch {
    // Never made, or in use by another agent's probe: the next one finds it.
  }
}
