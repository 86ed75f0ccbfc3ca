// SPDX-License-Identifier: Apache-2.0
// What a policy asks that the agent of a node does not enforce. The rest of the policy is in force there; the policy as a whole is not.
import type { Policy, Rule } from '../policy/types.ts'
import type { Session } from './session.ts'
import type { FailureSample } from './status.ts'

/** In acknowledgements: the table is in force, and something that it asks is not enforced. */
export const NOT_ENFORCED = 'MERLON_AGENT_NOT_ENFORCED'

/** Of agents that do not say. */
const ENFORCED: readonly string[] = ['process', 'file']

const asked = new WeakMap<Policy, readonly string[]>()

/** What a rule asks, by the words of Abilities.enforced. */
export function ruleAsks({ section, pts, allowedArgs = [] }: Rule): readonly string[] {
  return [section, ...(pts !== undefined && section !== 'network' ? ['terminal'] : []), ...(allowedArgs.length > 0 ? ['arguments'] : [])]
}

export function asks(policy: Policy): readonly string[] {
  let words = asked.get(policy)
  if (words === undefined) asked.set(policy, (words = [...new Set(policy.rules.flatMap(ruleAsks))]))
  return words
}

/** What a policy asks and the agent of a node does not enforce; nothing as long as no agent of the node has come. */
export function lackingAt(policy: Policy, session: Session | undefined): readonly string[] {
  if (session?.hello === undefined) return []
  const said = session.hello.abilities?.enforced ?? []
  const enforced = said.length > 0 ? said : ENFORCED
  return asks(policy).filter((word) => !enforced.includes(word))
}

/** Empty: all of it is enforced there, or no agent of the node has come yet. */
export function notHonoured(policy: Policy, session: Session | undefined, place: Pick<FailureSample, 'node' | 'workload'>): readonly FailureSample[] {
  return samplesOf(lackingAt(policy, session), place)
}

export function samplesOf(lacking: readonly string[], place: Pick<FailureSample, 'node' | 'workload'>): readonly FailureSample[] {
  return lacking.length === 0 ? [] : [{ ...place, code: NOT_ENFORCED, message: `the agent of this node does not enforce ${lacking.join(', ')}; the rest of the policy is in force` }]
}
