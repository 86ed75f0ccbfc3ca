// SPDX-License-Identifier: Apache-2.0
// What a policy asks that the agent of a node does not enforce. The rest of the policy is in force there; the policy as a whole is not.
import type { Policy } from '../policy/types.ts'
import type { Session } from './session.ts'
import type { FailureSample } from './status.ts'

/** In acknowledgements: the table is in force, and something that it asks is not enforced. */
export const NOT_ENFORCED = 'MERLON_AGENT_NOT_ENFORCED'

/** Of agents that do not say. */
const ENFORCED: readonly string[] = ['process', 'file']

const asked = new WeakMap<Policy, readonly string[]>()

/** By the words of Abilities.enforced. */
export function asks(policy: Policy): readonly string[] {
  let words = asked.get(policy)
  if (words === undefined) {
    const { rules } = policy
    const beyond = [
      ...(rules.some(({ pts, section }) => pts !== undefined && section !== 'network') ? ['terminal'] : []),
      ...(rules.some(({ allowedArgs = [] }) => allowedArgs.length > 0) ? ['arguments'] : []),
    ]
    asked.set(policy, (words = [...new Set(rules.map(({ section }): string => section)), ...beyond]))
  }
  return words
}

/** Empty: all of it is enforced there, or no agent of the node has come yet. */
export function notHonoured(policy: Policy, session: Session | undefined, place: Pick<FailureSample, 'node' | 'workload'>): readonly FailureSample[] {
  if (session?.hello === undefined) return []
  const said = session.hello.abilities?.enforced ?? []
  const enforced = said.length > 0 ? said : ENFORCED
  const lacking = asks(policy).filter((word) => !enforced.includes(word))
  return lacking.length === 0 ? [] : [{ ...place, code: NOT_ENFORCED, message: `the agent of this node does not enforce ${lacking.join(', ')}; the rest of the policy is in force` }]
}
