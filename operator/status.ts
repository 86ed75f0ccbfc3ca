// SPDX-License-Identifier: Apache-2.0
// What the operator knows about every policy and node, for people and for `merlon status`. Acknowledged, not assumed: a policy is
// programmed on a node when the agent there has confirmed the table and bindings of every workload that it selects.
import { rename, writeFile } from 'node:fs/promises'
import type { Finding, Policy } from '../policy/types.ts'
import type { Clock, Timer } from '../runtime/clock.ts'
import type { Logger } from '../runtime/log.ts'
import { nameOf } from './files.ts'
import { NOT_ENFORCED, notHonoured } from './honour.ts'
import type { Refusal } from './library.ts'
import type { Reconciler } from './reconcile.ts'
import type { Session } from './session.ts'

export interface FailureSample {
  readonly node: string
  readonly workload: string
  readonly code: string
  readonly message: string
}

export type PolicyState =
  /** It has errors and no earlier version: not in force. */
  | 'refused'
  /** In force nowhere yet, or not everywhere that it should be. */
  | 'pending'
  /** Some node or the compiler could not do it: see failures. */
  | 'failed'
  /** Confirmed for every workload that it selects. */
  | 'programmed'
  /** It selects no workload at the moment. */
  | 'idle'

export interface PolicyStatus {
  readonly kind: string
  readonly namespace: string
  readonly name: string
  readonly file: string
  readonly line: number
  readonly state: PolicyState
  /** The file has errors, and an earlier version of the policy is in force. */
  readonly stale: boolean
  readonly findings: readonly Finding[]
  readonly workloads: { readonly selected: number; readonly programmed: number }
  readonly nodes: { readonly selected: number; readonly programmed: number }
  /** At most five. */
  readonly failures: readonly FailureSample[]
}

export interface NodeStatus {
  readonly node: string
  readonly connected: boolean
  readonly kernel: string
  readonly agentVersion: string
  readonly bpfLsm: boolean
  /** What the node lacks, in sentences. */
  readonly reasons: readonly string[]
  readonly workloads: number
  readonly generation: { readonly sent: number; readonly acknowledged: number }
  /** Hex hashes, in force as of the last acknowledgement. */
  readonly tables: readonly string[]
  readonly errors: readonly FailureSample[]
  readonly canary: { readonly ran: boolean; readonly refused: boolean; readonly message: string } | null
  readonly latencyUs: number
  /** RFC 3339; empty: none yet. */
  readonly acknowledgedAt: string
}

/** The status file. A reader refuses a `version` that it does not know. */
export interface OperatorStatus {
  readonly version: 1
  readonly time: string
  readonly pid: number
  readonly address: string
  readonly directory: string
  readonly policies: readonly PolicyStatus[]
  readonly nodes: readonly NodeStatus[]
  /** Of all files. */
  readonly findings: readonly Finding[]
  /** Files whose last good version is in force. */
  readonly stale: readonly string[]
  readonly tables: { readonly planned: number; readonly compiled: number }
}

const SAMPLES_MAX = 5

export interface StatusInput {
  readonly reconciler: Reconciler
  readonly sessions: ReadonlyMap<string, Session>
}

export function policyStatuses(input: StatusInput): readonly PolicyStatus[] {
  const { world } = input.reconciler
  const refused = [...world.refused].filter(([name]) => !world.policies.has(name)).map(([, refusal]) => refusedStatus(refusal))
  return [...tally(input, [...world.policies.values()], world.stale), ...refused]
}

interface Tally {
  readonly policy: Policy
  selected: number
  programmed: number
  readonly selectedOn: Set<string>
  readonly missingOn: Set<string>
  readonly failures: FailureSample[]
}

