// SPDX-License-Identifier: Apache-2.0
// An audited or blocked operation, with its policy and its workload, as KubeArmor's Alert: field for field as its BPF LSM enforcer fills it.
import { encodeAlert } from '../proto/load.ts'
import type { Alert } from '../proto/gen/feeder/Alert.ts'
import type { Clause__Output as Clause } from '../proto/gen/merlon/v1/Clause.ts'
import type { Event } from '../proto/gen/merlon/v1/Event.ts'
import { VERDICT } from './abi.ts'
import { observed, observedData, type Context } from './observed.ts'
import type { KernelEvent } from './records.ts'

export interface AlertContext extends Context {
  /** The clause that decided; undefined: the agent does not know the table's profile any more. */
  readonly clause: Clause | undefined
}

export function renderAlert(event: KernelEvent, context: AlertContext): Alert {
  const { who, clause } = context
  return {
    ...observed(event, context),
    Type: who.isHost ? 'MatchedHostPolicy' : 'MatchedPolicy',
    Enforcer: 'BPFLSM',
    Action: event.verdict === VERDICT.BLOCK ? 'Block' : 'Audit',
    Result: event.verdict === VERDICT.BLOCK ? 'Permission denied' : 'Passed',
    ...policyFields(clause),
    EventData: {
      ...observedData(event),
      ...(event.generation === 0n ? {} : { Generation: String(event.generation) }),
      ...(clause?.text ? { Rule: clause.text } : {}),
    },
  }
}

/** The alert, encoded, beside what filters need. */
export function alertEvent(event: KernelEvent, context: AlertContext): Event {
  return {
    type: 'ALERT',
    payload: encodeAlert(renderAlert(event, context)),
    namespace: context.who.namespace,
    verdict: event.verdict,
    severity: context.clause?.severity ?? 0,
    time_unix_ns: context.unixNs.toString(),
  }
}

function policyFields(clause: Clause | undefined): Alert {
  if (clause === undefined) return { PolicyName: 'Unattributed', Message: 'The profile of the table that decided is not known to this agent any more' }
  const { policy, severity, tags, message } = clause
  return { PolicyName: policy, Severity: severity === 0 ? '' : String(severity), Tags: tags.join(','), ATags: tags, Message: message }
}
