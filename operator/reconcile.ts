// SPDX-License-Identifier: Apache-2.0
// What each node must hold, kept up with the directory and with what the agents report. Level-based: a change only names the workloads to decide
// again; what is decided depends on nothing but the state then.
import type { Finding, Policy, Posture, Workload } from '../policy/types.ts'
import type { Identity } from '../proto/gen/merlon/v1/Identity.ts'
import type { Clock } from '../runtime/clock.ts'
import type { Logger } from '../runtime/log.ts'
import { Decider, inputsOf, type Decision, type DecisionInputs, type DesiredProfile } from './decide.ts'
import { fileFinding, type Snapshot } from './files.ts'
import { identify, labelText, type Identified, type NodeFacts, type ReportedWorkload } from './identity.ts'
import type { PolicyLibrary } from './library.ts'

/** What a node must hold for one workload. */
export interface DesiredBinding {
  readonly workload: string
  readonly profile: DesiredProfile
  readonly identity: Identity
  /** Its first exec is held until this binding arrives. */
  readonly waiting: boolean
  /** Those that select it. */
  readonly policies: readonly Policy[]
  /** Why `profile` is an older one: what the compiler refused. */
  readonly failure: readonly Finding[]
}

export interface ReconcilerOptions {
  readonly library: PolicyLibrary
  readonly defaultPosture: Posture
  readonly clock: Clock
  readonly logger: Logger
  /** The desired state of these nodes may have changed. */
  readonly onNodes: (nodes: ReadonlySet<string>) => void
  readonly onFinding?: (finding: Finding) => void
}

interface NodeState {
  facts: NodeFacts
  readonly reported: Map<string, ReportedWorkload>
  readonly desired: Map<string, DesiredBinding>
  /** Reported, selected by policies, and never compiled: nothing that could be bound. */
  readonly failed: Map<string, DesiredFailure>
  readonly pending: Set<string>
}

export interface DesiredFailure {
  readonly policies: readonly Policy[]
  readonly failure: readonly Finding[]
}

/** Decisions in a row before the process looks at its sockets again. */
const SLICE_MS = 10

export class Reconciler {
  readonly decider: Decider
  readonly #options: ReconcilerOptions
  readonly #nodes = new Map<string, NodeState>()
  #snapshot: Snapshot = { policies: [], refused: [], namespaces: [], pods: [], findings: [], stale: [] }
  #draining: Promise<void> | undefined
  #sweep = false

  constructor(options: ReconcilerOptions) {
    this.#options = options
    this.decider = new Decider(options.library)
  }

  get snapshot(): Snapshot {
    return this.#snapshot
  }

