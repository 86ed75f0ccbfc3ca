// SPDX-License-Identifier: Apache-2.0
// What one workload of a node must hold: who it is, which policies select it, and what they come to; written down in the node's state.
import type { Finding, Workload } from '../policy/types.ts'
import type { Logger } from '../runtime/log.ts'
import type { Decider, Decision, DecisionInputs } from './decide.ts'
import { fileFinding } from './files.ts'
import { identify, isStranger, type FoundPod, type Identified } from './identity.ts'
import type { PolicyLibrary } from './library.ts'
import { haveOwnRules, isNameless, isPodItself } from './names.ts'
import { factsOf, identityOf, type Entry, type NodeState } from './node-state.ts'
import type { World } from './world.ts'

export interface AssignerOptions {
  readonly library: PolicyLibrary
  readonly world: World
  readonly decider: Decider
  readonly logger: Logger
  readonly onFinding?: (finding: Finding) => void
}

export class Assigner {
  readonly #options: AssignerOptions

  constructor(options: AssignerOptions) {
    this.#options = options
  }

  /** Leaves it out while nobody says whose it is, or which of its pod's containers, and marks it as compiling while its table is made elsewhere. */
  assign(state: NodeState, entry: Entry): void {
    const { world, decider } = this.#options
    const found = world.find(entry.reported, state.facts.node)
    if (!found && isStranger(entry.reported)) return
    const identified = entry.identified ?? identify(entry.reported, found, factsOf(state, world))
    state.nameless.delete(entry.id)
    if (found && isNameless(entry.reported, found, (id) => state.entries.has(id)) && this.#haveOwnRules(entry, identified, found)) {
      state.nameless.add(entry.id)
      return
    }
    entry.identified = identified
    const inputs = this.#inputsOf(entry, identified)
    entry.key = decider.key(inputs, identified.workload)
    const decision = this.#decide(entry, inputs)
    const holds = found !== undefined && isPodItself(entry.reported) && this.#haveOwnRules(entry, identified, found)
    if (decision) this.#record(state, entry, { decision, holds })
    else state.compiling.add(entry.id)
  }

  /** Of pods that an API has: nobody else would say later which container is which. */
  #haveOwnRules({ reported }: Entry, { workload }: Identified, found: FoundPod): boolean {
    const { world, library } = this.#options
    if (world.pod(reported.pod_uid) !== found.pod) return false
    return haveOwnRules(found.pod, workload, world.candidates(workload), { selects: library.selects, settings: world.settings })
  }

  #inputsOf(entry: Entry, { workload }: Identified): DecisionInputs {
    const { world, library } = this.#options
    entry.selecting ??= [...world.candidates(workload)].filter((policy) => library.selects(policy, workload, world.settings))
    return { policies: entry.selecting, postures: world.posturesOf(workload), selection: world.settings, policySwitch: workload.policy ?? 'enabled' }
  }

  #record(state: NodeState, entry: Entry, { decision, holds }: { readonly decision: Decision; readonly holds: boolean }): void {
    const { id, reported, identified, selecting: policies = [] } = entry
    const before = state.desired.get(id)
    const profile = decision.ok ? decision.profile : before?.profile
    state.version += 1
    const failure = decision.ok ? [] : decision.findings
    if (!decision.ok) this.#report(state, id, decision.findings)
    if (profile && identified) {
      state.failed.delete(id)
      state.desired.set(id, { workload: id, profile, identity: identityOf(identified), visible: this.#options.world.visibleOf(identified), waiting: reported.waiting, holds, policies, failure })
    } else state.failed.set(id, { policies, failure })
  }

  /** A defect of ours in one plan must not stop the others. */
  #decide(entry: Entry, inputs: DecisionInputs): Decision | undefined {
    const { decider, logger } = this.#options
    const workload = entry.identified?.workload as Workload
    try {
      return decider.decide(entry.key, inputs, workload)
    } catch (error) {
      logger.error('Failed to decide a workload', { pod: workload.pod, container: workload.container, error })
      return { ok: false, findings: [fileFinding('MERLON_OPERATOR_INTERNAL', '', `cannot decide the workload: ${(error as Error).message}`, 'report this defect, with the policies that select the workload')] }
    }
  }

  #report(state: NodeState, workload: string, findings: readonly Finding[]): void {
    const { logger, onFinding } = this.#options
    const before = state.desired.get(workload)
    if ((before ?? state.failed.get(workload))?.failure === findings) return
    const { node } = state.facts
    const kept = before ? 'its last good table stays in force' : 'no earlier table of it is known here, and its node leaves it as it is: without a table, or with that of an earlier operator'
    logger.error('Failed to compile a workload', { node, workload, kept, codes: findings.map((finding) => finding.code) })
    for (const finding of findings) onFinding?.({ ...finding, message: `${finding.message} (workload ${workload} on ${node}: ${kept})` })
  }
}
