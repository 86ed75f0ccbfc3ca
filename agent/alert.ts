// SPDX-License-Identifier: Apache-2.0
// A kernel event, with its policy and its workload, as KubeArmor's Alert: field for field as its BPF LSM enforcer fills it.
import { encodeAlert } from '../proto/load.ts'
import type { Alert } from '../proto/gen/feeder/Alert.ts'
import type { Clause__Output as Clause } from '../proto/gen/merlon/v1/Clause.ts'
import type { Event } from '../proto/gen/merlon/v1/Event.ts'
import { EVENT_FLAG, OP, REASONS, VERDICT } from './abi.ts'
import type { KernelEvent } from './records.ts'

/** Who did it, as far as it is known. */
export interface Who {
  readonly isHost: boolean
  readonly containerId: string
  readonly namespace: string
  readonly pod: string
  readonly container: string
  readonly image: string
  /** k=v,k=v */
  readonly labels: string
  readonly owner: { readonly kind: string; readonly name: string; readonly namespace: string }
}

export interface Node {
  readonly name: string
  /** Machine id, or the node's name. */
  readonly id: string
  readonly cluster: string
}

export interface AlertContext {
  readonly node: Node
  readonly who: Who
  /** The clause that decided; undefined: the agent does not know the table's profile any more. */
  readonly clause: Clause | undefined
  readonly unixNs: bigint
}

export function renderAlert(event: KernelEvent, context: AlertContext): Alert {
  const { node, who, clause } = context
  return {
    Timestamp: Number(context.unixNs / 1_000_000_000n),
    UpdatedTime: formatTime(context.unixNs),
    ClusterName: node.cluster,
    HostName: node.name,
    NodeID: node.id,
    NamespaceName: who.namespace,
    PodName: who.pod,
    ContainerID: who.containerId,
    ContainerName: who.container,
    ContainerImage: who.image,
    Labels: who.labels,
    Owner: who.owner.name === '' ? null : { Ref: who.owner.kind, Name: who.owner.name, Namespace: who.owner.namespace },
    HostPPID: event.hostPpid,
    HostPID: event.hostPid,
    PPID: event.ppid,
    PID: event.pid,
    UID: event.uid | 0,
    Type: who.isHost ? 'MatchedHostPolicy' : 'MatchedPolicy',
    Enforcer: 'BPFLSM',
    Action: event.verdict === VERDICT.BLOCK ? 'Block' : 'Audit',
    Result: event.verdict === VERDICT.BLOCK ? 'Permission denied' : 'Passed',
    Cwd: '/',
    TTY: event.tty,
    ExecEvent: { ExecID: '0', ExecutableName: event.comm },
    ...policyFields(clause),
    ...operationFields(event),
    EventData: eventData(event, clause),
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

/** For an exec the task's executable is still the caller's: KubeArmor calls it the parent and the source. */
function operationFields(event: KernelEvent): Alert {
  if (event.op === OP.EXEC) {
    return {
      Operation: 'Process', Data: 'lsm=SECURITY_BPRM_CHECK', Source: event.exe, ParentProcessName: event.exe, ProcessName: event.path,
      Resource: commandLine(event.path, event),
    }
  }
  return {
    Operation: 'File', Data: 'lsm=FILE_OPEN', Source: commandLine(event.exe, event), ParentProcessName: event.parentExe, ProcessName: event.exe,
    Resource: event.path,
  }
}

/** Of an executable that cannot be named in the task's mount namespace (a runtime entering a container), what the task calls itself. */
function commandLine(executable: string, { args }: KernelEvent): string {
  return executable === '' ? args.join(' ') : [executable, ...args.slice(1)].join(' ')
}

function eventData(event: KernelEvent, clause: Clause | undefined): Record<string, string> {
  const invoked = event.op === OP.EXEC ? (event.args[0] ?? '') : ''
  return {
    Lsm: event.op === OP.EXEC ? 'SECURITY_BPRM_CHECK' : 'FILE_OPEN',
    ...(event.generation === 0n ? {} : { Generation: String(event.generation) }),
    ...(clause?.text ? { Rule: clause.text } : {}),
    ...(event.reason === 0 ? {} : { Reason: REASONS[event.reason] ?? String(event.reason) }),
    // The kernel sees /usr/bin/ls or /bin/busybox where the process said /bin/ls: people know the latter.
    ...(invoked !== '' && invoked !== event.path ? { InvokedAs: invoked } : {}),
    ...(event.flags & EVENT_FLAG.ARGS_TRUNCATED ? { Arguments: 'truncated' } : {}),
  }
}

/** As 2026-11-22T05:14:40.109912Z, in UTC. */
export function formatTime(unixNs: bigint): string {
  const seconds = unixNs / 1_000_000_000n
  const micros = (unixNs % 1_000_000_000n) / 1000n
  return `${new Date(Number(seconds) * 1000).toISOString().slice(0, 19)}.${String(micros).padStart(6, '0')}Z`
}