function tally({ reconciler, sessions }: StatusInput, policies: readonly Policy[], stale: readonly string[]): readonly PolicyStatus[] {
  const tallies = new Map(policies.map((policy): [string, Tally] => [nameOf(policy), { policy, selected: 0, programmed: 0, selectedOn: new Set(), missingOn: new Set(), failures: [] }]))
  const count = (policy: Policy, node: string, programmed: boolean, failures: readonly FailureSample[]): void => {
    const entry = tallies.get(nameOf(policy))
    if (!entry) return
    entry.selected += 1
    entry.selectedOn.add(node)
    if (programmed) entry.programmed += 1
    else entry.missingOn.add(node)
    entry.failures.push(...failures.slice(0, SAMPLES_MAX - entry.failures.length))
  }
  for (const [node, session] of sessions) {
    for (const binding of reconciler.desired(node).values()) {
      const said = errorsOf(session, node).filter((error) => error.code !== NOT_ENFORCED && (error.workload === '' || error.workload === binding.workload))
      const compile = samplesOf(binding.failure, node, binding.workload)
      // Of a node that is away the last word counts: its kernel goes on enforcing.
      const programmed = binding.failure.length === 0 && session.view?.isProgrammed(binding) === true
      for (const policy of binding.policies) {
        const lacking = notHonoured(policy, session, { node, workload: binding.workload })
        count(policy, node, programmed && lacking.length === 0, [...compile, ...said, ...lacking])
      }
    }
    for (const [workload, { policies: selecting, failure }] of reconciler.failed(node)) {
      for (const policy of selecting) count(policy, node, false, samplesOf(failure, node, workload))
    }
  }
  return [...tallies.values()].map((entry) => statusOf(entry, reconciler.world.findings, stale))
}

function statusOf(entry: Tally, findings: readonly Finding[], stale: readonly string[]): PolicyStatus {
  const { policy, selected, programmed, selectedOn, missingOn, failures } = entry
  const state = failures.length > 0 ? 'failed' : selected === 0 ? 'idle' : programmed === selected ? 'programmed' : 'pending'
  return {
    ...headOf(policy),
    state,
    stale: stale.includes(policy.position.file),
    findings: findings.filter((finding) => finding.position.file === policy.position.file),
    workloads: { selected, programmed },
    nodes: { selected: selectedOn.size, programmed: selectedOn.size - missingOn.size },
    failures,
  }
}

function refusedStatus(refusal: Refusal): PolicyStatus {
  const none = { selected: 0, programmed: 0 }
  return { ...headOf(refusal), state: 'refused', stale: false, findings: refusal.findings, workloads: none, nodes: none, failures: [] }
}

function headOf({ kind, namespace, name, position }: Policy | Refusal): Pick<PolicyStatus, 'kind' | 'namespace' | 'name' | 'file' | 'line'> {
  return { kind, namespace, name, file: position.file, line: position.line }
}

function samplesOf(findings: readonly Finding[], node: string, workload: string): readonly FailureSample[] {
  return findings.map(({ code, message }) => ({ node, workload, code, message }))
}

function errorsOf(session: Session, node: string): readonly FailureSample[] {
  return (session.view?.lastAck?.errors ?? []).map(({ code, message, workload }) => ({ node, workload, code, message }))
}

export function nodeStatus(node: string, session: Session, workloads: number): NodeStatus {
  return { node, connected: session.isOpen, workloads, ...introduced(session), ...acknowledged(session), errors: errorsOf(session, node).slice(0, SAMPLES_MAX) }
}

/** What the agent said of itself; empty before it has. */
function introduced({ hello }: Session): Pick<NodeStatus, 'kernel' | 'agentVersion' | 'bpfLsm' | 'reasons'> {
  if (!hello) return { kernel: '', agentVersion: '', bpfLsm: false, reasons: [] }
  return { kernel: hello.kernel, agentVersion: hello.agent_version, bpfLsm: hello.abilities?.bpf_lsm ?? false, reasons: hello.abilities?.reasons ?? [] }
}

