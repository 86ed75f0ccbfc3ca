// SPDX-License-Identifier: Apache-2.0
// What the programs of this agent decide, and what a table asks beyond that. Nobody is to believe that a rule holds which nothing asks about.
import { FLAGS } from '../policy/table.ts'
import { SECTIONS } from '../policy/types.ts'

/** Sections whose operations are asked about, and what is known of them beyond owner and source (Abilities.enforced). */
export const ENFORCED: readonly string[] = ['process', 'file', 'terminal']

/** What the flags of a table ask that is not enforced here, by the words of Abilities.enforced. */
export function lackOf(flags: number, enforced: readonly string[] = ENFORCED): readonly string[] {
  const asked = SECTIONS.filter((_, number) => (flags & (FLAGS.rules << number)) !== 0)
  const beyond = (['terminal', 'arguments', 'invoked'] as const).filter((name) => (flags & FLAGS[name]) !== 0)
  return [...asked, ...beyond].filter((name) => !enforced.includes(name))
}

/** For an acknowledgement. */
export function describeLack(lack: readonly string[]): string {
  const words = lack.map((name) => (name === 'arguments' ? 'allowedArgs (they count as not satisfied)' : name === 'invoked' ? 'names of links to multi-call binaries' : name))
  return `This agent does not enforce ${words.join(', ')}; the rest of the profile is in force`
}
