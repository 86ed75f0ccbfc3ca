// SPDX-License-Identifier: Apache-2.0
// Programs that are loaded always and attached only when a table has rules for them: on a node that nobody wrote file rules for, opening a file costs
// nothing. INVARIANT: a program is attached before the first table that needs it is in force. It stays: Linux attaches a loaded LSM program once
// (bpf_tracing_prog_attach says EINVAL the second time), so what is detached would have to be loaded again before the next table could come.
import { existsSync, rmSync } from 'node:fs'
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
        // Of no use any more, as after an agent that was killed between attaching and pinning: the next agent finds the set incomplete and loads it anew.
        rmSync(programPath(this.#directory, program), { force: true })
        return { code: 'MERLON_AGENT_LOAD_FAILED', message: `Cannot attach ${program} (the next start of the agent loads it again): ${reasonOf(error)}` }
      }
    }
    return undefined
  }

  #isAttached(program: string): boolean {
    return existsSync(join(this.#directory, program))
  }
}
