// SPDX-License-Identifier: Apache-2.0
// How far each policy is in force, in numbers that can be added up: of one node, of all nodes of a replica, of all replicas. A node is counted again
// only when something there has changed.
import type { Policy } from '../../policy/types.ts'
import type { FailureSample } from '../status.ts'
import { nameOf } from '../files.ts'
import { lackingAt, NOT_ENFORCED, samplesOf } from '../honour.ts'
import type { DesiredBinding, NodeState } from '../node-state.ts'
import type { Reconciler } from '../reconcile.ts'
import type { Session } from '../session.ts'

export interface Counts {
  selected: number
  programmed: number
}

/** Of one policy. */
export interface Tally {
  readonly pods: Counts
  readonly nodes: Counts
  /** Nodes that hold it and whose probe was refused: they decide by it. */
  ready: number
  /** Nodes that cannot enforce at all. */
  unable: number
  /** Nodes that hold it and do not enforce all that it asks. */
  partly: number
  /** What it asks and some node does not enforce (honour.ts). */
  readonly lacking: string[]
  readonly failures: FailureSample[]
}

export const SAMPLES_MAX = 10

export function emptyTally(): Tally {
  return { pods: { selected: 0, programmed: 0 }, nodes: { selected: 0, programmed: 0 }, ready: 0, unable: 0, partly: 0, lacking: [], failures: [] }
}

export function addTally(to: Tally, more: Tally): void {
  for (const field of ['pods', 'nodes'] as const) {
    to[field].selected += more[field].selected
    to[field].programmed += more[field].programmed
  }
  to.ready += more.ready
  to.unable += more.unable
  // A replica of another version may not tell these two.
  to.partly += more.partly ?? 0
  for (const word of more.lacking ?? []) if (!to.lacking.includes(word)) to.lacking.push(word)
  to.failures.push(...more.failures.slice(0, SAMPLES_MAX - to.failures.length))
}

export interface TallyInput {
  readonly reconciler: Reconciler
  readonly sessions: ReadonlyMap<string, Session>
}

interface Counted {
  readonly signature: string
  readonly tallies: ReadonlyMap<string, Tally>
}

export class Tallies {
  readonly #input: TallyInput
  readonly #counted = new Map<string, Counted>()

  constructor(input: TallyInput) {
    this.#input = input
  }

  /** Over these nodes, by the names of policies; those that select nothing are not in it. */
  total(isCounted: (node: string) => boolean = () => true): Map<string, Tally> {
    const { reconciler, sessions } = this.#input
    const total = new Map<string, Tally>()
    for (const node of this.#counted.keys()) if (!reconciler.nodes.has(node)) this.#counted.delete(node)
    for (const [node, state] of reconciler.nodes) {
      if (!isCounted(node)) continue
      const session = sessions.get(node)
      for (const [name, tally] of this.#count(state, session).tallies) {
        const sum = total.get(name) ?? emptyTally()
        total.set(name, sum)
        addTally(sum, tally)
      }
    }
    return total
  }

  #count(state: NodeState, session: Session | undefined): Counted {
    const undecided = `${state.pending.size}:${state.compiling.size}`
    const signature = session ? `${undecided}:${state.version}:${session.view?.generation}:${session.view?.lastAck?.generation}:${session.ackedAtMs}` : `${undecided}:${state.version}`
    const { node } = state.facts
    const known = this.#counted.get(node)
    if (known?.signature === signature) return known
    const counted = { signature, tallies: countNode(state, session) }
    this.#counted.set(node, counted)
    return counted
  }
}

interface Growing {
  readonly pods: Map<string, boolean>
  programmed: boolean
  /** Though something of it is not enforced. */
  held: boolean
  readonly lacking: Set<string>
  readonly failures: FailureSample[]
}

interface Noted {
  readonly problems: readonly FailureSample[]
  readonly isHeld: boolean
  readonly lacking: readonly string[]
}

