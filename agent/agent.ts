// SPDX-License-Identifier: Apache-2.0
// The agent's parts, put together.
import { release } from 'node:os'
import type { NativeBinding } from '../native/types.ts'
import type { Ack } from '../proto/gen/merlon/v1/Ack.ts'
import type { Hello } from '../proto/gen/merlon/v1/Hello.ts'
import type { OperatorMessage__Output as OperatorMessage } from '../proto/gen/merlon/v1/OperatorMessage.ts'
import type { Workload } from '../proto/gen/merlon/v1/Workload.ts'
import { Backoff } from '../runtime/backoff.ts'
import { every, type Clock, type Timer } from '../runtime/clock.ts'
import type { Logger } from '../runtime/log.ts'
import { ENFORCED } from './enforced.ts'
import { BIND, HOLD, TABLE_VERSION } from './abi.ts'
import { BootClock } from './boottime.ts'
import { CANARY_WORKLOAD } from './canary.ts'
import { Control } from './control.ts'
import { cgroupIdOf, ownCgroup } from './containers/cgroups.ts'
import { KubepodsSource } from './containers/kubepods.ts'
import { OciSource } from './containers/oci.ts'
import { ContainerSet, type Changes } from './containers/set.ts'
import type { Container } from './containers/source.ts'
import { CounterReader } from './counters.ts'
import { Enforcement } from './enforcement.ts'
import { describe, reasonOf, type AgentProblem } from './errors.ts'
import { resumeProcess } from './held.ts'
import { Holder } from './hold.ts'
import type { Kernel } from './kernel.ts'
import { Leads } from './leads.ts'
import { bootId, machineId } from './machine.ts'
import { Messages } from './messages.ts'
import type { AgentOptions } from './options.ts'
import type { AgentMetrics, AgentState } from './metrics.ts'
import { Owners } from './owners.ts'
import { Probe } from './probe.ts'
import { Recording } from './recording.ts'
import { Events, type Relays } from './relays.ts'
import { Reporter } from './reporter.ts'
import { Sync, type SyncConnection } from './sync.ts'
import { TableStore, type TableCheck } from './tables.ts'

export const HOST_WORKLOAD = 'host'
const AGENT_VERSION = '0.1.0'
const BEAT_MS = 1_000
const COUNTERS_MS = 3_000
const SWEEP_MS = 10_000
/** What is said to be enforced was seen to be a moment ago. */
const PROBE_MS = 30_000

export interface AgentParts {
  readonly options: AgentOptions
  readonly native: NativeBinding
  readonly kernel: Kernel
  readonly cgroupRoot: string
  readonly abilities: Hello['abilities']
  readonly clock: Clock
  readonly logger: Logger
  readonly verify: TableCheck
  readonly compileProbe: (program: string) => { readonly table: Uint8Array; readonly hash: string }
  readonly metrics: AgentMetrics
  /** Ends this agent: another one may do better. */
  readonly giveUp: () => void
  readonly connectOperator: (signal: AbortSignal, standing: boolean) => Promise<SyncConnection | undefined>
  readonly relays: Relays
}

export class Agent {
  readonly #parts: AgentParts
  readonly #boot = new BootClock()
  readonly #control: Control
  readonly #enforcement: Enforcement
  readonly #tables: TableStore
  readonly #containers: ContainerSet
  readonly #holder: Holder
  readonly #sink: Events
  readonly #sync: Sync
  readonly #messages: Messages
  readonly #probe: Probe
  readonly #counters: CounterReader
  readonly #owners: Owners
  readonly #leads: Leads
  readonly #waiting = new Set<string>()
  readonly #reporter: Reporter
  readonly #timers: Timer[] = []
  readonly #abort = new AbortController()
  #runs: Promise<unknown> = Promise.resolve()
  #generation = 0
  #isGivingUp = false
  #lastAck: Omit<Ack, 'latency_us'> | undefined

