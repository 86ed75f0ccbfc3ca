// SPDX-License-Identifier: Apache-2.0
// Bugs in what reads tables: the matcher in C and in TypeScript, and the verifier.
import type { Mutant } from './mutant.ts'

const C = ['test/matcher/matcher.test.ts']
const LOOKUP = ['policy/differential.test.ts', 'policy/compile.test.ts']

export const MATCHER: readonly Mutant[] = [
  {
    name: 'match-h-off-by-one',
    bug: 'the matcher in C reads one byte beyond the path',
    file: 'bpf/match.h',
    find: 'if (at >= end) {',
    replace: 'if (at > end) {',
    tests: C,
  },
  {
    name: 'match-h-stale-page',
    bug: 'the matcher in C reads the default from the page of the edge',
    file: 'bpf/match.h',
    find: 'page = merlon_page(run->table, cells_page + page_index);\n			if (!page)\n				goto bad;\n		}\n		cell = page[state %',
    replace: 'if (!page)\n				goto bad;\n		}\n		cell = page[state %',
    tests: C,
  },
  {
    name: 'match-h-chunk-forgets-its-place',
    bug: 'the matcher in C begins each chunk with the byte that the last one ended with',
    file: 'bpf/match.h',
    find: 'run->at = at;',
    replace: 'run->at = done ? at : at - (at % 64 == 0);',
    tests: C,
  },
  {
    name: 'match-h-higher-clause',
    bug: 'the matcher in C lets the higher of two clauses decide',
    file: 'bpf/match.h',
    find: '<= ((b & MERLON_DECISION_CLAUSE) - 1) ? a : b',
    replace: '<= ((b & MERLON_DECISION_CLAUSE) - 1) ? b : a',
    tests: C,
  },
  {
    name: 'match-h-no-rule-decides',
    bug: 'in C an automaton in which nothing matches takes precedence over one with a rule',
    file: 'bpf/match.h',
    find: 'return ((a & MERLON_DECISION_CLAUSE) - 1) <=',
    replace: 'return (a & MERLON_DECISION_CLAUSE) <=',
    tests: C,
  },
  {
    name: 'match-h-forgets-parent',
    bug: 'the matcher in C looks at the first source only',
    file: 'bpf/match.h',
    find: 'merlon_row_word(table, head, row, other, holds, &second)',
    replace: 'merlon_row_word(table, head, row, subject, holds, &second)',
    tests: C,
  },
  {
    name: 'match-h-third-automaton',
    bug: 'the matcher in C runs the second automaton in place of the third',
    file: 'bpf/match.h',
    find: 'return head->starts[1];',
    replace: 'return head->starts[0];',
    tests: C,
  },
  {
    name: 'lookup-higher-clause',
    bug: 'the matcher in TypeScript lets the higher of two clauses decide',
    file: 'policy/lookup.ts',
    find: '<= ((b & DECISION.clause) - 1) >>> 0 ? a : b',
    replace: '<= ((b & DECISION.clause) - 1) >>> 0 ? b : a',
    tests: LOOKUP,
  },
  {
    name: 'lookup-longest-path',
    bug: 'the matcher in TypeScript decides a path that is one byte too long',
    file: 'policy/lookup.ts',
    find: 'const LONGEST = 4095',
    replace: 'const LONGEST = 4096',
    tests: [...LOOKUP, ...C],
  },
  {
    name: 'verifier-trusts-targets',
    bug: 'the verifier lets an edge lead to what is no state',
    file: 'policy/verify-cells.ts',
    find: 'if (!isState(cells, word & CELL.target)) return',
    replace: 'if ((word & CELL.target) >= cells.length) return',
    tests: ['policy/verify.test.ts', ...C],
  },
  {
    name: 'verifier-row-off-by-one',
    bug: 'the verifier lets the last row reach beyond the decisions',
    file: 'policy/verify-decisions.ts',
    find: 'row + this.header(HEADER.subjects) <= this.header(HEADER.rows)',
    replace: 'row + this.header(HEADER.subjects) <= this.header(HEADER.rows) + 1',
    tests: ['policy/verify.test.ts', ...C],
  },
  {
    name: 'verifier-highest-clause',
    bug: 'the verifier takes a clause beyond the highest',
    file: 'policy/verify-decisions.ts',
    find: 'if (clause > this.header(HEADER.clauses)) return',
    replace: 'if (clause > this.header(HEADER.clauses) + 1) return',
    tests: ['policy/verify.test.ts'],
  },
]
