// SPDX-License-Identifier: Apache-2.0
// A permitted operation of a workload that is visible, as KubeArmor's Log.
import { encodeLog } from '../proto/load.ts'
import type { Log } from '../proto/gen/feeder/Log.ts'
import type { Event } from '../proto/gen/merlon/v1/Event.ts'
import { OP, VERDICT } from './abi.ts'
import { observed, observedData, type Context } from './observed.ts'
import type { KernelEvent } from './records.ts'

export function renderLog(event: KernelEvent, context: Context): Log {
  return {
    ...observed(event, context),
    Type: context.who.isHost ? 'HostLog' : 'ContainerLog',
    Result: 'Passed',
    EventData: { ...observedData(event), ...(event.op === OP.EXEC ? {} : { Access: event.op === OP.WRITE ? 'write' : 'read' }) },
  }
}

/** The log, encoded, beside what filters need. */
export function logEvent(event: KernelEvent, context: Context): Event {
  return {
    type: 'LOG', payload: encodeLog(renderLog(event, context)), namespace: context.who.namespace, verdict: VERDICT.ALLOW, severity: 0, time_unix_ns: context.unixNs.toString(),
  }
}
