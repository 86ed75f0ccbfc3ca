// SPDX-License-Identifier: Apache-2.0
// Proof that enforcement is live: a program that must be refused, run in a cgroup of its own that is bound to a table of one Block rule.
import { execFile } from 'node:child_process'
import { copyFileSync, existsSync, mkdirSync, realpathSync, rmdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Canary as CanaryMessage } from '../proto/gen/merlon/v1/Canary.ts'
import type { Clock } from '../runtime/clock.ts'
import { reasonOf } from './errors.ts'

/** One probe in so long is enough: each is a process. */
export const CANARY_EVERY_MS = 5_000
export const CANARY_WORKLOAD = 'merlon:canary'

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
  return { ran: false, refused: false, message: `The probe ended with status ${status}: ${output.trim().slice(0, 200)}` }
}

export interface ProbePlace {
  /** Directory of the probe's cgroup. */
  readonly cgroup: string
  /** Path of the program that must be refused, as the kernel sees it. */
  readonly program: string
}

/** Makes the scratch cgroup and the probe, a copy of a program that does nothing. Throws where it cannot. */
export function makeProbe(cgroupRoot: string, directory: string): ProbePlace {
  const cgroup = join(cgroupRoot, 'merlon-canary')
  mkdirSync(cgroup, { recursive: true })
  mkdirSync(directory, { recursive: true, mode: 0o700 })
  const program = join(realpathSync(directory), 'merlon-canary-probe')
  const source = ['/bin/true', '/usr/bin/true', '/bin/sh'].find((path) => existsSync(path))
  if (source === undefined) throw new Error('Cannot find a program to copy: neither true nor sh is there')
  if (!existsSync(program)) copyFileSync(source, program)
  return { cgroup, program }
}

/** The shell moves itself into the cgroup and then becomes the probe: the exec that must be refused is the first thing that happens there. */
export function runProbe({ cgroup, program }: ProbePlace): Promise<ProbeEnd> {
  const script = 'echo $$ > "$1/cgroup.procs" || exit 125; exec "$2" -c true'
  return new Promise((resolve) => {
    execFile('/bin/sh', ['-c', script, 'sh', cgroup, program], { timeout: 5_000, env: { LC_ALL: 'C' } }, (error, _stdout, stderr) => {
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
