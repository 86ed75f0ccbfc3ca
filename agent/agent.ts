// SPDX-License-Identifier: Apache-2.0
// The agent's parts, put together.
import { readFileSync, statSync } from 'node:fs'
import { release } from 'node:os'
import type { NativeBinding, RingBuffer } from '../native/types.ts'
import { encodeFeederMessage } from '../proto/load.ts'
import type { Ack } from '../proto/gen/merlon/v1/Ack.ts'
import type { Canary as CanaryMessage } from '../proto/gen/merlon/v1/Canary.ts'
import type { Hello } from '../proto/gen/merlon/v1/Hello.ts'
import type { OperatorMessage__Output as OperatorMessage } from '../proto/gen/merlon/v1/OperatorMessage.ts'
import type { Workload } from '../proto/gen/merlon/v1/Workload.ts'
import { Backoff } from '../runtime/backoff.ts'
import type { Clock } from '../runtime/clock.ts'
import type { Logger } from '../runtime/log.ts'
import { BIND, EVENT_KIND, TABLE_VERSION, VERDICT } from './abi.ts'
import { alertEvent, formatTime } from './alert.ts'
import { BootClock } from './boottime.ts'
import { Canary, CANARY_WORKLOAD, makeProbe, removeProbe, runProbe } from './canary.ts'
import { Control } from './control.ts'
import { cgroupIdOf } from './containers/cgroups.ts'
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
import type { AgentOptions } from './options.ts'
import { Owners } from './owners.ts'
import { readRecords, type KernelEvent } from './records.ts'
import { Sink, type SinkConnection } from './sink.ts'
import { Sync, type SyncConnection } from './sync.ts'
import { TableStore, type TableCheck } from './tables.ts'

export const HOST_WORKLOAD = 'host'
const AGENT_VERSION = '0.1.0'
const BEAT_MS = 1_000
const COUNTERS_MS = 3_000
const SWEEP_MS = 10_000

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
  readonly connectOperator: (signal: AbortSignal, standing: boolean) => Promise<SyncConnection | undefined>
  readonly connectRelay: (signal: AbortSignal) => Promise<SinkConnection | undefined>
}

export class Agent {
  readonly #parts: AgentParts
  readonly #boot = new BootClock()
  readonly #control: Control
  readonly #enforcement: Enforcement
  readonly #tables: TableStore
  readonly #containers: ContainerSet
  readonly #holder: Holder
  readonly #sink: Sink
  readonly #sync: Sync
  readonly #canary: Canary
  readonly #counters: CounterReader
  readonly #owners: Owners
  readonly #waiting = new Set<string>()
  readonly #rings: RingBuffer[] = []
  readonly #abort = new AbortController()
  #runs: Promise<unknown> = Promise.resolve()
  #canaryHash = ''
  #canaryNow: CanaryMessage | null = null
  #generation = 0
  #lastAck: Omit<Ack, 'latency_us'> | undefined

