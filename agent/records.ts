// SPDX-License-Identifier: Apache-2.0
// Ring buffer records (struct merlon_event of bpf/abi.h) as objects.
import { COMM_LENGTH, EVENT, TTY_LENGTH, view } from './abi.ts'

export interface KernelEvent {
  readonly kind: number
  readonly op: number
  readonly verdict: number
  readonly timeNs: bigint
  readonly cgroupId: bigint
  readonly boundId: bigint
  readonly generation: bigint
  readonly serial: number
  readonly clause: number
  readonly reason: number
  readonly flags: number
  readonly hostPid: number
  readonly hostTid: number
  readonly hostPpid: number
  readonly pid: number
  readonly ppid: number
  readonly uid: number
  readonly mntNs: number
  readonly pidNs: number
  readonly comm: string
  readonly tty: string
  readonly path: string
  readonly exe: string
  readonly parentExe: string
  readonly args: readonly string[]
}

// What a process names its files need not be UTF-8, and protobuf's strings must be: other bytes become U+FFFD. A byte order mark is a part of the name, too.
const decoder = new TextDecoder('utf-8', { fatal: false, ignoreBOM: true })

/** Splits one batch of native's ring buffer (native/types.ts, openRingBuffer). Records that are shorter than they say are left out and counted. */
export function readRecords(batch: Uint8Array): { readonly events: KernelEvent[]; readonly malformed: number } {
  const data = view(batch)
  const events: KernelEvent[] = []
  let malformed = 0
  for (let at = 0; at + 4 <= batch.length;) {
    const length = data.getUint32(at, true)
    const event = readEvent(batch.subarray(at + 4, at + 4 + length))
    if (event) events.push(event)
    else malformed += 1
    at += Math.ceil((4 + length) / 8) * 8
  }
  return { events, malformed }
}

/** One record; undefined where its lengths disagree. */
export function readEvent(bytes: Uint8Array): KernelEvent | undefined {
  if (bytes.length < EVENT.bytes) return undefined
  const data = view(bytes)
  const lengths = [EVENT.path_len, EVENT.exe_len, EVENT.parent_exe_len, EVENT.args_len].map((at) => data.getUint16(at, true))
  if (EVENT.bytes + lengths.reduce((sum, length) => sum + length, 0) > bytes.length) return undefined
  let at: number = EVENT.bytes
  const [path = '', exe = '', parentExe = '', args = ''] = lengths.map((length) => decoder.decode(bytes.subarray(at, at += length)))
  return { ...readHeader(data), comm: text(bytes, EVENT.comm, COMM_LENGTH), tty: text(bytes, EVENT.tty, TTY_LENGTH), path, exe, parentExe, args: splitArgs(args) }
}

type Header = Omit<KernelEvent, 'comm' | 'tty' | 'path' | 'exe' | 'parentExe' | 'args'>

function readHeader(data: DataView): Header {
  const word = (at: number): number => data.getUint32(at, true)
  const long = (at: number): bigint => data.getBigUint64(at, true)
  return {
    kind: data.getUint16(EVENT.kind, true),
    op: data.getUint8(EVENT.op),
    verdict: data.getUint8(EVENT.verdict),
    timeNs: long(EVENT.time_ns),
    cgroupId: long(EVENT.cgroup_id),
    boundId: long(EVENT.bound_id),
    generation: long(EVENT.generation),
    serial: word(EVENT.serial),
    clause: word(EVENT.clause),
    reason: word(EVENT.reason),
    flags: word(EVENT.flags),
    hostPid: word(EVENT.host_pid),
    hostTid: word(EVENT.host_tid),
    hostPpid: word(EVENT.host_ppid),
    pid: word(EVENT.pid),
    ppid: word(EVENT.ppid),
    uid: word(EVENT.uid),
    mntNs: word(EVENT.mnt_ns),
    pidNs: word(EVENT.pid_ns),
  }
}

function text(bytes: Uint8Array, at: number, length: number): string {
  const field = bytes.subarray(at, at + length)
  const end = field.indexOf(0)
  return decoder.decode(end < 0 ? field : field.subarray(0, end))
}

function splitArgs(args: string): string[] {
  if (args === '') return []
  return (args.endsWith('\0') ? args.slice(0, -1) : args).split('\0')
}
