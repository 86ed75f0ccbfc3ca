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

/** One record: by default a blocked exec of /bin/ls by /bin/dash. */
export function record(sketch: EventSketch = {}): Uint8Array {
  const args = sketch.args ?? []
  const strings = [sketch.path ?? '/bin/ls', sketch.exe ?? '/bin/dash', sketch.parentExe ?? '/usr/bin/runc', args.map((arg) => `${arg}\0`).join('')]
    .map((value) => Buffer.from(value))
  const size = EVENT.bytes + strings.reduce((sum, value) => sum + value.length, 0)
  const bytes = new Uint8Array(size)
  const data = view(bytes)
  data.setUint32(EVENT.size, size, true)
  data.setUint16(EVENT.kind, sketch.kind ?? EVENT_KIND.DECISION, true)
  data.setUint8(EVENT.op, sketch.op ?? OP.EXEC)
  data.setUint8(EVENT.verdict, sketch.verdict ?? VERDICT.BLOCK)
  data.setBigUint64(EVENT.time_ns, sketch.timeNs ?? 5_000_000_000n, true)
  data.setBigUint64(EVENT.cgroup_id, sketch.cgroupId ?? 11n, true)
  data.setBigUint64(EVENT.bound_id, sketch.boundId ?? sketch.cgroupId ?? 11n, true)
  const words: [number, number][] = [
    [EVENT.serial, sketch.serial ?? 1], [EVENT.clause, sketch.clause ?? 1], [EVENT.reason, sketch.reason ?? 0], [EVENT.flags, sketch.flags ?? 0],
    [EVENT.host_pid, sketch.hostPid ?? 3826], [EVENT.host_ppid, sketch.hostPpid ?? 3820], [EVENT.pid, sketch.pid ?? 55], [EVENT.ppid, sketch.ppid ?? 1],
    [EVENT.uid, sketch.uid ?? 0],
  ]
  for (const [at, value] of words) data.setUint32(at, value, true)
  bytes.set(Buffer.from(sketch.comm ?? 'dash'), EVENT.comm)
  bytes.set(Buffer.from(sketch.tty ?? 'pts0'), EVENT.tty)
  for (const [index, at] of [EVENT.path_len, EVENT.exe_len, EVENT.parent_exe_len, EVENT.args_len].entries()) data.setUint16(at, strings[index]?.length ?? 0, true)
  let at: number = EVENT.bytes
  for (const value of strings) {
    bytes.set(value, at)
    at += value.length
  }
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
