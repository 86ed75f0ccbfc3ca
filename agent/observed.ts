// SPDX-License-Identifier: Apache-2.0
// What a kernel event says of who did what: the fields that KubeArmor's Alert and Log have in common, as its BPF LSM enforcer fills them.
import type { Alert } from '../proto/gen/feeder/Alert.ts'
import type { Log } from '../proto/gen/feeder/Log.ts'
import { EVENT_FLAG, OP, REASONS } from './abi.ts'
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

export interface Context {
  readonly node: Node
  readonly who: Who
  readonly unixNs: bigint
}

/** Fields of both. */
export type Observed = Pick<Alert, keyof Alert & keyof Log>

export function observed(event: KernelEvent, { node, who, unixNs }: Context): Observed {
  return {
    Timestamp: Number(unixNs / 1_000_000_000n),
    UpdatedTime: formatTime(unixNs),
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
    Cwd: '/',
    TTY: event.tty,
    ExecEvent: { ExecID: '0', ExecutableName: event.comm },
    ...operationFields(event),
  }
}

/** For an exec the task's executable is still the caller's: KubeArmor calls it the parent and the source. */
function operationFields(event: KernelEvent): Observed {
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

/** Of EventData: the hook, and what the other fields have no place for. */
export function observedData(event: KernelEvent): Record<string, string> {
  const invoked = event.op === OP.EXEC ? (event.args[0] ?? '') : ''
  return {
    Lsm: event.op === OP.EXEC ? 'SECURITY_BPRM_CHECK' : 'FILE_OPEN',
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