  constructor(parts: AgentParts) {
    this.#parts = parts
    const { options, native, kernel, clock, logger, verify } = parts
    const { maps } = kernel
    const backoff = (): Backoff => new Backoff({ baseMs: 100, capMs: 5_000, clock, random: Math.random })
    this.#control = new Control(maps.control)
    this.#tables = new TableStore({
      native, tables: maps.tables, counters: maps.counters, bindings: maps.bindings, directory: kernel.tablesDirectory, verify, require: (flags) => kernel.onDemand.require(flags), clock, uptime: Number(this.#boot.nowNs() / 1_000_000_000n),
    })
    this.#enforcement = new Enforcement({ tables: this.#tables, bindings: maps.bindings, control: this.#control, recording: this.#makeRecording() })
    this.#owners = new Owners(this.#enforcement)
    this.#containers = new ContainerSet({
      sources: [...options.stateDirectories.map((path) => new OciSource(path, parts.cgroupRoot)), new KubepodsSource(parts.cgroupRoot)],
      clock, onChanges: (changes) => this.#onContainers(changes),
    })
    this.#sink = new Events({ node: options.node, relays: parts.relays, clock, backoff, onLost: (end, delayMs) => logger.info('Lost the relay', { end, delayMs }), onLoss: (where, count) => parts.metrics.lost(where, count), onLogsWanted: (isWanted) => this.#messages.report(...this.#enforcement.record(isWanted)) })
    this.#messages = new Messages({ node: options.node, cluster: options.cluster, sink: this.#sink, logger, clock })
    this.#sync = new Sync({
      connect: parts.connectOperator, hello: () => this.#hello(), apply: (message) => this.#apply(message), clock, backoff: backoff(),
      onLost: (end, delayMs) => logger.info('Lost the operator', { end, delayMs }),
    })
    this.#holder = this.#makeHolder()
    this.#leads = new Leads({ clock, onLead: (ms) => parts.metrics.lead(ms), onLate: () => parts.metrics.late() })
    this.#reporter = new Reporter({
      native, node: { name: options.node, id: machineId() || options.node, cluster: options.cluster }, hostWorkload: HOST_WORKLOAD, enforcement: this.#enforcement, owners: this.#owners,
      sink: this.#sink, boot: this.#boot, metrics: parts.metrics, onHeld: (cgroupId, hostPid) => this.#holder.onHeld(cgroupId, hostPid),
    })
    this.#probe = new Probe({ cgroupRoot: parts.cgroupRoot, clock, enforcement: this.#enforcement, compile: parts.compileProbe })
    this.#counters = new CounterReader({
      counters: maps.counters, stats: maps.stats, errors: maps.errors, slots: () => this.#tables.counted(), profileOf: (serial) => this.#enforcement.profileOf(serial),
      onLoss: (where, count) => {
        this.#sink.lose(where, count)
        this.#messages.say('warn', `Lost ${count} events: the ring ${where} was full`)
      },
    })
  }

  async start(): Promise<void> {
    const { kernel, logger } = this.#parts
    this.#messages.report(...kernel.problems)
    // What an earlier agent put in force, and was killed before it could detach or attach.
    const missing = kernel.onDemand.require(this.#tables.flags())
    if (missing !== undefined) this.#messages.report(missing)
    this.#enforcement.addTarget({ workload: HOST_WORKLOAD, cgroupId: cgroupIdOf(this.#parts.cgroupRoot) ?? 1n, kind: BIND.HOST })
    this.#sync.upsert([{ id: HOST_WORKLOAD, runtime: HOST_WORKLOAD }])
    this.#containers.start()
    this.#reporter.open(kernel.maps)
    this.#every(BEAT_MS, () => this.#beat())
    this.#beat()
    this.#holder.adopt()
    const own = ownCgroup(this.#parts.cgroupRoot)
    if (own !== undefined) this.#holder.exempt(own)
    this.#control.setHold(this.#blocksUnbound ? HOLD.ALWAYS : HOLD.LIVE)
    await this.#checkProbe()
    this.#every(COUNTERS_MS, () => this.#count())
    this.#every(SWEEP_MS, () => this.#sweep())
    this.#every(PROBE_MS, () => void this.#checkProbe())
    this.#runs = Promise.all([this.#sync.run(this.#abort.signal), this.#sink.run(this.#abort.signal)])
    logger.info('Started', { node: this.#parts.options.node, kernelSide: kernel.origin, object: kernel.object, programs: kernel.onDemand.attached(), tables: this.#tables.hashes().length })
  }

  /** Enforcement goes on: programs, maps and links stay pinned. */
  async stop(): Promise<void> {
    // Blocked means that they wait for the next agent.
    if (!this.#blocksUnbound) this.#control.setHold(HOLD.OFF)
    this.#holder.stop()
    this.#reporter.close()
    for (const timer of this.#timers) timer.cancel()
    this.#abort.abort()
    this.#containers.stop()
    await this.#runs
    this.#probe.remove()
    this.#tables.close()
    this.#parts.kernel.close()
  }

  get state(): AgentState {
    return {
      operatorAwayMs: this.#sync.awayMs, generation: this.#generation, tables: this.#tables.hashes().length, workloads: this.#containers.all().length + 1, canary: this.#probe.outcome, waiting: this.#sink.waiting,
    }
  }

  /** There is a new certificate: the stream to the operator moves to it. */
  renewed(): void {
    void this.#sync.renew(this.#abort.signal)
  }

  get #blocksUnbound(): boolean {
    return this.#parts.options.unbound === 'block'
  }

  #makeRecording(): Recording {
    const { onDemand } = this.#parts.kernel
    return new Recording({ require: (flags) => onDemand.require(flags), onProblem: (problem) => this.#messages.report(problem) })
  }

  #makeHolder(): Holder {
    const { options, kernel, cgroupRoot, clock } = this.#parts
    return new Holder({
      held: kernel.maps.held, unbound: options.unbound, cgroupRoot, clock,
      containers: () => {
        this.#containers.rescan()
        return this.#containers.all()
      },
      covers: (cgroupId) => this.#enforcement.covers(cgroupId),
      isAnswered: (workload) => this.#enforcement.isAnswered(workload),
      announce: (container, isWaiting) => {
        if (isWaiting) this.#waiting.add(container.id)
        else this.#waiting.delete(container.id)
        this.#sync.upsert([this.#workload(container)])
      },
      awayMs: () => this.#sync.awayMs,
      notify: (level, message) => this.#messages.say(level, message),
      resume: resumeProcess,
    })
  }

  #onContainers({ upserted, removed }: Changes): void {
    for (const container of removed) {
      this.#owners.remove(container)
      this.#enforcement.removeTarget(container.cgroupId)
      this.#leads.ended(container)
    }
    this.#sync.remove(removed.map((container) => container.id))
    for (const container of upserted) {
      this.#owners.add(container)
      this.#leads.started(container)
      this.#messages.report(...this.#enforcement.addTarget({ workload: container.id, cgroupId: container.cgroupId, kind: BIND.CONTAINER }))
    }
    this.#sync.upsert(upserted.map((container) => this.#workload(container)))
    this.#holder.check()
  }

  #workload({ id, namespace, pod, podUid, container, image, labels, runtime }: Container): Workload {
    return { id, namespace, pod, pod_uid: podUid, container, image, labels, runtime, waiting: this.#waiting.has(id) }
  }

  #hello(): Hello {
    const { options, abilities } = this.#parts
    this.#counters.forget()
    return {
      node: options.node, agent_version: AGENT_VERSION, kernel: release(), boot_id: bootId(),
      table_versions: [TABLE_VERSION], abilities: { ...abilities, enforced: [...ENFORCED] }, held_tables: this.#heldTables(), generation: this.#generation, node_labels: { ...options.nodeLabels },
    }
  }

  #heldTables(): Buffer[] {
    return this.#tables.hashes().filter((hash) => hash !== this.#probe.hash).map((hash) => Buffer.from(hash, 'hex'))
  }

  async #apply(message: OperatorMessage): Promise<Omit<Ack, 'generation' | 'latency_us'>> {
    const start = this.#parts.clock.monotonic()
    const problems = this.#carryOut(message)
    this.#leads.take(message)
    this.#parts.metrics.applied(this.#parts.clock.monotonic() - start, problems.length)
    this.#generation = message.generation
    this.#holder.check()
    this.#messages.report(...problems)
    // What an unusable earlier set enforced is in force here now.
    if (message.full && problems.length === 0 && this.#parts.kernel.releaseOthers() > 0) this.#parts.logger.info('Released earlier programs')
    const errors = [...problems, ...this.#enforcement.notEnforced()].map((problem) => ({ code: problem.code, message: describe(problem), workload: problem.workload ?? '' }))
    const ack = { tables: this.#heldTables(), errors, canary: this.#probe.outcome }
    this.#lastAck = { ...ack, generation: message.generation }
    void this.#checkProbe()
    return ack
  }

  /** A defect of ours must not end the agent: it would meet the same message again and again, and hold nothing, and report nothing. */
  #carryOut(message: OperatorMessage): AgentProblem[] {
    try {
      return this.#enforcement.apply(message)
    } catch (error) {
      this.#parts.logger.error('Failed to carry out a message of the operator', { generation: message.generation, error })
      return [{ code: 'MERLON_AGENT_INTERNAL', message: `Cannot carry out generation ${message.generation}: ${reasonOf(error)}` }]
    }
  }

  /** An acknowledgement never waits for the probe; a changed outcome is acknowledged again. */
  async #checkProbe(): Promise<void> {
    const outcome = await this.#probe.check()
    if (outcome === undefined) return
    if (!outcome.refused) this.#messages.report({ code: 'MERLON_AGENT_CANARY', message: outcome.message ?? '' })
    if (this.#lastAck) this.#sync.acknowledge({ ...this.#lastAck, canary: outcome })
  }

  #beat(): void {
    this.#boot.refresh()
    this.#control.beat(this.#boot.nowNs())
    const lost = this.#parts.kernel.lostPins()
    if (lost.length === 0 || this.#isGivingUp) return
    this.#isGivingUp = true
    this.#messages.report({ code: 'MERLON_AGENT_PINS_LOST', message: `Somebody has removed pins (${lost.join(', ')}): what they pinned decides no more` })
    this.#parts.giveUp()
  }

  #count(): void {
    const counters = this.#counters.poll()
    if (counters) this.#parts.metrics.counted(counters)
    if (counters) this.#sync.report({ ...counters, clauses: counters.clauses?.filter((count) => !count.profile?.startsWith(CANARY_WORKLOAD)) ?? [] })
  }

  /** What is held no more is said before it is gone (RETIRE_MS): the operator would bind the next container to it without sending it. */
  #acknowledgeTables(): void {
    const tables = this.#heldTables()
    const said = this.#lastAck?.tables ?? []
    if (this.#lastAck === undefined || Buffer.concat(tables).equals(Buffer.concat(said as Buffer[]))) return
    this.#lastAck = { ...this.#lastAck, tables }
    this.#sync.acknowledge(this.#lastAck)
  }

  #sweep(): void {
    this.#acknowledgeTables()
    this.#enforcement.sweep()
    this.#owners.sweep()
    this.#holder.sweep()
  }

  /** Repeats until the agent stops. */
  #every(ms: number, run: () => void): void {
    this.#timers.push(every(this.#parts.clock, ms, run))
  }
}
