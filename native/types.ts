// SPDX-License-Identifier: Apache-2.0
// The API of the native addon (native/index.ts loads it). A thin, generic libbpf binding: no policy knowledge.
//
// Wrong arguments throw TypeError or RangeError (code MERLON_NATIVE_ARGUMENT) before anything reaches libbpf; a failed call throws
// BpfError. Everything is synchronous; handles are closed by close() or `using`, twice is harmless, use after close throws an
// Error with code MERLON_NATIVE_CLOSED, and a method of BpfObject called too early or too late one with MERLON_NATIVE_PHASE.
// Nothing is coerced: a number is a number, and bytes are a Uint8Array that is neither detached nor shared between threads.

/** A failed libbpf or bpf(2) call. */
export interface BpfError extends Error {
  /** errno name, such as EPERM; ENOTSUPP is the kernel's 524; libbpf's own are LIBBPF_FORMAT, LIBBPF_RELOC and the like. */
  readonly code: string
  /** Positive. */
  readonly errno: number
  /** What failed, such as `bpf_object__load` or `bpf_map_update_elem`. */
  readonly syscall: string
  /** What libbpf and the verifier printed during the call; empty when nothing. The end, where it is longer than 64 KiB. */
  readonly log: string
}

export interface BpfMapInfo {
  readonly id: number
  /** enum bpf_map_type */
  readonly type: number
  readonly name: string
  readonly keySize: number
  /** Bytes of one value; for per-CPU maps of one CPU's value. */
  readonly valueSize: number
  readonly maxEntries: number
  readonly flags: number
  readonly perCpu: boolean
}

export interface BpfMapOptions {
  readonly type: number
  /** At most 15 bytes: the kernel keeps no more. */
  readonly name: string
  readonly keySize: number
  readonly valueSize: number
  readonly maxEntries: number
  readonly flags?: number
  /** Template for maps of maps. */
  readonly inner?: BpfMap
}

export interface BpfMap extends Disposable {
  readonly info: BpfMapInfo
  /** The value, or undefined where there is none. Per-CPU: values of all possible CPUs, each padded to 8 bytes, joined. Maps of maps: the inner map's id. */
  lookup(key: Uint8Array): Uint8Array | undefined
  /** flags: BPF_ANY 0, BPF_NOEXIST 1, BPF_EXIST 2. Per-CPU: value as lookup returns it. */
  update(key: Uint8Array, value: Uint8Array, flags?: number): void
  /** Sets a slot of a map of maps to an inner map: the swap. */
  updateInner(key: Uint8Array, inner: BpfMap): void
  /** False where there was no such key. */
  delete(key: Uint8Array): boolean
  /** The key after this one (the first one without argument), undefined at the end. */
  nextKey(key?: Uint8Array): Uint8Array | undefined
  /** `keys` and `values` joined; count = keys.length / keySize. Falls back to single updates where the kernel has no batch for the type. Not atomic: entries before a failing one stay. */
  updateBatch(keys: Uint8Array, values: Uint8Array): void
  /** All entries, joined in the same way, in no order. Those that change meanwhile may be missing or old. */
  entries(): { readonly keys: Uint8Array; readonly values: Uint8Array; readonly count: number }
  pin(path: string): void
  close(): void
}

export interface BpfProgramInfo {
  readonly name: string
  /** ELF section, such as lsm/file_open */
  readonly section: string
}

export interface BpfLink extends Disposable {
  pin(path: string): void
  /** Lets go of the handle: a pinned link stays attached, another is detached. */
  close(): void
}

export interface BpfObjectOptions {
  readonly name?: string
  /** BTF of the kernel to relocate against; default: the running kernel's. */
  readonly btf?: string
}

export interface BpfObject extends Disposable {
  /** Names as in the file; global data by its section, such as .rodata. */
  readonly maps: readonly string[]
  readonly programs: readonly BpfProgramInfo[]
  /** Before load: replaces bytes of a global data section (.rodata, .data, .bss) from `offset`. */
  setGlobals(section: string, offset: number, bytes: Uint8Array): void
  /** Before load. */
  setMaxEntries(map: string, maxEntries: number): void
  /** Before load: whether the program is loaded at all. */
  setAutoload(program: string, load: boolean): void
  /** Before load: uses an existing map (an adopted pin) in place of the object's own. Type, key and value size must be equal. */
  reuseMap(map: string, existing: BpfMap): void
  /** Throws BpfError with the verifier's log; the object is of no use then. */
  load(): void
  /** After load: a handle of its own on the map. */
  map(name: string): BpfMap
  /** After load: attaches by the program's section (lsm, tp_btf, fentry, raw_tp, tracepoint). */
  attach(program: string): BpfLink
  /** After load: keeps the program loaded, attached or not, for attachPinned(). */
  pinProgram(program: string, path: string): void
  /**
   * After load: runs the program once with `data_in` or `ctx_in` = input (BPF_PROG_TEST_RUN; raw_tp and syscall programs take ctx).
   * Returns the program's return value as the kernel has it, unsigned: `| 0` gives a negative errno. `input` is not written to.
   */
  testRun(program: string, input: Uint8Array): number
  close(): void
}

/**
 * Reads a BPF_MAP_TYPE_RINGBUF on the poll of this thread's loop. Delivers until it is closed, whether or not JavaScript holds it.
 * One reader a map: two in different threads would take records from each other.
 */
export interface RingBuffer extends Disposable {
  /** Reads what is there now, delivers it, returns the number of records. */
  consume(): number
  /** Whether the handle keeps the process alive (default: it does). */
  ref(): void
  unref(): void
  close(): void
}

export interface NativeBinding {
  /** Such as 1.1: libbpf tells no patch level. */
  readonly libbpfVersion: string
  /** Possible CPUs: per-CPU values are this many times the value size rounded up to 8. */
  readonly possibleCpus: number
  /** The bytes are checked for damage; the programs in them are trusted as any code of ours. */
  openObject(bytes: Uint8Array, options?: BpfObjectOptions): BpfObject
  createMap(options: BpfMapOptions): BpfMap
  /** Throws BpfError ENOENT where nothing is pinned. */
  openPinnedMap(path: string): BpfMap
  openPinnedLink(path: string): BpfLink
  /** Attaches a program that was pinned by pinProgram(): one of lsm, tp_btf or fentry. */
  attachPinned(path: string): BpfLink
  /**
   * `onBatch` gets the records of one wake-up, each preceded by its length as u32 little-endian and padded to 8 bytes from the start of the length,
   * joined in one Uint8Array that belongs to the callee. At most 1 MiB a batch (a larger record comes alone): more comes in further calls.
   * It may call anything, close() and consume() too. What it throws is an uncaught exception, or comes out of consume().
   */
  openRingBuffer(map: BpfMap, onBatch: (records: Uint8Array) => void): RingBuffer
}
