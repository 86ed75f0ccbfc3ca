// SPDX-License-Identifier: Apache-2.0
// Tables into slots. A table is verified, copied into a map of its own with the agent's stamp, and put in force by one slot
// write; until that write succeeds the slot keeps what it had. What is in force is pinned, so that the next agent can read it back.
import { unlinkSync } from 'node:fs'
import { join } from 'node:path'
import type { BpfMap, NativeBinding } from '../native/types.ts'
import type { Clock } from '../runtime/clock.ts'
import { BINDING, BPF_F_INNER_MAP, BPF_MAP_TYPE_ARRAY, HASH_BYTES, PAGE, STAMP, TABLE, u32, view } from './abi.ts'
import { codeOf, reasonOf, type AgentProblem } from './errors.ts'
import { list } from './pins.ts'
import { CounterRanges, type CounterRange } from './ranges.ts'

/** Replaced tables keep their counters and slots for so long: events and counts of theirs are still on the way. */
export const RETIRE_MS = 30_000

/** One table in force. */
export interface Slot {
  readonly slot: number
  /** Unique on this node, across restarts: events carry it. 0: a table that cannot be read back. */
  readonly serial: number
  readonly generation: bigint
  /** SHA-256 in hex; empty where it cannot be read back. */
  readonly hash: string
  readonly range: CounterRange
  /** Of its header: what it asks. All bits where it cannot be read back. */
  readonly flags: number
}

export type TableCheck = (bytes: Uint8Array) => { readonly ok: true } | { readonly ok: false; readonly problem: string }

export interface TableStoreOptions {
  readonly native: NativeBinding
  readonly tables: BpfMap
  readonly counters: BpfMap
  /** Only read, to learn which slots an earlier agent's bindings lead to. */
  readonly bindings: BpfMap
  /** Where inner maps are pinned. */
  readonly directory: string
  readonly verify: TableCheck
  /** Attaches what a table with these flags needs. */
  readonly require: (flags: number) => AgentProblem | undefined
  readonly clock: Clock
  /** Seconds since boot. */
  readonly uptime: number
}

interface Loaded extends Slot {
  readonly map: BpfMap | undefined
  readonly pin: string
}

interface Retired {
  readonly slot: Loaded
  readonly isFreed: boolean
  readonly at: number
}

export type LoadResult = { readonly ok: true; readonly value: Slot } | { readonly ok: false; readonly problem: AgentProblem }

export class TableStore {
  readonly #options: TableStoreOptions
  readonly #slots = new Map<number, Loaded>()
  readonly #ranges: CounterRanges
  #retired: Retired[] = []
  #serial: number

  constructor(options: TableStoreOptions) {
    this.#options = options
    this.#ranges = new CounterRanges(options.counters, options.native.possibleCpus)
    // Serials of earlier agents that are pinned nowhere any more are below this unless they averaged eight loads a second.
    this.#serial = Math.floor(options.uptime * 8)
    this.#adopt()
  }

  get slots(): ReadonlyMap<number, Slot> {
    return this.#slots
  }

