// SPDX-License-Identifier: Apache-2.0
// From policies and a workload to what its node must hold. Pure, except for the cache of what was planned and compiled before.
import { createHash } from 'node:crypto'
import type { Clause as PlanClause, ClauseOrigin, Finding, Plan, Policy, Postures, Verdict, Workload } from '../policy/types.ts'
import type { SelectOptions } from '../policy/select.ts'
import type { Clause } from '../proto/gen/merlon/v1/Clause.ts'
import type { Compiled, PolicyLibrary, PolicySwitch } from './library.ts'

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
  readonly postures: Postures
  readonly policySwitch: PolicySwitch
  /** As `policies` were selected with. */
  readonly selection?: SelectOptions
}

export interface DeciderOptions {
  readonly library: PolicyLibrary
  /** Compiles elsewhere what would take long here. Absent: everything is compiled here. */
  readonly compileElsewhere?: (plan: Plan) => Promise<Compiled>
  /** What decide() had no answer to has one now. */
  readonly onCompiled?: () => void
}

interface Made {
  readonly plan: Plan
  /** Names the compiled plan in the other cache; empty: no rule applies. */
  readonly content: string
  /** Once the plan is compiled. */
  decision: Decision | undefined
}

/** From here on a plan takes so long to compile that streams and leases would notice: some 10 ms. */
const LONG_CLAUSES = 400
const POSTURES: readonly (keyof Postures)[] = ['filePosture', 'networkPosture', 'capabilitiesPosture', 'devicePosture']

export class Decider {
  readonly #options: DeciderOptions
  readonly #policyNumbers = new WeakMap<Policy, number>()
  readonly #decisions = new Map<string, Made>()
  readonly #tables = new Map<string, Compiled>()
  readonly #compiling = new Set<string>()
  #policyCount = 0
  /** How often each was really done, for tests and status. */
  readonly done = { plans: 0, compiles: 0 }

  constructor(options: DeciderOptions) {
    this.#options = options
  }

  /** Names inputs: a policy that was read again is another one, even if it says the same. Empty: no policy applies. */
  key({ policies, postures, policySwitch }: DecisionInputs): string {
    if (policies.length === 0 || policySwitch === 'disabled') return ''
    const numbers = policies.map((policy) => this.#numberOf(policy)).toSorted((a, b) => a - b)
    return `${policySwitch}:${POSTURES.map((name) => postures[name] ?? '').join(':')}:${numbers.join(',')}`
  }

  /** Undefined: it is being compiled, and onCompiled will tell. */
  decide(key: string, inputs: DecisionInputs, workload: Workload): Decision | undefined {
    if (key === '') return { ok: true, profile: NO_RULES }
    const made = this.#decisions.get(key) ?? this.#make(inputs, workload)
    this.#decisions.set(key, made)
    if (made.decision) return made.decision
    const compiled = this.#compile(made)
    if (compiled) made.decision = compiled.ok ? { ok: true, profile: makeProfile(compiled, clausesOf(made.plan)) } : compiled
    return made.decision
  }

  /** Forgets what has none of these keys. */
  retain(keys: ReadonlySet<string>): void {
    for (const key of this.#decisions.keys()) if (!keys.has(key)) this.#decisions.delete(key)
    const contents = new Set([...this.#decisions.values()].map(({ content }) => content))
    for (const content of this.#tables.keys()) if (!contents.has(content)) this.#tables.delete(content)
  }

  #make({ policies, postures, policySwitch, selection = {} }: DecisionInputs, workload: Workload): Made {
    this.done.plans += 1
    const planned = this.#options.library.makePlan(policies, workload, { ...selection, ...postures })
    const plan = policySwitch === 'audited' ? auditOnly(planned) : planned
    if (plan.clauses.length === 0) return { plan, content: '', decision: { ok: true, profile: NO_RULES } }
    return { plan, content: decisiveContent(plan), decision: undefined }
  }

  #compile({ plan, content }: Made): Compiled | undefined {
    const known = this.#tables.get(content)
    if (known || this.#compiling.has(content)) return known
    this.done.compiles += 1
    const { library, compileElsewhere } = this.#options
    if (!compileElsewhere || plan.clauses.length < LONG_CLAUSES) {
      const compiled = library.compile(plan)
      this.#tables.set(content, compiled)
      return compiled
    }
    this.#compiling.add(content)
    void compileElsewhere(plan).then((compiled) => {
      this.#compiling.delete(content)
      this.#tables.set(content, compiled)
      this.#options.onCompiled?.()
    })
    return undefined
  }

  #numberOf(policy: Policy): number {
    const known = this.#policyNumbers.get(policy)
    if (known !== undefined) return known
    this.#policyCount += 1
    this.#policyNumbers.set(policy, this.#policyCount)
    return this.#policyCount
  }
}

/** The same plan with every Block as an Audit: who decides stays the same, and says in its events that it would have blocked. */
export function auditOnly(plan: Plan): Plan {
  const soften = <T extends { readonly verdict: Verdict }>(part: T): T => (part.verdict === 'Block' ? { ...part, verdict: 'Audit' } : part)
  const softenAll = <T extends Readonly<Record<string, { readonly verdict: Verdict }>>>(parts: T): T => Object.fromEntries(Object.entries(parts).map(([name, part]) => [name, soften(part)])) as T
  return { ...plan, clauses: plan.clauses.map(soften), defaults: softenAll(plan.defaults), undecidable: softenAll(plan.undecidable) }
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
