// SPDX-License-Identifier: Apache-2.0
// The canary (canary.ts) as a workload of this agent: its cgroup, its table, and what the last probe came to.
import { isDeepStrictEqual } from 'node:util'
import type { Canary as CanaryMessage } from '../proto/gen/merlon/v1/Canary.ts'
import type { Clock } from '../runtime/clock.ts'
import { BIND } from './abi.ts'
import { Canary, CANARY_WORKLOAD, makeProbe, removeProbe, runProbe } from './canary.ts'
import { cgroupIdOf } from './containers/cgroups.ts'
import type { Enforcement } from './enforcement.ts'
import { describe } from './errors.ts'

export interface ProbeOptions {
  readonly cgroupRoot: string
  readonly clock: Clock
  readonly enforcement: Enforcement
  readonly compile: (program: string) => { readonly table: Uint8Array; readonly hash: string }
}

export class Probe {
  readonly #options: ProbeOptions
  readonly #canary: Canary
  #hash = ''
  #outcome: CanaryMessage | null = null

  constructor(options: ProbeOptions) {
    this.#options = options
    this.#canary = new Canary({ clock: options.clock, prepare: () => this.#prepare(), probe: () => runProbe(makeProbe(options.cgroupRoot)) })
  }

  /** Of its table, in hex; empty before the first probe. */
  get hash(): string {
    return this.#hash
  }

  /** Of the last probe; null: none yet. */
  get outcome(): CanaryMessage | null {
    return this.#outcome
  }

  /** Probes, unless that was done a moment ago. Returns the outcome where it is another than before. */
  async check(): Promise<CanaryMessage | undefined> {
    const outcome = await this.#canary.check()
    if (isDeepStrictEqual(outcome, this.#outcome)) return undefined
    this.#outcome = outcome
    return outcome
  }

  remove(): void {
    removeProbe(this.#options.cgroupRoot)
  }

  /** Returns what is in the way, undefined when the cgroup is bound. */
  #prepare(): string | undefined {
    const { cgroupRoot, enforcement, compile } = this.#options
    const { cgroup, program } = makeProbe(cgroupRoot)
    const { table, hash } = compile(program)
    this.#hash = hash
    const cgroupId = cgroupIdOf(cgroup)
    if (cgroupId === undefined) return `The cgroup ${cgroup} is gone`
    const problems = [
      ...enforcement.addTarget({ workload: CANARY_WORKLOAD, cgroupId, kind: BIND.PLAIN }),
      ...enforcement.setOwn(CANARY_WORKLOAD, table, hash, []),
    ].filter((problem) => problem.workload === CANARY_WORKLOAD)
    return problems[0] && describe(problems[0])
  }
}
