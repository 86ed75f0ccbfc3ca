// SPDX-License-Identifier: Apache-2.0
// What each node must hold, kept up with what sources say and with what the agents report. Level-based: a change only names the workloads to
// decide again; what is decided depends on nothing but the state then.
import type { Finding } from '../policy/types.ts'
import type { Clock } from '../runtime/clock.ts'
import type { Logger } from '../runtime/log.ts'
import { Decider, type DeciderOptions } from './decide.ts'
import { Assigner } from './assign.ts'
import type { Snapshot } from './files.ts'
import type { NodeFacts, ReportedWorkload } from './identity.ts'
import type { PolicyLibrary } from './library.ts'
import { forget, isLive, makeNode, sameLabels, type DesiredBinding, type DesiredFailure, type Entry, type NodeState } from './node-state.ts'
import { affected, type Affected } from './affected.ts'
import { World, type Change, type Settings } from './world.ts'

export interface ReconcilerOptions {
  readonly library: PolicyLibrary
  readonly settings: Settings
  readonly clock: Clock
  readonly logger: Logger
  /** The desired state of these nodes may have changed. */
  readonly onNodes: (nodes: ReadonlySet<string>) => void
  /** Nothing is left to decide, `ms` after the first change: something that a status shows may have changed. */
  readonly onSettled?: (ms: number) => void
  readonly onFinding?: (finding: Finding) => void
  /** The API had it, and does not any more. */
  readonly onNodeGone?: (node: string) => void
  readonly compileElsewhere?: NonNullable<DeciderOptions['compileElsewhere']>
}

/** Decisions in a row before the process looks at its sockets again. */
const SLICE_MS = 10

export class Reconciler {
  readonly decider: Decider
  readonly world: World
  readonly #options: ReconcilerOptions
  readonly #assigner: Assigner
  readonly #nodes = new Map<string, NodeState>()
  /** Those with something pending. */
  readonly #busy = new Set<NodeState>()
  #draining: Promise<void> | undefined
  #isStale = false
  /** By an API, which has all of them. */
  #isToldOfNodes = false

