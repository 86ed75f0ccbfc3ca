// SPDX-License-Identifier: Apache-2.0
// Which permitted operations the programs record (KubeArmor's visibility): what the operator asks for each workload, while somebody follows logs.
import { FLAGS } from '../policy/table.ts'
import { SECTIONS } from '../policy/types.ts'
import { VISIBLE } from './abi.ts'
import type { AgentProblem } from './errors.ts'

/** Classes that these programs see. The operator says aloud that others are not recorded. */
const BITS: Readonly<Record<string, number>> = { process: VISIBLE.PROCESS, file: VISIBLE.FILE }
/** As a table's that has rules about files: whoever is to see opens needs the same program. */
const FILE_RULES = FLAGS.rules << SECTIONS.indexOf('file')

export interface RecordingOptions {
  /** Attaches what tables with these flags need (on-demand.ts). */
  readonly require: (flags: number) => AgentProblem | undefined
  readonly onProblem: (problem: AgentProblem) => void
}

export class Recording {
  readonly #options: RecordingOptions
  #isWanted = false
  #seesOpens: boolean | undefined

  constructor(options: RecordingOptions) {
    this.#options = options
  }

  /** Whether somebody follows logs. */
  want(isWanted: boolean): void {
    this.#isWanted = isWanted
  }

  /** VISIBLE, for the binding of a workload of which these classes are to be recorded. */
  bitsOf(classes: readonly string[]): number {
    if (!this.#isWanted) return 0
    const bits = classes.reduce((sum, name) => sum | (BITS[name] ?? 0), 0)
    return (bits & VISIBLE.FILE) === 0 || this.#canSeeOpens() ? bits : bits & ~VISIBLE.FILE
  }

  /** Tried once: a program that could not be attached is loaded anew by the next start of the agent. */
  #canSeeOpens(): boolean {
    if (this.#seesOpens !== undefined) return this.#seesOpens
    const problem = this.#options.require(FILE_RULES)
    if (problem !== undefined) this.#options.onProblem(problem)
    this.#seesOpens = problem === undefined
    return this.#seesOpens
  }
}
