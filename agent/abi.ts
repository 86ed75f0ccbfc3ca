// SPDX-License-Identifier: Apache-2.0
// The agent's side of bpf/abi.h and of the stamp in bpf/table.h. abi.test.ts compiles both headers and compares every number here.

/** MERLON_ABI_VERSION: maps and programs of another version are never adopted. */
export const ABI_VERSION = 3
export const ARGS_MAX = 1024
export const COMM_LENGTH = 16
export const TTY_LENGTH = 16
/** The agent lives, to the kernel side, while `control.heartbeat_ns` is younger than this. */
export const HEARTBEAT_MAX_NS = 3_000_000_000n

export const VERDICT = { ALLOW: 0, AUDIT: 1, BLOCK: 2 } as const
export const OP = { EXEC: 0, READ: 1, WRITE: 2 } as const
export const BIND = { CONTAINER: 1, PLAIN: 2, HOST: 3 } as const
export type BindKind = (typeof BIND)[keyof typeof BIND]
/** enum merlon_visible */
export const VISIBLE = { PROCESS: 1, FILE: 2 } as const
/** enum merlon_binding_flag */
export const BOUND = { HOLDS: 1 } as const
/** enum merlon_hold_mode */
export const HOLD = { OFF: 0, LIVE: 1, ALWAYS: 2 } as const
export type HoldMode = (typeof HOLD)[keyof typeof HOLD]
export const HELD = { WAITING: 1, RELEASED: 2, RESUMED: 3 } as const
export const EVENT_KIND = { DECISION: 1, HELD: 2 } as const
export const EVENT_FLAG = { OWNER: 1, ARGS_TRUNCATED: 2, ENTERING: 4 } as const

/** enum merlon_stat in its order: the index is the key in the map `stats`. */
export const STATS = ['denials_lost', 'events_lost', 'undecidable', 'entering', 'held', 'not_held', 'logs_lost'] as const
export const STATS_ENTRIES = 8

/** enum merlon_error_file in its order; the first has the number 1. */
export const ERROR_FILES = ['decide', 'subject', 'path', 'event', 'exec', 'open', 'life'] as const

/** enum merlon_reason in its order, as events name it in EventData. */
export const REASONS = ['', 'PathTooLong', 'Detached', 'ReadFailed', 'NoScratch', 'BadTable'] as const

/** Offsets in struct merlon_event; the strings follow at `bytes`. */
export const EVENT = {
  size: 0, kind: 4, op: 6, verdict: 7, time_ns: 8, cgroup_id: 16, bound_id: 24, generation: 32, serial: 40, clause: 44, reason: 48,
  flags: 52, host_pid: 56, host_tid: 60, host_ppid: 64, pid: 68, ppid: 72, uid: 76, mnt_ns: 80, pid_ns: 84, comm: 88, tty: 104,
  path_len: 120, exe_len: 122, parent_exe_len: 124, args_len: 126, bytes: 128,
} as const

export const BINDING = { slot: 0, kind: 4, visible: 6, flags: 7, bytes: 8 } as const
export const CONTROL = { bind_epoch: 0, heartbeat_ns: 8, hold: 16, bytes: 24 } as const
export const HELD_ENTRY = { state: 0, tgid: 4, bytes: 8 } as const
export const ERROR_KEY = { file: 0, line: 2, error: 4, bytes: 8 } as const

/** Offsets in page 0 of a table (bpf/table.h). `stamp` is zero at rest and left out of the hash. */
export const TABLE = { magic: 0, version: 4, pages: 8, flags: 12, clauses: 56, hash: 128, stamp: 160, class_of: 256 } as const
export const STAMP = { generation: 0, serial: 8, counter_base: 12, slot: 16, bytes: 32 } as const
export const PAGE = 4096
export const HASH_BYTES = 32
export const TABLE_MAGIC = 0x4e4c524d
export const TABLE_VERSION = 2

/** merlon_config of bpf/maps.bpf.h: a section of its own, set before load. */
export const CONFIG = { section: '.rodata.config', host_mnt_ns: 0, bytes: 4 } as const
/** MERLON_SCRATCH_SHARED and MERLON_SCRATCH_PER_CPU: the map `scratch` has so many entries, and so many more for each possible CPU. */
export const SCRATCH_SHARED = 64
export const SCRATCH_PER_CPU = 4

/** Map types and flags of linux/bpf.h that the agent creates maps with. */
export const BPF_MAP_TYPE_ARRAY = 2
/** BPF_F_INNER_MAP: inner array maps may differ in max_entries (since Linux 5.10). */
export const BPF_F_INNER_MAP = 0x1000

export function u32(value: number): Uint8Array {
  const bytes = new Uint8Array(4)
  new DataView(bytes.buffer).setUint32(0, value, true)
  return bytes
}

export function u64(value: bigint): Uint8Array {
  const bytes = new Uint8Array(8)
  new DataView(bytes.buffer).setBigUint64(0, value, true)
  return bytes
}

export function view(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

/** Value of `bindings`. `visible`: VISIBLE, `flags`: BOUND. */
export function encodeBinding(slot: number, kind: BindKind, visible = 0, flags = 0): Uint8Array {
  const bytes = new Uint8Array(BINDING.bytes)
  view(bytes).setUint32(BINDING.slot, slot, true)
  view(bytes).setUint16(BINDING.kind, kind, true)
  view(bytes).setUint8(BINDING.visible, visible)
  view(bytes).setUint8(BINDING.flags, flags)
  return bytes
}

export function encodeHeld(state: number, tgid: number): Uint8Array {
  const bytes = new Uint8Array(HELD_ENTRY.bytes)
  view(bytes).setUint32(HELD_ENTRY.state, state, true)
  view(bytes).setUint32(HELD_ENTRY.tgid, tgid, true)
  return bytes
}

/** Sums one per-CPU value: u64 of every possible CPU, joined. */
export function sumPerCpu(value: Uint8Array): bigint {
  const data = view(value)
  let sum = 0n
  for (let at = 0; at + 8 <= data.byteLength; at += 8) sum += data.getBigUint64(at, true)
  return sum
}