  constructor(options: ReconcilerOptions) {
    const { library, compileElsewhere } = options
    this.#options = options
    this.world = new World(options.settings)
    this.decider = new Decider({ library, onCompiled: () => this.#resume(), ...(compileElsewhere ? { compileElsewhere } : {}) })
    this.#assigner = new Assigner({ ...options, world: this.world, decider: this.decider })
  }

  /** The directory says something else: every workload is looked at again, and planned again where its policies or posture changed. */
  setSnapshot(snapshot: Snapshot): void {
    this.world.replace(snapshot)
    this.#isToldOfNodes = false
    for (const state of this.#nodes.values()) for (const entry of state.entries.values()) this.#mark(state, entry, { identity: true, selection: true })
    this.#isStale = true
    this.#drain()
  }

  /** Some objects have changed: only the workloads that they concern are looked at again. */
  change(change: Change): void {
    const concerned = affected(change, this.world, this.#options.library.selects)
    this.world.apply(change)
    if (change.nodes) this.#setNodes(change.nodes)
    for (const state of this.#statesOf(concerned)) {
      if (concerned.nodes.has(state.facts.node)) this.#expect(state)
      for (const entry of state.entries.values()) concerned.visit(state, entry, (what) => this.#mark(state, entry, what))
    }
    this.#isStale ||= change.policies !== undefined || change.namespaces !== undefined || change.settings !== undefined
    this.#drain()
  }

  /** An agent has come. What was decided for its workloads before stays until they are reported again. */
  setNode(facts: NodeFacts): void {
    const state = this.#stateOf(facts.node)
    const isNews = !sameLabels(state.facts.labels, facts.labels)
    state.facts = facts
    state.hasAgent = true
    // A thousand agents that come at once say of their nodes what the API has said before.
    if (isNews) for (const entry of state.entries.values()) this.#mark(state, entry, { identity: true })
    this.#expect(state)
    this.#drain()
  }

  /** The agent's stream has ended, and no other has taken over. */
  leave(node: string): void {
    const state = this.#nodes.get(node)
    if (!state) return
    state.hasAgent = false
    // Where an API tells of nodes, it may have told of this one's end before its agent came here.
    if (state.isGone || (this.#isToldOfNodes && !this.world.nodes.has(node))) this.#forgetNode(state)
  }

  /** What runs on a node. Waiting workloads are decided before this returns, and their node is notified first. */
  setWorkloads(node: string, full: boolean, upserted: readonly ReportedWorkload[], removed: readonly string[]): void {
    const state = this.#nodes.get(node)
    if (!state) throw new Error(`Cannot set workloads of node "${node}": it is not known`)
    const present = new Set(upserted.map((workload) => workload.id))
    const gone = full ? [...state.entries.keys()].filter((id) => !present.has(id)) : removed
    for (const id of gone) forget(state, id)
    for (const reported of upserted) this.#upsert(state, reported, false)
    // What was reported gone is expected again as long as its pod is bound to the node.
    this.#expect(state)
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

  /** Whether every workload of the node has been decided on the present state. */
  isSettled(node: string): boolean {
    const state = this.#nodes.get(node)
    return state === undefined || state.pending.size + state.compiling.size === 0
  }

  /** The same, but for tables that are being compiled elsewhere: the rest of the node does not wait for them. */
  isDecided(node: string): boolean {
    return (this.#nodes.get(node)?.pending.size ?? 0) === 0
  }

  /**
   * Workloads of which nothing can be said, and nothing was decided before: the compiler refused them, or has not answered yet, or nobody knows whose they
   * are, as of a pod that was deleted by force while its containers go on.
   */
  undecided(node: string): readonly string[] {
    const state = this.#nodes.get(node)
    return state ? [...state.entries.keys()].filter((id) => !state.desired.has(id)) : []
  }

  /** Resolves when nothing is left to decide. */
  async settled(): Promise<void> {
    while (this.#draining) await this.#draining
  }

  /** Nodes that an agent has come from, or that the API has. */
  get nodes(): ReadonlyMap<string, NodeState> {
    return this.#nodes
  }

  #stateOf(node: string): NodeState {
    const state = this.#nodes.get(node) ?? makeNode(node)
    this.#nodes.set(node, state)
    return state
  }

  /** A node of the API is planned for before its agent comes; one that is gone is forgotten, with its agent where it still has one. */
  #setNodes(nodes: NonNullable<Change['nodes']>): void {
    this.#isToldOfNodes = true
    for (const [name, node] of nodes) {
      const state = this.#stateOf(name)
      state.isGone = !node
      if (node) this.#expect(state)
      else {
        this.#options.onNodeGone?.(name)
        if (!state.hasAgent) this.#forgetNode(state)
      }
    }
  }

  #forgetNode(state: NodeState): void {
    this.#nodes.delete(state.facts.node)
    this.#busy.delete(state)
    this.#isStale = true
    this.#options.onNodes(new Set([state.facts.node]))
  }

  *#statesOf({ nodes, isEverywhere }: Affected): Generator<NodeState> {
    if (isEverywhere) yield* this.#nodes.values()
    else for (const node of nodes) if (this.#nodes.has(node)) yield this.#nodes.get(node)!
  }

  /** Pods that are bound to the node have a profile there before their cgroup exists. */
  #expect(state: NodeState): void {
    const uids = this.world.podsOf(state.facts.node)
    for (const entry of state.entries.values()) if (entry.isExpected && !isLive(this.world, entry.reported.pod_uid, uids)) forget(state, entry.id)
    for (const uid of uids) {
      const id = `pod/${uid}`
      if (state.entries.has(id) || !isLive(this.world, uid, uids)) continue
      this.#upsert(state, { id, namespace: '', pod: '', pod_uid: uid, container: '', image: '', labels: {}, waiting: false }, true)
    }
    // A node whose last pod went is to hear of that too.
    this.#busy.add(state)
  }

  #upsert(state: NodeState, reported: ReportedWorkload, isExpected: boolean): void {
    const entry = { id: reported.id, reported, isExpected, identified: undefined, selecting: undefined, key: '' }
    state.entries.set(reported.id, entry)
    this.#mark(state, entry, {})
    // Once all of a pod's containers are there, the one without a name is its sandbox.
    for (const id of state.nameless) this.#mark(state, state.entries.get(id)!, {})
  }

  #mark(state: NodeState, entry: Entry, what: { readonly identity?: boolean; readonly selection?: boolean }): void {
    if (what.identity) entry.identified = undefined
    if (what.selection ?? what.identity) entry.selecting = undefined
    state.pending.add(entry.id)
    this.#busy.add(state)
  }

  /** Something was compiled elsewhere. */
  #resume(): void {
    for (const state of this.#nodes.values()) {
      if (state.compiling.size === 0) continue
      for (const id of state.compiling) state.pending.add(id)
      state.compiling.clear()
      this.#busy.add(state)
    }
    this.#drain()
  }

  #drain(): void {
    this.#draining ??= this.#run().finally(() => { this.#draining = undefined })
  }

  async #run(): Promise<void> {
    const { clock, onNodes, onSettled } = this.#options
    const start = clock.monotonic()
    // Off the caller's stack: several changes of one turn are decided once.
    await nextTurn()
    while (this.#busy.size > 0) {
      const until = clock.monotonic() + SLICE_MS
      const done = new Set<string>()
      for (const state of this.#busy) {
        if (!this.#decidePending(state, until)) break
        this.#busy.delete(state)
        done.add(state.facts.node)
      }
      if (done.size > 0) onNodes(done)
      await nextTurn()
    }
    if (this.#isStale) this.decider.retain(this.#keys())
    this.#isStale = false
    onSettled?.(clock.monotonic() - start)
  }

  /** False when the time was up before all was decided. */
  #decidePending(state: NodeState, until: number): boolean {
    for (const id of state.pending) {
      if (this.#options.clock.monotonic() >= until) return false
      this.#reconcile(state, id)
    }
    return true
  }

  #keys(): ReadonlySet<string> {
    const keys = new Set<string>()
    for (const { entries } of this.#nodes.values()) for (const { key } of entries.values()) keys.add(key)
    return keys
  }

  #reconcile(state: NodeState, id: string): void {
    state.pending.delete(id)
    const entry = state.entries.get(id)
    if (entry) this.#assigner.assign(state, entry)
  }
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
