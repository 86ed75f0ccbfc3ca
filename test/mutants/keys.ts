// SPDX-License-Identifier: Apache-2.0
// Bugs about what is no path: sockets, names, packets, arguments, quotas, and modes.
import type { Mutant } from './mutant.ts'

const KEYS = ['policy/differential.test.ts', 'policy/evaluate.test.ts', 'policy/prove.test.ts']
const PLAN = ['policy/rules.test.ts', 'policy/plan.test.ts', 'policy/evaluate.test.ts']

export const KEY_MUTANTS: readonly Mutant[] = [
  {
    name: 'domain-labels-in-order',
    bug: 'labels of a domain are not turned round, so that names that begin alike are taken for names of one domain',
    file: 'policy/keys.ts',
    find: ".filter((label) => label !== '').reverse()",
    replace: ".filter((label) => label !== '')",
    tests: PLAN,
  },
  {
    name: 'port-range-loses-a-digit',
    bug: 'of a range of ports the last digit between its ends is left out',
    file: 'policy/keyshapes.ts',
    find: 'Array.from({ length: last - first - 1 }',
    replace: 'Array.from({ length: last - first - 2 }',
    tests: KEYS,
  },
  {
    name: 'prefix-one-bit-short',
    bug: 'a network is twice as large as its prefix says',
    file: 'policy/keyshapes.ts',
    find: 'Math.min(4, prefix - index * 4)',
    replace: 'Math.min(4, prefix - 1 - index * 4)',
    tests: KEYS,
  },
  {
    name: 'any-transport-has-udp-only',
    bug: 'ports without a protocol are not those of all transports',
    file: 'policy/keyshapes.ts',
    find: 'protocol === undefined ? Object.values(TRANSPORTS) : [TRANSPORTS[protocol]]',
    replace: "[TRANSPORTS[protocol ?? 'UDP']]",
    tests: KEYS,
  },
  {
    name: 'condition-turned-round',
    bug: 'a rule with a condition holds where the condition does not',
    file: 'policy/objects.ts',
    find: 'this.choice(index, holds ? word : other, holds ? other : word)',
    replace: 'this.choice(index, holds ? other : word, holds ? word : other)',
    tests: KEYS,
  },
  {
    name: 'program-name-is-argument',
    bug: 'the name that a program is called by has to be an allowed argument',
    file: 'policy/lookup.ts',
    find: 'for (const argument of args.slice(1)) {',
    replace: 'for (const argument of args.slice(0)) {',
    tests: KEYS,
  },
  {
    name: 'quota-never-used-up',
    bug: 'a quota holds where it is used up',
    file: 'policy/lookup.ts',
    find: 'if (condition >= sets) return overQuota !== true',
    replace: 'if (condition >= sets) return overQuota !== false',
    tests: KEYS,
  },
  {
    name: 'sockets-have-owners',
    bug: 'ownerOnly of a network rule makes it permit nothing',
    file: 'policy/plan.ts',
    find: "(!rule.ownerOnly || owner || section === 'network')",
    replace: "(!rule.ownerOnly || owner || section === 'dns')",
    tests: PLAN,
  },
  {
    name: 'audit-mode-blocks',
    bug: 'a policy in mode Audit blocks',
    file: 'policy/plan.ts',
    find: "policy.mode === 'Audit' || workload.policy === 'audited'",
    replace: "workload.policy === 'audited'",
    tests: PLAN,
  },
  {
    name: 'allow-list-cuts-local-sockets',
    bug: 'a network allow-list that audits refuses sockets that never leave the machine',
    file: 'policy/plan.ts',
    find: 'if (defaults.network !== undefined) drafts',
    replace: "if (defaults.network?.verdict === 'Block') drafts",
    tests: PLAN,
  },
]
