// SPDX-License-Identifier: Apache-2.0
// Programs that are loaded always and attached only while a table in force has rules for them: on a node that nobody wrote file rules for, opening
// a file costs nothing. INVARIANT: a program is attached before the first table that needs it is in force.
import { existsSync, unlinkSync } from 'node:fs'
import { join } from 'node:path'
import type { NativeBinding } from '../native/types.ts'
import { FLAGS } from '../policy/table.ts'
import { SECTIONS } from '../policy/types.ts'
import { reasonOf, type AgentProblem } from './errors.ts'
import { list, PROGRAM_PREFIX, programPath } from './pins.ts'

/** Program -> the flag of a table (docs/table.md) that asks for it. All others are attached always: they hold containers and follow processes. */
const NEEDED_BY: Readonly<Record<string, number>> = { merlon_file_open: FLAGS.rules << SECTIONS.indexOf('file') }

export function isOnDemand(program: string): boolean {
  return Object.hasOwn(NEEDED_BY, program)
}

export class OnDemand {
  readonly #native: NativeBinding
  readonly #directory: string

  /** `directory`: where the links and programs of the object in force are pinned. */
  constructor(native: NativeBinding, directory: string) {
    this.#native = native
    this.#directory = directory
  }

  /** Names of the programs that are attached now. */
  attached(): string[] {
    return list(this.#directory).filter((name) => !name.startsWith(PROGRAM_PREFIX))
  }

  /** Before a table with these flags comes into force. Returns what is in the way of a program that it needs. */
  require(flags: number): AgentProblem | undefined {
    for (const [program, flag] of Object.entries(NEEDED_BY)) {
      if ((flags & flag) === 0 || this.#isAttached(program)) continue
      try {
        const link = this.#native.attachPinned(programPath(this.#directory, program))
        link.pin(join(this.#directory, program))
        link.close()
      } catch (error) {
        return { code: 'MERLON_AGENT_LOAD_FAILED', message: `Cannot attach ${program}: ${reasonOf(error)}` }
      }
    }
    return undefined
  }

  /** Detaches what no table asks for; `flags`: those of all tables in force, together. Returns the names. */
  release(flags: number): string[] {
    // An object that an older agent loaded has no pinned programs: what is detached could not be attached again.
    const idle = Object.entries(NEEDED_BY).filter(([program, flag]) => (flags & flag) === 0 && this.#isAttached(program) && existsSync(programPath(this.#directory, program)))
    for (const [program] of idle) unlinkSync(join(this.#directory, program))
    return idle.map(([program]) => program)
  }

  #isAttached(program: string): boolean {
    return existsSync(join(this.#directory, program))
  }
}