  constructor(parts: AgentParts) {
    this.#parts = parts
    const { options, native, kernel, clock, logger, verify } = parts
    const { maps } = kernel
    const backoff = (): Backoff => new Backoff({ baseMs: 100, capMs: 5_000, clock, random: Math.random })
    this.#control = new Control(maps.control)
    this.#tables = new TableStore({
      native, tables: maps.tables, counters: maps.counters, bindings: maps.bindings, directory: kernel.tablesDirectory, verify, clock, uptime: Number(this.#boot.nowNs() / 1_000_000_000n),
    })
    this.#enforcement = new Enforcement({ tables: this.#tables, bindings: maps.bindings, control: this.#control })
    this.#owners = new Owners(this.#enforcement)
    this.#containers = new ContainerSet({
      sources: [...options.stateDirectories.map((path) => new OciSource(path, parts.cgroupRoot)), new KubepodsSource(parts.cgroupRoot)],
      clock, onChanges: (changes) => this.#onContainers(changes),
    })
    this.#sink = new Sink({ node: options.node, connect: parts.connectRelay, clock, backoff: backoff(), onLost: (end, delayMs) => logger.info('Lost the relay', { end, delayMs }) })
    this.#sync = new Sync({
      connect: parts.connectOperator, hello: () => this.#hello(), apply: (message) => this.#apply(message), clock, backoff: backoff(),
      onLost: (end, delayMs) => logger.info('Lost the operator', { end, delayMs }),
    })
    this.#holder = this.#makeHolder()
    this.#canary = new Canary({ clock, prepare: () => this.#prepareProbe(), probe: () => runProbe(makeProbe(parts.cgroupRoot)) })
    this.#counters = new CounterReader({
      counters: maps.counters, stats: maps.stats, errors: maps.errors, slots: () => this.#tables.counted(), profileOf: (serial) => this.#enforcement.profileOf(serial),
      onLoss: (where, count) => {
        this.#sink.lose(where, count)
        this.#say('warn', `Lost ${count} events: the ring ${where} was full`)
      },
    })
  }

  async start(): Promise<void> {
    const { kernel, logger } = this.#parts
    for (const problem of kernel.problems) this.#report(problem)
    this.#enforcement.addTarget({ workload: HOST_WORKLOAD, cgroupId: cgroupIdOf(this.#parts.cgroupRoot) ?? 1n, kind: BIND.HOST })
    this.#sync.upsert([{ id: HOST_WORKLOAD, runtime: HOST_WORKLOAD }])
    this.#containers.start()
    this.#rings.push(this.#openRing(kernel.maps.denials), this.#openRing(kernel.maps.events))
    this.#every(BEAT_MS, () => this.#beat())
    this.#beat()
    this.#holder.adopt()
    this.#control.setHold(true)
    await this.#probe()
    this.#every(COUNTERS_MS, () => this.#count())
    this.#every(SWEEP_MS, () => this.#sweep())
    this.#runs = Promise.all([this.#sync.run(this.#abort.signal), this.#sink.run(this.#abort.signal)])
    logger.info('Started', { node: this.#parts.options.node, kernelSide: kernel.origin, object: kernel.object, programs: kernel.programs, tables: this.#tables.hashes().length })
  }

  /** Enforcement goes on: programs, maps and links stay pinned. */
  async stop(): Promise<void> {
    this.#control.setHold(false)
    this.#holder.stop()
    for (const ring of this.#rings) {
      ring.consume()
      ring.close()
    }
    this.#abort.abort()
    this.#containers.stop()
    await this.#runs
    removeProbe(this.#parts.cgroupRoot)
    this.#tables.close()
    this.#parts.kernel.close()
  }

  /** There is a new certificate: the stream to the operator moves to it. */
  renewed(): void {
    void this.#sync.renew(this.#abort.signal)
  }

  #makeHolder(): Holder {
    const { options, kernel, cgroupRoot, clock } = this.#parts
    return new Holder({
      held: kernel.maps.held, unbound: options.unbound, cgroupRoot, clock,
      containers: () => {
        this.#containers.rescan()
        return this.#containers.all()
      },
      isBound: (cgroupId) => this.#enforcement.isBound(cgroupId),
      isAnswered: (workload) => this.#enforcement.isAnswered(workload),
      announce: (container, isWaiting) => {
        if (isWaiting) this.#waiting.add(container.id)
        else this.#waiting.delete(container.id)
        this.#sync.upsert([this.#workload(container)])
      },
      awayMs: () => this.#sync.awayMs,
      notify: (level, message) => this.#say(level, message),
      resume: resumeProcess,
    })
  }

  #openRing(map: Kernel['maps']['denials']): RingBuffer {
    return this.#parts.native.openRingBuffer(map, (batch) => {
      const { events, malformed } = readRecords(batch)
      for (const event of events) this.#onEvent(event)
      if (malformed > 0) this.#sink.lose('malformed', malformed)
    })
  }

  #onEvent(event: KernelEvent): void {
    if (event.kind === EVENT_KIND.HELD) return this.#holder.onHeld(event.cgroupId, event.hostPid)
    const workload = this.#enforcement.workloadOf(event.boundId)
    if (workload === CANARY_WORKLOAD) return
    const { options } = this.#parts
    const clause = this.#enforcement.attribution(event.serial)?.clauses[event.clause - 1]
    const who = this.#owners.who(event, workload === HOST_WORKLOAD)
    const node = { name: options.node, id: machineId() || options.node, cluster: options.cluster }
    this.#sink.push(alertEvent(event, { node, who, clause, unixNs: this.#boot.unixNs(event.timeNs) }), event.verdict === VERDICT.BLOCK ? 'denial' : 'audit')
  }

  #onContainers({ upserted, removed }: Changes): void {
    for (const container of removed) {
      this.#owners.remove(container)
      this.#enforcement.removeTarget(container.cgroupId)
    }
    this.#sync.remove(removed.map((container) => container.id))
    for (const container of upserted) {
      this.#owners.add(container)
      this.#reportAll(this.#enforcement.addTarget({ workload: container.id, cgroupId: container.cgroupId, kind: BIND.CONTAINER }))
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
      node: options.node, agent_version: AGENT_VERSION, kernel: release(), boot_id: readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim(),
      table_versions: [TABLE_VERSION], abilities: abilities ?? null, held_tables: this.#heldTables(), generation: this.#generation, node_labels: { ...options.nodeLabels },
    }
  }

  #heldTables(): Buffer[] {
    return this.#tables.hashes().filter((hash) => hash !== this.#canaryHash).map((hash) => Buffer.from(hash, 'hex'))
  }

  async #apply(message: OperatorMessage): Promise<Omit<Ack, 'generation' | 'latency_us'>> {
    const problems = this.#carryOut(message)
    this.#generation = message.generation
    this.#holder.check()
    this.#reportAll(problems)
    // What an unusable earlier set enforced is in force here now.
    if (message.full && problems.length === 0 && this.#parts.kernel.releaseOthers() > 0) this.#parts.logger.info('Released earlier programs')
    const errors = problems.map((problem) => ({ code: problem.code, message: describe(problem), workload: problem.workload ?? '' }))
    const ack = { tables: this.#heldTables(), errors, canary: this.#canaryNow }
    this.#lastAck = { ...ack, generation: message.generation }
    void this.#probe()
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
  async #probe(): Promise<void> {
    const outcome = await this.#canary.check()
    const isChanged = JSON.stringify(outcome) !== JSON.stringify(this.#canaryNow)
    this.#canaryNow = outcome
    if (!isChanged) return
    if (!outcome.refused) this.#report({ code: 'MERLON_AGENT_CANARY', message: outcome.message ?? '' })
    if (this.#lastAck) this.#sync.acknowledge({ ...this.#lastAck, canary: outcome })
  }

  #prepareProbe(): string | undefined {
    const { cgroup, program } = makeProbe(this.#parts.cgroupRoot)
    const { table, hash } = this.#parts.compileProbe(program)
    this.#canaryHash = hash
    const cgroupId = cgroupIdOf(cgroup)
    if (cgroupId === undefined) return `The cgroup ${cgroup} is gone`
    const problems = [
      ...this.#enforcement.addTarget({ workload: CANARY_WORKLOAD, cgroupId, kind: BIND.PLAIN }),
      ...this.#enforcement.setOwn(CANARY_WORKLOAD, table, hash, []),
    ].filter((problem) => problem.workload === CANARY_WORKLOAD)
    return problems[0] && describe(problems[0])
  }

  #beat(): void {
    this.#boot.refresh()
    this.#control.beat(this.#boot.nowNs())
  }

  #count(): void {
    const counters = this.#counters.poll()
    if (counters) this.#sync.report({ ...counters, clauses: counters.clauses?.filter((count) => !count.profile?.startsWith(CANARY_WORKLOAD)) ?? [] })
  }

  #sweep(): void {
    this.#enforcement.sweep()
    this.#owners.sweep()
    this.#holder.sweep()
  }

  /** Repeats until the agent stops. */
  #every(ms: number, run: () => void): void {
    const { clock } = this.#parts
    const again = (): void => {
      const timer = clock.after(ms, () => {
        this.#abort.signal.removeEventListener('abort', cancel)
        again()
        run()
      })
      const cancel = (): void => timer.cancel()
      this.#abort.signal.addEventListener('abort', cancel, { once: true })
    }
    again()
  }

  #reportAll(problems: readonly AgentProblem[]): void {
    for (const problem of problems) this.#report(problem)
  }

  #report(problem: AgentProblem): void {
    this.#parts.logger.error('Met a problem', { code: problem.code, problem: problem.message, workload: problem.workload })
    this.#message('ERROR', describe(problem))
  }

  #say(level: 'info' | 'warn', message: string): void {
    this.#parts.logger[level](message)
    this.#message(level === 'warn' ? 'WARN' : 'INFO', message)
  }

  /** To the clients of WatchMessages. */
  #message(level: string, text: string): void {
    const { options, clock } = this.#parts
    const unixNs = BigInt(Math.round(clock.now() * 1000)) * 1000n
    const payload = encodeFeederMessage({
      Timestamp: Number(unixNs / 1_000_000_000n), UpdatedTime: formatTime(unixNs), ClusterName: options.cluster, HostName: options.node, Type: 'Message', Level: level, Message: text,
    })
    this.#sink.push({ type: 'MESSAGE', payload, time_unix_ns: unixNs.toString() }, 'message')
  }
}

let cachedMachineId: string | undefined

function machineId(): string {
  if (cachedMachineId === undefined) {
    const path = ['/etc/machine-id', '/var/lib/dbus/machine-id'].find((candidate) => statSync(candidate, { throwIfNoEntry: false })?.isFile())
    cachedMachineId = path === undefined ? '' : readFileSync(path, 'utf8').trim()
  }
  return cachedMachineId
}