/** What the agent confirmed; empty before it has. */
function acknowledged({ view, ackedAtMs }: Session): Pick<NodeStatus, 'generation' | 'tables' | 'canary' | 'latencyUs' | 'acknowledgedAt'> {
  const sent = view?.generation ?? 0
  const ack = view?.lastAck
  if (!ack) return { generation: { sent, acknowledged: 0 }, tables: [], canary: null, latencyUs: 0, acknowledgedAt: '' }
  return {
    generation: { sent, acknowledged: ack.generation },
    tables: ack.tables.map((hash) => hash.toString('hex')),
    canary: ack.canary,
    latencyUs: ack.latency_us,
    acknowledgedAt: ackedAtMs === 0 ? '' : new Date(ackedAtMs).toISOString(),
  }
}

export interface StatusBoardOptions extends StatusInput {
  readonly directory: string
  readonly address: () => string
  /** Absent: transitions are logged and nothing is written. */
  readonly file?: string
  readonly clock: Clock
  readonly logger: Logger
}

/** Gathers changes for a moment, then logs what became of policies and canaries, and writes the file, replaced in one step. */
export class StatusBoard {
  readonly #options: StatusBoardOptions
  readonly #said = new Map<string, string>()
  #timer: Timer | undefined
  #writing: Promise<void> = Promise.resolve()

  constructor(options: StatusBoardOptions) {
    this.#options = options
  }

  changed(): void {
    this.#timer ??= this.#options.clock.after(50, () => {
      this.#timer = undefined
      void this.flush()
    })
  }

  current(): OperatorStatus {
    const { reconciler, sessions, directory, address, clock } = this.#options
    const { world, decider } = reconciler
    return {
      version: 1,
      time: new Date(clock.now()).toISOString(),
      pid: process.pid,
      address: address(),
      directory,
      policies: policyStatuses(this.#options),
      nodes: [...sessions].map(([node, session]) => nodeStatus(node, session, reconciler.desired(node).size + reconciler.failed(node).size)),
      findings: world.findings,
      stale: world.stale,
      tables: { planned: decider.done.plans, compiled: decider.done.compiles },
    }
  }

  /** Resolves when the file says what holds now. */
  async flush(): Promise<void> {
    const status = this.current()
    this.#log(status)
    const { file, logger } = this.#options
    if (file === undefined) return
    this.#writing = this.#writing.then(async () => {
      try {
        await writeFile(`${file}.new`, `${JSON.stringify(status, null, 2)}\n`, { mode: 0o600 })
        await rename(`${file}.new`, file)
      } catch (error) {
        logger.error('Failed to write the status', { file, error })
      }
    })
    await this.#writing
  }

  close(): void {
    this.#timer?.cancel()
  }

  #log({ policies, nodes }: OperatorStatus): void {
    for (const policy of policies) {
      if (this.#isNews(`${policy.kind}/${policy.namespace}/${policy.name}`, [policy.state, policy.stale])) this.#logPolicy(policy)
    }
    for (const node of nodes) {
      if (this.#isNews(`node/${node.node}`, [node.connected, node.canary?.ran, node.canary?.refused])) this.#logNode(node)
    }
  }

  #logPolicy({ kind, namespace, name, state, stale, nodes, workloads, failures }: PolicyStatus): void {
    const level = state === 'failed' || state === 'refused' ? 'warn' : 'info'
    this.#options.logger[level]('Changed the state of a policy', { kind, namespace, policy: name, state, stale, nodes, workloads, ...(failures.length > 0 ? { failures } : {}) })
  }

  #logNode({ node, connected, canary, latencyUs }: NodeStatus): void {
    this.#options.logger[canary?.ran && !canary.refused ? 'error' : 'info']('Changed the state of a node', { node, connected, canary, latencyUs })
  }

  #isNews(key: string, value: unknown): boolean {
    const text = JSON.stringify(value)
    if (this.#said.get(key) === text) return false
    this.#said.set(key, text)
    return true
  }
}
