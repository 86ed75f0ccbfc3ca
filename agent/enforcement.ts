// SPDX-License-Identifier: Apache-2.0
// What the operator wants, brought into the kernel: tables into slots first, then bindings of cgroups to slots, then the epoch that makes
// tasks look again, and only then are slots freed. Whatever fails leaves its workloads with what they had, and is reported.
import type { BpfMap } from '../native/types.ts'
import type { Clause__Output as Clause } from '../proto/gen/merlon/v1/Clause.ts'
import type { Identity__Output as Identity } from '../proto/gen/merlon/v1/Identity.ts'
import type { OperatorMessage__Output as OperatorMessage } from '../proto/gen/merlon/v1/OperatorMessage.ts'
import type { Profile__Output as ProfileMessage } from '../proto/gen/merlon/v1/Profile.ts'
import { BOUND, type BindKind } from './abi.ts'
import { Bindings } from './bindings.ts'
import type { Control } from './control.ts'
import { describeLack, lackOf } from './enforced.ts'
import { codeOf, type AgentProblem } from './errors.ts'
import { placeProfiles, type WantedProfile } from './placement.ts'
import { ProfileSlots } from './profile-slots.ts'
import type { Recording } from './recording.ts'
import type { TableStore } from './tables.ts'
import { Wishes } from './wishes.ts'

/** A cgroup that belongs to a workload. */
export interface Target {
  readonly workload: string
  readonly cgroupId: bigint
  readonly kind: BindKind
}

export interface Attribution {
  readonly profile: string
  /** Of ids 1, 2, ... */
  readonly clauses: readonly Clause[]
}

interface Profile extends Attribution {
  /** Hex; empty: no rule applies. */
  readonly hash: string
}

/** What the operator's messages carry; the canary's own wish has the same shape. */
export type Order = Pick<OperatorMessage, 'generation' | 'full' | 'tables' | 'profiles' | 'bindings' | 'unbound' | 'keep'>

export interface EnforcementOptions {
  readonly tables: TableStore
  readonly bindings: BpfMap
  readonly control: Control
  readonly recording: Recording
}

export class Enforcement {
  readonly #tables: TableStore
  readonly #bindings: Bindings
  readonly #control: Control
  readonly #recording: Recording
  readonly #profiles = new Map<string, Profile>()
  readonly #wishes = new Wishes()
  readonly #targets = new Map<bigint, Target>()
  readonly #slots = new ProfileSlots()
  #identities = new Map<string, Identity>()
  #lastOwner = new Map<bigint, string>()
  #isSynced = false

  constructor(options: EnforcementOptions) {
    this.#tables = options.tables
    this.#bindings = new Bindings(options.bindings)
    this.#control = options.control
    this.#recording = options.recording
  }

  /** Carries out one message of the operator. Returns what could not be done; the rest is in force. */
  apply(order: Order): AgentProblem[] {
    for (const profile of order.profiles) this.#profiles.set(profile.id, readProfile(profile))
    this.#wishes.take(order)
    for (const { workload, identity } of order.bindings) if (identity) this.#identities.set(workload, identity)
    this.#isSynced ||= order.full
    return this.#reconcile(BigInt(order.generation), new Map(order.tables.map((table) => [hex(table.hash), table.content])))
  }

