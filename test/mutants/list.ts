// SPDX-License-Identifier: Apache-2.0
import { AUTOMATON } from './automaton.ts'
import { KEY_MUTANTS } from './keys.ts'
import { MATCHER } from './matcher.ts'
import type { Mutant } from './mutant.ts'
import { PATTERNS } from './patterns.ts'
import { RULES } from './rules.ts'

export const MUTANTS: readonly Mutant[] = [...RULES, ...PATTERNS, ...AUTOMATON, ...KEY_MUTANTS, ...MATCHER]