  /** The directory says something else: every workload is looked at again, and planned again where its policies or posture changed. */
  setSnapshot(snapshot: Snapshot): void {
    this.#snapshot = snapshot
    for (const state of this.#nodes.values()) for (const id of state.reported.keys()) state.pending.add(id)
    this.#sweep = true
    this.#drain()
  }

  /** An agent has come. What was decided for its workloads before stays until they are reported again. */
  setNode(facts: NodeFacts): void {
    const state = this.#nodes.get(facts.node)
    if (state) state.facts = facts
    else this.#nodes.set(facts.node, { facts, reported: new Map(), desired: new Map(), failed: new Map(), pending: new Set() })
  }

  /** What runs on a node. Waiting workloads are decided before this returns, and their node is notified first. */
  setWorkloads(node: string, full: boolean, upserted: readonly ReportedWorkload[], removed: readonly string[]): void {
    const state = this.#nodes.get(node)
    if (!state) throw new Error(`Cannot set workloads of node "${node}": it is not known`)
    const present = new Set(upserted.map((workload) => workload.id))
    const gone = full ? [...state.reported.keys()].filter((id) => !present.has(id)) : removed
    for (const id of gone) for (const map of [state.reported, state.desired, state.failed, state.pending]) map.delete(id)
    for (const workload of upserted) {
      state.reported.set(workload.id, workload)
      state.pending.add(workload.id)
    }
    const waiting = upserted.filter((workload) => workload.waiting)
    for (const { id } of waiting) this.#reconcile(state, id)
    if (waiting.length > 0) this.#options.onNodes(new Set([node]))
    this.#drain()
  }

  desired(node: string): ReadonlyMap<string, DesiredBinding> {
    return this.#nodes.get(node)?.desired ?? new Map()
  }

  failed(node: string): ReadonlyMap<string, DesiredFailure> {
    return this.#nodes.get(node)?.failed ?? new Map()
  }

  /** Whether every reported workload of the node has been decided on the present state. */
  isSettled(node: string): boolean {
    return (this.#nodes.get(node)?.pending.size ?? 0) === 0
  }

  /** Resolves when nothing is left to decide. */
  async settled(): Promise<void> {
    while (this.#draining) await this.#draining
  }

  #drain(): void {
    this.#draining ??= this.#run().finally(() => { this.#draining = undefined })
  }

  async #run(): Promise<void> {
    // Off the caller's stack: several changes of one turn are decided once.
    await nextTurn()
    const touched = new Set<string>()
    for (let next = this.#next(); next !== undefined; next = this.#next()) {
      const until = this.#options.clock.monotonic() + SLICE_MS
      for (; next !== undefined && this.#options.clock.monotonic() < until; next = this.#next()) {
        touched.add(next.state.facts.node)
        this.#reconcile(next.state, next.id)
      }
      this.#notify(touched)
      await nextTurn()
    }
    if (this.#sweep) this.decider.sweep()
    this.#sweep = false
    // Nodes without workloads, and the status, hear of a new snapshot too.
    this.#options.onNodes(new Set(this.#nodes.keys()))
  }

  #notify(touched: Set<string>): void {
    const done = [...touched].filter((node) => this.isSettled(node))
    for (const node of done) touched.delete(node)
    if (done.length > 0) this.#options.onNodes(new Set(done))
  }

  #next(): { state: NodeState; id: string } | undefined {
    for (const state of this.#nodes.values()) for (const id of state.pending) return { state, id }
    return undefined
  }

  #reconcile(state: NodeState, id: string): void {
    state.pending.delete(id)
    const reported = state.reported.get(id)
    if (!reported) return
    const identified = identify(reported, this.#snapshot.pods, state.facts)
    const inputs = inputsOf(identified.workload, this.#snapshot, this.#options.defaultPosture, this.#options.library.selects)
    const decision = this.#decide(inputs, identified.workload)
    const before = state.desired.get(id)
    const profile = decision.ok ? decision.profile : before?.profile
    const failure = decision.ok ? [] : decision.findings
    if (!decision.ok) this.#report(state, id, decision.findings)
    if (profile) {
      state.failed.delete(id)
      state.desired.set(id, { workload: id, profile, identity: identityOf(identified), waiting: reported.waiting, policies: inputs.policies, failure })
    } else state.failed.set(id, { policies: inputs.policies, failure })
  }

  /** A defect of ours in one plan must not stop the others. */
  #decide(inputs: DecisionInputs, workload: Workload): Decision {
    try {
      return this.decider.decide(this.decider.key(inputs), inputs, workload)
    } catch (error) {
      this.#options.logger.error('Failed to decide a workload', { pod: workload.pod, container: workload.container, error })
      return { ok: false, findings: [fileFinding('MERLON_OPERATOR_INTERNAL', '', `cannot decide the workload: ${(error as Error).message}`, 'report this defect, with the policies that select the workload')] }
    }
  }

  #report(state: NodeState, workload: string, findings: readonly Finding[]): void {
    const before = state.desired.get(workload)
    if ((before ?? state.failed.get(workload))?.failure === findings) return
    const { node } = state.facts
    const kept = before ? 'its last good table stays in force' : 'no earlier table of it is known here, and its node leaves it as it is: without a table, or with that of an earlier operator'
    this.#options.logger.error('Failed to compile a workload', { node, workload, kept, codes: findings.map((finding) => finding.code) })
    for (const finding of findings) this.#options.onFinding?.({ ...finding, message: `${finding.message} (workload ${workload} on ${node}: ${kept})` })
  }
}

function identityOf({ workload, image }: Identified): Identity {
  return { namespace: workload.namespace, pod: workload.pod, container: workload.container, image, labels: labelText(workload.labels), owner_kind: '', owner_name: '', owner_namespace: '' }
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