function countNode(state: NodeState, session: Session | undefined): ReadonlyMap<string, Tally> {
  const { node } = state.facts
  const growing = new Map<string, Growing>()
  const note = (policy: Policy, pod: string, { problems, isHeld, lacking }: Noted): void => {
    const name = nameOf(policy)
    const entry: Growing = growing.get(name) ?? { pods: new Map(), programmed: true, held: true, lacking: new Set(), failures: [] }
    growing.set(name, entry)
    const isProgrammed = isHeld && lacking.length === 0
    if (pod !== '/') entry.pods.set(pod, (entry.pods.get(pod) ?? true) && isProgrammed)
    entry.programmed &&= isProgrammed
    entry.held &&= isHeld
    for (const word of lacking) entry.lacking.add(word)
    entry.failures.push(...problems.slice(0, SAMPLES_MAX - entry.failures.length))
  }
  for (const binding of state.desired.values()) {
    const { policies, identity } = binding
    if (policies.length === 0) continue
    const problems = problemsOf(binding, node, session)
    // What is being decided anew is not what the node holds, even if it holds what was decided before.
    const isDecided = !state.pending.has(binding.workload) && !state.compiling.has(binding.workload)
    const isHeld = isDecided && binding.failure.length === 0 && session?.view?.isProgrammed(binding) === true
    for (const policy of policies) {
      const lacking = lackingAt(policy, session)
      note(policy, `${identity.namespace}/${identity.pod}`, { problems: [...problems, ...samplesOf(lacking, { node, workload: binding.workload })], isHeld, lacking })
    }
  }
  for (const [workload, { policies, failure }] of state.failed) {
    const problems = failure.map(({ code, message }) => ({ node, workload, code, message }))
    for (const policy of policies) note(policy, workload, { problems, isHeld: false, lacking: [] })
  }
  return new Map([...growing].map(([name, entry]) => [name, tallyOf(entry, node, session)]))
}

function tallyOf({ pods, programmed, held, lacking, failures }: Growing, node: string, session: Session | undefined): Tally {
  const isRefused = session?.view?.lastAck?.canary?.refused === true
  const own = troubles(node, session, programmed)
  return {
    pods: { selected: pods.size, programmed: [...pods.values()].filter(Boolean).length },
    nodes: { selected: 1, programmed: programmed ? 1 : 0 },
    ready: programmed && isRefused ? 1 : 0,
    unable: isUnable(session) ? 1 : 0,
    partly: held && !programmed ? 1 : 0,
    lacking: [...lacking],
    failures: [...own, ...failures].slice(0, SAMPLES_MAX),
  }
}

function isUnable(session: Session | undefined): boolean {
  return session?.hello?.abilities?.bpf_lsm === false
}

/** What is wrong with the node, whatever the policy. */
function troubles(node: string, session: Session | undefined, programmed: boolean): readonly FailureSample[] {
  const sample = (code: string, message: string): FailureSample => ({ node, workload: '', code, message })
  if (!session) return [sample('MERLON_OPERATOR_NO_AGENT', 'no agent of this node has come yet')]
  const { abilities } = session.hello ?? {}
  const canary = session.view?.lastAck?.canary
  const unable = isUnable(session) ? [sample('MERLON_OPERATOR_NODE_UNABLE', `the node cannot enforce: ${abilities?.reasons.join('; ') || 'it has no BPF LSM'}`)] : []
  const allowed = programmed && canary?.ran && !canary.refused ? [sample('MERLON_OPERATOR_CANARY', `the probe was not refused: ${canary.message}`)] : []
  return [...unable, ...allowed]
}

function problemsOf({ failure, workload }: DesiredBinding, node: string, session: Session | undefined): readonly FailureSample[] {
  const said = (session?.view?.lastAck?.errors ?? []).filter((error) => error.code !== NOT_ENFORCED && (error.workload === '' || error.workload === workload))
  return [...failure, ...said].map(({ code, message }) => ({ node, workload, code, message }))
}
