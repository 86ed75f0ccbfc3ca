// SPDX-License-Identifier: Apache-2.0
// The node under test, inside a guest: the kernel side as the agent loads it, tables from policies as the operator compiles them, and
// nothing in between, so that a test says which cgroup is bound to which policy and sees every record and counter.
import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { BIND, type BindKind, encodeBinding, HOLD, sumPerCpu, u32, u64, view } from '../../agent/abi.ts'
import { BootClock } from '../../agent/boottime.ts'
import { Control } from '../../agent/control.ts'
import { openKernel, type Kernel } from '../../agent/kernel.ts'
import { readRecords, type KernelEvent } from '../../agent/records.ts'
import { TableStore, type Slot } from '../../agent/tables.ts'
import { loadBinding } from '../../native/index.ts'
import type { RingBuffer } from '../../native/types.ts'
import { compile } from '../../policy/compile.ts'
import { makePlan } from '../../policy/plan.ts'
import { readManifests } from '../../policy/read.ts'
import type { Plan, Posture } from '../../policy/types.ts'
import { verifyTable } from '../../policy/verify.ts'
import { systemClock } from '../../runtime/clock.ts'

const native = loadBinding()
const boot = new BootClock()
const CGROUPS = '/sys/fs/cgroup'

export function cgroupId(directory: string): bigint {
  return statSync(directory, { bigint: true }).ino
}

/** Compiles manifests for a container of namespace `default` with label app=web. */
export function planOf(yaml: string, filePosture: Posture = 'block'): Plan {
  const { policies, findings } = readManifests(yaml, 'test.yaml')
  const errors = findings.filter((finding) => finding.severity === 'error')
  if (errors.length > 0) throw new Error(JSON.stringify(errors))
  return makePlan(policies, { host: false, namespace: 'default', pod: 'web', container: 'web', labels: { app: 'web' } }, { filePosture })
}

/** A KubeArmorPolicy named `p` for app=web with this spec (YAML, indented by two). */
export function policy(spec: string, name = 'p'): string {
  return `apiVersion: security.kubearmor.com/v1\nkind: KubeArmorPolicy\nmetadata: {name: ${name}, namespace: default}\nspec:\n  selector: {matchLabels: {app: web}}\n${spec}\n`
}

export interface Loaded {
  readonly plan: Plan
  readonly slot: Slot
}

/** The kernel side's object file. */
export const OBJECT = new URL('../../build/bpf/merlon.bpf.o', import.meta.url)

export interface NodeOptions {
  /** Default: this tree's. */
  readonly object?: Uint8Array
  /** Leaves what an earlier process bound. */
  readonly keepBindings?: boolean
}

export class Node {
  readonly kernel: Kernel
  readonly tables: TableStore
  readonly control: Control
  readonly events: KernelEvent[] = []
  readonly #rings: RingBuffer[]
  readonly #bound = new Set<bigint>()
  readonly #errorsBefore: Record<string, number>
  #generation = 0n
  #serial = 0