  /** Every table whose counters are there: in force, or replaced a moment ago. */
  counted(): Slot[] {
    return [...this.#slots.values(), ...this.#retired.map((entry) => entry.slot)]
  }

  /** What the tables in force ask, together. */
  flags(): number {
    return [...this.#slots.values()].reduce((all, slot) => all | slot.flags, 0)
  }

  /** Hashes of the tables in force, in hex, each once. */
  hashes(): string[] {
    return [...new Set([...this.#slots.values()].map((slot) => slot.hash).filter((hash) => hash !== ''))].toSorted()
  }

  /** The table's bytes at rest, read back from the kernel; undefined where no slot holds it. */
  content(hash: string): Uint8Array | undefined {
    // What was freed a moment ago is there still: the operator has not heard yet that it is not held any more.
    const readable = [...this.#slots.values(), ...this.#retired.filter((entry) => entry.isFreed).map((entry) => entry.slot)]
    const slot = readable.find((candidate) => candidate.hash === hash)
    if (slot?.map === undefined) return undefined
    const bytes = new Uint8Array(slot.map.entries().values)
    bytes.fill(0, TABLE.stamp, TABLE.stamp + STAMP.bytes)
    return bytes
  }

  /** Puts a table in force, in `slot` or in a free one. On failure everything is as before. */
  load(bytes: Uint8Array, generation: bigint, slot = this.#freeSlot()): LoadResult {
    const check = this.#options.verify(bytes)
    if (!check.ok) return { ok: false, problem: { code: 'MERLON_AGENT_TABLE_INVALID', message: `Refused a table: ${check.problem}` } }
    if (slot === undefined) return { ok: false, problem: { code: 'MERLON_AGENT_SLOTS_FULL', message: `All ${this.#options.tables.info.maxEntries - 1} slots are taken` } }
    const flags = view(bytes).getUint32(TABLE.flags, true)
    const problem = this.#options.require(flags)
    if (problem !== undefined) return { ok: false, problem }
    const range = this.#reserve(view(bytes).getUint32(TABLE.clauses, true))
    if (!range.ok) return range
    try {
      const loaded = this.#write(bytes, { slot, serial: ++this.#serial, generation, hash: hashIn(bytes), range: range.value, flags })
      const old = this.#slots.get(slot)
      this.#slots.set(slot, loaded)
      if (old) this.#retire(old, false)
      return { ok: true, value: loaded }
    } catch (error) {
      this.#ranges.release(range.value)
      return { ok: false, problem: { code: 'MERLON_AGENT_MAP_WRITE', message: `Cannot put a table into slot ${slot}: ${codeOf(error)} ${reasonOf(error)}` } }
    }
  }

  /** No binding leads to this slot any more. A program may be on its way there, so it empties later. */
  free(slot: number): void {
    const loaded = this.#slots.get(slot)
    if (loaded === undefined) return
    this.#slots.delete(slot)
    this.#retire(loaded, true)
  }

  /** Removes what was retired long enough ago. Returns the serials that are gone. */
  sweep(olderThanMs = RETIRE_MS): number[] {
    const limit = this.#options.clock.monotonic() - olderThanMs
    const due = this.#retired.filter((entry) => entry.at <= limit)
    this.#retired = this.#retired.filter((entry) => entry.at > limit)
    for (const { slot, isFreed } of due) {
      if (isFreed) {
        this.#options.tables.delete(u32(slot.slot))
        this.#dropPin(slot)
      }
      this.#ranges.release(slot.range)
    }
    return due.map((entry) => entry.slot.serial)
  }

  /** Slots and tables stay in the kernel. */
  close(): void {
    for (const slot of this.#slots.values()) slot.map?.close()
  }

  #reserve(clauses: number): { ok: true; value: CounterRange } | { ok: false; problem: AgentProblem } {
    const range = this.#ranges.reserve(clauses)
    if (range !== undefined) return { ok: true, value: range }
    // Counters of replaced tables make room before anything is refused.
    this.sweep(0)
    const second = this.#ranges.reserve(clauses)
    if (second !== undefined) return { ok: true, value: second }
    return { ok: false, problem: { code: 'MERLON_AGENT_COUNTERS_FULL', message: `Cannot make ${clauses} counters: the map counters has ${this.#options.counters.info.maxEntries} entries` } }
  }

  #write(bytes: Uint8Array, slot: Slot): Loaded {
    const { native, tables, directory } = this.#options
    const pages = bytes.length / PAGE
    // Inner maps of different sizes need BPF_F_INNER_MAP on them and on the template (Linux 5.10).
    const map = native.createMap({ type: BPF_MAP_TYPE_ARRAY, name: 'merlon_table', keySize: 4, valueSize: PAGE, maxEntries: pages, flags: BPF_F_INNER_MAP })
    const pin = join(directory, `${slot.slot}-${slot.serial}`)
    let isPinned = false
    try {
      const keys = new Uint8Array(new Uint32Array(pages).map((_, index) => index).buffer)
      map.updateBatch(keys, stamped(bytes, slot))
      map.pin(pin)
      isPinned = true
      tables.updateInner(u32(slot.slot), map)
      return { ...slot, map, pin }
    } catch (error) {
      if (isPinned) unlinkSync(pin)
      map.close()
      throw error
    }
  }

  #freeSlot(): number | undefined {
    const taken = new Set([...this.#slots.keys(), ...this.#retired.filter((entry) => entry.isFreed).map((entry) => entry.slot.slot)])
    for (let slot = 1; slot < this.#options.tables.info.maxEntries; slot++) if (!taken.has(slot)) return slot
    return undefined
  }

  #retire(slot: Loaded, isFreed: boolean): void {
    if (!isFreed) this.#dropPin(slot)
    this.#retired.push({ slot, isFreed, at: this.#options.clock.monotonic() })
  }

  #dropPin(slot: Loaded): void {
    if (slot.pin !== '') unlinkSync(slot.pin)
    slot.map?.close()
  }

  /** Learns from the kernel what an earlier agent put in force. */
  #adopt(): void {
    for (const name of list(this.#options.directory)) this.#adoptPin(name)
    for (const slot of this.#occupied()) {
      // Without its pin a table cannot be read; it goes on deciding until the operator binds its workloads anew.
      this.#slots.set(slot, { slot, serial: 0, generation: 0n, hash: '', range: { base: 0, clauses: 0 }, flags: ~0, map: undefined, pin: '' })
    }
    this.#ranges.dropStrays()
  }

  #adoptPin(name: string): void {
    const { native, tables, directory } = this.#options
    const pin = join(directory, name)
    const slot = Number(name.split('-')[0])
    let map: BpfMap | undefined
    try {
      map = native.openPinnedMap(pin)
      const page = map.lookup(u32(0))
      const id = tables.lookup(u32(slot))
      if (page !== undefined && id !== undefined && view(id).getUint32(0, true) === map.info.id) {
        const loaded = { ...readStamp(page), slot, map, pin }
        this.#serial = Math.max(this.#serial, loaded.serial)
        this.#slots.set(slot, loaded)
        this.#ranges.adopt(loaded.range)
        return
      }
    } catch (error) {
      if (codeOf(error) === '') throw error
    }
    // An agent ended between the pin and the slot write, or between the slot write and the removal of the old pin.
    map?.close()
    unlinkSync(pin)
  }

  /**
   * Slots that bindings lead to and that hold a table. Not every slot is asked: up to Linux 6.7 each lookup in a map of maps waits for an
   * RCU grace period (bpf_map_copy_value), so that 16,383 of them took minutes. What no binding leads to decides nothing and may be overwritten.
   */
  #occupied(): number[] {
    const { tables, bindings } = this.#options
    const { values, count } = bindings.entries()
    const slots = new Set(Array.from({ length: count }, (_, index) => view(values).getUint32(index * BINDING.bytes + BINDING.slot, true)))
    // Slot 0 is no table's. An empty slot has no value, or the id 0.
    return [...slots].filter((slot) => slot !== 0 && !this.#slots.has(slot) && (tables.lookup(u32(slot)) ?? new Uint8Array(4)).some((byte) => byte !== 0))
  }
}

function hashIn(page: Uint8Array): string {
  return Buffer.from(page.subarray(TABLE.hash, TABLE.hash + HASH_BYTES)).toString('hex')
}

function stamped(bytes: Uint8Array, slot: Slot): Uint8Array {
  const copy = new Uint8Array(bytes) // slice() of a Buffer would be a view
  const data = view(copy)
  data.setBigUint64(TABLE.stamp + STAMP.generation, slot.generation, true)
  data.setUint32(TABLE.stamp + STAMP.serial, slot.serial, true)
  data.setUint32(TABLE.stamp + STAMP.counter_base, slot.range.base, true)
  data.setUint32(TABLE.stamp + STAMP.slot, slot.slot, true)
  return copy
}

function readStamp(page: Uint8Array): Omit<Slot, 'slot'> {
  const data = view(page)
  return {
    serial: data.getUint32(TABLE.stamp + STAMP.serial, true),
    generation: data.getBigUint64(TABLE.stamp + STAMP.generation, true),
    hash: hashIn(page),
    flags: data.getUint32(TABLE.flags, true),
    range: { base: data.getUint32(TABLE.stamp + STAMP.counter_base, true), clauses: data.getUint32(TABLE.clauses, true) },
  }
}
