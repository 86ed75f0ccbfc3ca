// SPDX-License-Identifier: Apache-2.0
// From policies and a workload to what its node must hold. Pure, except for the cache of what was planned and compiled before.
import { createHash } from 'node:crypto'
import type { Clause as PlanClause, ClauseOrigin, Finding, Plan, Policy, Posture, Workload } from '../policy/types.ts'
import type { Clause } from '../proto/gen/merlon/v1/Clause.ts'
import type { Compiled, PolicyLibrary } from './library.ts'
import type { Snapshot } from './files.ts'

/** A table and what its clause numbers mean. */
export interface DesiredProfile {
  /** Names table and clauses. */
  readonly id: string
  /** Hex; empty: no rule applies. */
  readonly tableHash: string
  readonly table: Uint8Array
  readonly clauses: readonly Clause[]
}

export type Decision = { readonly ok: true; readonly profile: DesiredProfile } | { readonly ok: false; readonly findings: readonly Finding[] }

/** All that a workload's decision depends on. Two workloads with equal inputs share one decision. */
export interface DecisionInputs {
  readonly policies: readonly Policy[]
  readonly posture: Posture
}

export function inputsOf(workload: Workload, snapshot: Pick<Snapshot, 'policies' | 'namespaces'>, defaultPosture: Posture, selects: PolicyLibrary['selects']): DecisionInputs {
  const own = workload.host ? undefined : snapshot.namespaces.find((namespace) => namespace.name === workload.namespace)?.filePosture
  return { policies: snapshot.policies.filter((policy) => selects(policy, workload)), posture: own ?? defaultPosture }
}

interface Cached<T> {
  readonly value: T
  epoch: number
}

interface Made {
  readonly decision: Decision
  /** Of the compiled plan in the other cache; empty: none. */
  readonly content: string
}

export class Decider {
  readonly #library: PolicyLibrary
  readonly #policyNumbers = new WeakMap<Policy, number>()
  readonly #decisions = new Map<string, Cached<Made>>()
  readonly #tables = new Map<string, Cached<Compiled>>()
  #policyCount = 0
  #epoch = 0
  /** How often each was really done, for tests and status. */
  readonly done = { plans: 0, compiles: 0 }

  constructor(library: PolicyLibrary) {
    this.#library = library
  }

  /** Names inputs: a policy that was read again is another one, even if it says the same. */
  key(inputs: DecisionInputs): string {
    const numbers = inputs.policies.map((policy) => this.#numberOf(policy)).toSorted((a, b) => a - b)
    return numbers.length === 0 ? '' : `${inputs.posture}:${numbers.join(',')}`
  }

  decide(key: string, inputs: DecisionInputs, workload: Workload): Decision {
    if (key === '') return { ok: true, profile: NO_RULES }
    const { decision, content } = this.#cached(this.#decisions, key, () => this.#decide(inputs, workload))
    const table = this.#tables.get(content)
    if (table) table.epoch = this.#epoch
    return decision
  }

  /** Forgets what was not asked for since the last call: call it after every workload was decided. */
  sweep(): void {
    for (const cache of [this.#decisions, this.#tables]) {
      for (const [key, entry] of cache) if (entry.epoch < this.#epoch) cache.delete(key)
    }
    this.#epoch += 1
  }

  #decide(inputs: DecisionInputs, workload: Workload): Made {
    this.done.plans += 1
    const plan = this.#library.makePlan(inputs.policies, workload, { filePosture: inputs.posture })
    if (plan.clauses.length === 0) return { decision: { ok: true, profile: NO_RULES }, content: '' }
    const content = decisiveContent(plan)
    const compiled = this.#cached(this.#tables, content, () => {
      this.done.compiles += 1
      return this.#library.compile(plan)
    })
    return { decision: compiled.ok ? { ok: true, profile: makeProfile(compiled, clausesOf(plan)) } : compiled, content }
  }

  #cached<T>(cache: Map<string, Cached<T>>, key: string, make: () => T): T {
    const found = cache.get(key)
    if (found) {
      found.epoch = this.#epoch
      return found.value
    }
    const value = make()
    cache.set(key, { value, epoch: this.#epoch })
    return value
  }

  #numberOf(policy: Policy): number {
    const known = this.#policyNumbers.get(policy)
    if (known !== undefined) return known
    this.#policyCount += 1
    this.#policyNumbers.set(policy, this.#policyCount)
    return this.#policyCount
  }
}

/** What the table depends on: a change of message, severity or line leaves it alone. */
function decisiveContent(plan: Plan): string {
  const content = {
    clauses: plan.clauses.map(({ section, match, matches, sources, planes, verdict }) => [section, match, matches, sources, planes, verdict]),
    defaults: [plan.defaults.process?.verdict, plan.defaults.file?.verdict],
    undecidable: [plan.undecidable.process.verdict, plan.undecidable.file.verdict],
  }
  return createHash('sha256').update(JSON.stringify(content)).digest('hex')
}

function makeProfile(compiled: { readonly table: Uint8Array; readonly hash: string }, clauses: readonly Clause[]): DesiredProfile {
  const id = createHash('sha256').update(compiled.hash).update(JSON.stringify(clauses)).digest('hex')
  return { id, tableHash: compiled.hash, table: compiled.table, clauses }
}

/** For workloads that no rule concerns: bound, so that nobody waits for an answer, to no table. */
export const NO_RULES: DesiredProfile = { id: createHash('sha256').update('[]').digest('hex'), tableHash: '', table: new Uint8Array(), clauses: [] }

/** Clauses of ids 1..n: the rules, then the four reserved ones, which have their numbers whether they apply or not (docs/table.md). */
export function clausesOf(plan: Plan): readonly Clause[] {
  const { defaults, undecidable } = plan
  return [
    ...plan.clauses.map((clause: PlanClause) => clauseOf(clause.origin)),
    clauseOf(defaults.process?.origin ?? unusedDefault('process')),
    clauseOf(defaults.file?.origin ?? unusedDefault('file')),
    clauseOf(undecidable.process.origin),
    clauseOf(undecidable.file.origin),
  ]
}

function unusedDefault(section: string): ClauseOrigin {
  const text = `${section} default posture (not in allow-list mode)`
  return { policy: 'DefaultPosture', kind: '', namespace: '', action: 'Allow', severity: 0, tags: [], message: '', text, position: { file: '', line: 0, column: 0 } }
}

function clauseOf(origin: ClauseOrigin): Clause {
  const { policy, kind, namespace, action, severity, tags, message, text, position } = origin
  return { policy, kind, namespace, action, severity, tags: [...tags], message, text, file: position.file, line: position.line }
}