  constructor(pinDirectory = '/sys/fs/bpf/merlon-test', options: NodeOptions = {}) {
    const opened = openKernel({
      native,
      object: options.object ?? readFileSync(OBJECT),
      pinDirectory,
      hostMountNamespace: Number(statSync('/proc/self/ns/mnt', { bigint: true }).ino),
    })
    if (!opened.ok) throw new Error(`${opened.problem.code}: ${opened.problem.message}`)
    this.kernel = opened.value
    this.control = new Control(this.kernel.maps.control)
    this.tables = new TableStore({
      native, tables: this.kernel.maps.tables, counters: this.kernel.maps.counters, bindings: this.kernel.maps.bindings, directory: this.kernel.tablesDirectory,
      verify: verifyTable, require: (flags) => this.kernel.onDemand.require(flags), clock: systemClock, uptime: Number(boot.nowNs() / 1_000_000_000n),
    })
    // What the test file before this one left: its bindings, if it did not end well.
    if (options.keepBindings !== true) this.#dropBindings()
    this.hold(false)
    this.control.bumpEpoch()
    this.#errorsBefore = this.#allErrors()
    this.#rings = (['denials', 'events'] as const).map((name) =>
      native.openRingBuffer(this.kernel.maps[name], (batch) => this.events.push(...readRecords(batch).events)))
  }

  /** Compiles and loads policies; the table is in force for nobody yet. */
  load(yaml: string, posture: Posture = 'block', slot?: number): Loaded {
    return this.loadPlan(planOf(yaml, posture), slot)
  }

  loadPlan(plan: Plan, slot?: number): Loaded {
    const compiled = compile(plan)
    if (!compiled.ok) throw new Error(JSON.stringify(compiled.findings))
    return { plan, slot: this.loadTable(compiled.table, slot) }
  }

  /** Puts a compiled table into a slot. */
  loadTable(table: Uint8Array, slot?: number): Slot {
    const loaded = this.tables.load(table, ++this.#generation, slot)
    if (!loaded.ok) throw new Error(loaded.problem.message)
    this.#serial = loaded.value.serial
    return loaded.value
  }

  /** Serial that the next table will have. */
  nextSerial(): number {
    return this.#serial + 1
  }

  /** Binds a cgroup directory, which is made where it does not exist. Slot 0: bound, no rules. `visible`: VISIBLE of agent/abi.ts, `flags`: BOUND. */
  bind(directory: string, slot: number, kind: BindKind = BIND.CONTAINER, { visible = 0, flags = 0 } = {}): bigint {
    mkdirSync(directory, { recursive: true })
    const id = cgroupId(directory)
    this.kernel.maps.bindings.update(u64(id), encodeBinding(slot, kind, visible, flags))
    this.#bound.add(id)
    this.control.bumpEpoch()
    return id
  }

  #dropBindings(): void {
    const { keys, count } = this.kernel.maps.bindings.entries()
    for (let i = 0; i < count; i++) this.kernel.maps.bindings.delete(keys.slice(i * 8, i * 8 + 8))
  }

  unbindAll(): void {
    for (const id of this.#bound) this.kernel.maps.bindings.delete(u64(id))
    this.#bound.clear()
    this.control.bumpEpoch()
  }

  /** Holding of unknown containers; with a heartbeat that is fresh for three seconds. */
  hold(on: boolean): void {
    this.control.setHold(on ? HOLD.LIVE : HOLD.OFF)
    if (on) this.control.beat(boot.nowNs())
  }

  /** CLOCK_BOOTTIME. */
  uptimeNs(): bigint {
    return boot.nowNs()
  }

  /** Hits of one clause over all CPUs. */
  hits(slot: Slot, clause: number): number {
    return this.#sum(this.kernel.maps.counters.lookup(u32(slot.range.base + clause)))
  }

  stat(index: number): number {
    return this.#sum(this.kernel.maps.stats.lookup(u32(index)))
  }

  /** `file:line:errno` -> count since this was made: nothing here is expected in a healthy run. */
  errors(): Record<string, number> {
    const fresh = Object.entries(this.#allErrors()).map(([name, count]) => [name, count - (this.#errorsBefore[name] ?? 0)] as const)
    return Object.fromEntries(fresh.filter(([, count]) => count > 0))
  }

  #allErrors(): Record<string, number> {
    const { keys, values, count } = this.kernel.maps.errors.entries()
    const each = values.length / Math.max(count, 1)
    const result: Record<string, number> = {}
    for (let i = 0; i < count; i++) {
      const key = view(keys.subarray(i * 8, i * 8 + 8))
      result[`${key.getUint16(0, true)}:${key.getUint16(2, true)}:${key.getUint32(4, true)}`] = this.#sum(values.subarray(i * each, (i + 1) * each))
    }
    return result
  }

  /** Hands over what has been read by itself: unlike drain(), this ends while events keep coming. */
  take(): KernelEvent[] {
    return this.events.splice(0)
  }

  /** Reads what the rings hold and hands it over. */
  drain(): KernelEvent[] {
    for (const ring of this.#rings) ring.consume()
    return this.events.splice(0)
  }

  close({ keepBindings = false } = {}): void {
    if (!keepBindings) this.unbindAll()
    for (const ring of this.#rings) ring.close()
    this.tables.close()
    this.kernel.close()
  }

  #sum(values: Uint8Array | undefined): number {
    return values === undefined ? 0 : Number(sumPerCpu(values))
  }
}

/** Moves this process into a cgroup. */
export function enter(directory: string, pid = process.pid): void {
  writeFileSync(join(directory, 'cgroup.procs'), String(pid))
}

export function testCgroup(name: string): string {
  const directory = join(CGROUPS, 'merlon-test', name)
  mkdirSync(directory, { recursive: true })
  return directory
}
