// SPDX-License-Identifier: Apache-2.0
// Ring buffer records for tests: what the kernel would write.
import { EVENT, EVENT_KIND, OP, VERDICT, view } from '../abi.ts'

export interface EventSketch {
  readonly kind?: number
  readonly op?: number
  readonly verdict?: number
  readonly timeNs?: bigint
  readonly cgroupId?: bigint
  readonly boundId?: bigint
  readonly serial?: number
  readonly clause?: number
  readonly reason?: number
  readonly flags?: number
  readonly hostPid?: number
  readonly hostPpid?: number
  readonly pid?: number
  readonly ppid?: number
  readonly uid?: number
  readonly comm?: string
  readonly tty?: string
  readonly path?: string | Uint8Array
  readonly exe?: string
  readonly parentExe?: string
  readonly args?: readonly string[]
}

const LS: Required<Omit<EventSketch, 'boundId'>> = {
  kind: EVENT_KIND.DECISION, op: OP.EXEC, verdict: VERDICT.BLOCK, timeNs: 5_000_000_000n, cgroupId: 11n, serial: 1, clause: 1, reason: 0, flags: 0,
  hostPid: 3826, hostPpid: 3820, pid: 55, ppid: 1, uid: 0, comm: 'dash', tty: 'pts0', path: '/bin/ls', exe: '/bin/dash', parentExe: '/usr/bin/runc', args: [],
}

/** One record: by default a blocked exec of /bin/ls by /bin/dash. */
export function record(sketch: EventSketch = {}): Uint8Array {
  const event = { ...LS, ...sketch }
  const strings = [event.path, event.exe, event.parentExe, event.args.map((arg) => `${arg}\0`).join('')].map((value) => Buffer.from(value))
  const size = EVENT.bytes + strings.reduce((sum, value) => sum + value.length, 0)
  const bytes = new Uint8Array(size)
  const data = view(bytes)
  data.setUint16(EVENT.kind, event.kind, true)
  data.setUint8(EVENT.op, event.op)
  data.setUint8(EVENT.verdict, event.verdict)
  data.setBigUint64(EVENT.time_ns, event.timeNs, true)
  data.setBigUint64(EVENT.cgroup_id, event.cgroupId, true)
  data.setBigUint64(EVENT.bound_id, event.boundId ?? event.cgroupId, true)
  const words: [number, number][] = [
    [EVENT.size, size], [EVENT.serial, event.serial], [EVENT.clause, event.clause], [EVENT.reason, event.reason], [EVENT.flags, event.flags],
    [EVENT.host_pid, event.hostPid], [EVENT.host_ppid, event.hostPpid], [EVENT.pid, event.pid], [EVENT.ppid, event.ppid], [EVENT.uid, event.uid],
  ]
  for (const [at, value] of words) data.setUint32(at, value, true)
  bytes.set(Buffer.from(event.comm), EVENT.comm)
  bytes.set(Buffer.from(event.tty), EVENT.tty)
  for (const [index, at] of [EVENT.path_len, EVENT.exe_len, EVENT.parent_exe_len, EVENT.args_len].entries()) data.setUint16(at, strings[index]?.length ?? 0, true)
  bytes.set(Buffer.concat(strings), EVENT.bytes)
  return bytes
}

/** Records framed as native delivers them. */
export function batch(...records: readonly Uint8Array[]): Uint8Array {
  const parts = records.map((bytes) => {
    const framed = new Uint8Array(Math.ceil((4 + bytes.length) / 8) * 8)
    view(framed).setUint32(0, bytes.length, true)
    framed.set(bytes, 4)
    return framed
  })
  return new Uint8Array(Buffer.concat(parts))
}