  /** What profiles in force ask that no program of this agent decides; of each workload. */
  notEnforced(): AgentProblem[] {
    return this.#wishes.ordered().flatMap(([workload, { profile }]) => {
      const lack = lackOf(this.#tables.slots.get(this.#slots.slotOf(profile) ?? 0)?.flags ?? 0)
      return lack.length === 0 ? [] : [{ code: 'MERLON_AGENT_NOT_ENFORCED', message: describeLack(lack), workload }]
    })
  }

  /** A workload of the agent's own, such as the canary: its table does not come from the operator. */
  setOwn(workload: string, content: Uint8Array, hash: string, clauses: readonly Clause[]): AgentProblem[] {
    const profile = `${workload}:${hash}`
    this.#profiles.set(profile, { profile, hash, clauses })
    this.#wishes.setOwn(workload, profile, content)
    return this.#reconcile(0n, new Map())
  }

  /** A cgroup appeared: it is bound at once where its workload's profile is in force. */
  addTarget(target: Target): AgentProblem[] {
    this.#targets.set(target.cgroupId, target)
    this.#lastOwner.set(target.cgroupId, target.workload)
    return this.#bindTargets([target])
  }

  /** Somebody follows logs, or nobody does any more. */
  record(isWanted: boolean): AgentProblem[] {
    this.#recording.want(isWanted)
    return this.#bindTargets([...this.#targets.values()])
  }

  /** A cgroup is gone. */
  removeTarget(cgroupId: bigint): void {
    const target = this.#targets.get(cgroupId)
    this.#targets.delete(cgroupId)
    if (this.#bindings.unbind(cgroupId)) this.#control.bumpEpoch()
    if (target === undefined || [...this.#targets.values()].some((other) => other.workload === target.workload)) return
    // The operator forgets a workload that is reported gone without a word, and sends everything anew when it comes back.
    this.#forget([target.workload])
  }

  /** Whether the operator has said that nothing applies to this workload. */
  isAnswered(workload: string): boolean {
    return this.#wishes.isAnswered(workload)
  }

  /** Whether a binding of this cgroup decides for what is below it: not that of a pod whose containers have to be told apart. */
  covers(cgroupId: bigint): boolean {
    return this.#bindings.covers(cgroupId)
  }

  attribution(serial: number): Attribution | undefined {
    return this.#profiles.get(this.#slots.ofSerial(serial) ?? '')
  }

  /** Who owns, or lately owned, this cgroup. */
  workloadOf(cgroupId: bigint): string | undefined {
    return this.#lastOwner.get(cgroupId)
  }

  /** What each loaded table's clauses have counted is added up for the profile that it was loaded for. */
  profileOf(serial: number): string | undefined {
    return this.#slots.ofSerial(serial)
  }

  identity(workload: string): Identity | undefined {
    return this.#identities.get(workload)
  }

  /** Drops what events no longer ask for. Call it from time to time. */
  sweep(): void {
    const gone = this.#wishes.takeStrays(new Set([...this.#targets.values()].map((target) => target.workload)))
    if (gone.length > 0) this.#forget(gone)
    for (const serial of this.#tables.sweep()) this.#slots.forget(serial)
    const used = new Set([...this.#slots.named, ...this.#wishes.all().map(([, wish]) => wish.profile)])
    for (const id of this.#profiles.keys()) if (!used.has(id)) this.#profiles.delete(id)
    // Owners and identities are kept through one sweep after their cgroup went.
    this.#lastOwner = new Map([...this.#targets.values()].map((target) => [target.cgroupId, target.workload]))
    this.#identities = new Map(this.#wishes.ordered().flatMap(([workload, wish]) => (wish.identity ? [[workload, wish.identity]] : [])))
  }

  #forget(workloads: readonly string[]): void {
    this.#wishes.forget(workloads)
    this.#slots.clear()
    for (const [, { profile }] of this.#wishes.all()) this.#slots.reclaim(profile)
    this.#freeUnused()
  }

  #reconcile(generation: bigint, sent: ReadonlyMap<string, Uint8Array>): AgentProblem[] {
    const failed = new Map<string, AgentProblem>()
    this.#placeAll(generation, sent, failed)
    const problems = this.#bindTargets([...this.#targets.values()])
    if (this.#isSynced) this.#unbindOrphans()
    this.#freeUnused()
    for (const [workload, wish] of this.#wishes.all()) {
      const problem = failed.get(wish.profile)
      if (problem) problems.push({ ...problem, workload })
    }
    return problems
  }

  #placeAll(generation: bigint, sent: ReadonlyMap<string, Uint8Array>, failed: Map<string, AgentProblem>): void {
    const slots = [...this.#tables.slots.values()].map(({ slot, hash }) => ({ slot, hash, profile: this.#slots.inSlot(slot) }))
    const members = this.#bindings.slots().map(([cgroupId, slot]) => ({ slot, wants: this.#wishes.of(this.#targets.get(cgroupId)?.workload ?? '')?.profile }))
    const placements = placeProfiles(this.#wanted(failed), slots, members)
    this.#slots.clear()
    for (const { profile, slot, isLoaded } of placements) {
      if (isLoaded && slot !== undefined) this.#claim(profile, slot)
      else this.#load(profile, { slot, generation, sent, failed })
    }
  }

  /** Profiles with a table that some workload shall have. */
  #wanted(failed: Map<string, AgentProblem>): WantedProfile[] {
    const wanted = new Map<string, WantedProfile>()
    for (const [, { profile }] of this.#wishes.all()) {
      const known = this.#profiles.get(profile)
      if (known === undefined) failed.set(profile, { code: 'MERLON_AGENT_PROFILE_UNKNOWN', message: `Profile ${profile.slice(0, 16)} was not sent` })
      else if (known.hash !== '') wanted.set(profile, { id: profile, hash: known.hash })
    }
    return [...wanted.values()]
  }

  #load(profile: string, how: { slot: number | undefined; generation: bigint; sent: ReadonlyMap<string, Uint8Array>; failed: Map<string, AgentProblem> }): void {
    const hash = this.#profiles.get(profile)?.hash ?? ''
    const content = how.sent.get(hash) ?? this.#wishes.contentOf(profile) ?? this.#tables.content(hash)
    if (content === undefined) {
      how.failed.set(profile, { code: 'MERLON_AGENT_TABLE_MISSING', message: `Table ${hash.slice(0, 16)} is neither sent nor held` })
      return
    }
    const loaded = this.#tables.load(content, how.generation, how.slot)
    if (loaded.ok) this.#claim(profile, loaded.value.slot)
    else how.failed.set(profile, loaded.problem)
  }

  #claim(profile: string, slot: number): void {
    this.#slots.claim(profile, slot, this.#tables.slots.get(slot)?.serial)
  }

  #bindTargets(targets: readonly Target[]): AgentProblem[] {
    const problems: AgentProblem[] = []
    let isChanged = false
    for (const target of targets) {
      try {
        isChanged = this.#bindTarget(target) || isChanged
      } catch (error) {
        problems.push({ code: 'MERLON_AGENT_MAP_WRITE', message: `Cannot bind cgroup ${target.cgroupId}: ${codeOf(error)}`, workload: target.workload })
      }
    }
    if (isChanged) this.#control.bumpEpoch()
    return problems
  }

  /** True when the kernel's binding changed. */
  #bindTarget({ workload, cgroupId, kind }: Target): boolean {
    const wish = this.#wishes.of(workload)
    // Before the first complete message nothing is known to be unwanted: an adopted binding stays.
    if (wish === undefined) return this.#isSynced && !this.#wishes.isKept(workload) && this.#bindings.unbind(cgroupId)
    const slot = this.#profiles.get(wish.profile)?.hash === '' ? 0 : this.#slots.slotOf(wish.profile)
    return slot !== undefined && this.#bindings.bind(cgroupId, { slot, kind, visible: this.#recording.bitsOf(wish.visible), flags: wish.holds ? BOUND.HOLDS : 0 })
  }

  /** Bindings of an earlier agent for cgroups that no container has any more. */
  #unbindOrphans(): void {
    const orphans = this.#bindings.slots().map(([cgroupId]) => cgroupId).filter((cgroupId) => !this.#targets.has(cgroupId))
    for (const cgroupId of orphans) this.#bindings.unbind(cgroupId)
    if (orphans.length > 0) this.#control.bumpEpoch()
  }

  #freeUnused(): void {
    if (!this.#isSynced) return
    const used = new Set([...this.#slots.wantedSlots, ...this.#bindings.slots().map(([, slot]) => slot)])
    for (const slot of this.#tables.slots.keys()) {
      if (used.has(slot)) continue
      this.#slots.release(slot)
      this.#tables.free(slot)
    }
  }
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

function readProfile(message: ProfileMessage): Profile {
  return { profile: message.id, hash: hex(message.table), clauses: message.clauses }
}
