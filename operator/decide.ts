// SPDX-License-Identifier: Apache-2.0
// From policies and a workload to what its node must hold. Pure, except for the cache of what was planned and compiled before.
import { createHash } from 'node:crypto'
import { decisiveContent } from '../policy/plan.ts'
import type { SelectOptions } from '../policy/select.ts'
import { SECTIONS, type Clause as PlanClause, type ClauseOrigin, type Finding, type Plan, type Policy, type Postures, type Workload } from '../policy/types.ts'
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
/** The same, in squares of how many wildcards a pattern has: the states of a few may be as many as those of thousands of paths. */
const LONG_WILDCARDS = 100
const POSTURES: readonly (keyof Postures)[] = ['filePosture', 'networkPosture', 'capabilitiesPosture', 'devicePosture']

export class Decider {
  readonly #options: DeciderOptions
  readonly #policyNumbers = new WeakMap<Policy, number>()
  readonly #namePolicies = new WeakMap<Policy, boolean>()
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
  key({ policies, postures, policySwitch }: DecisionInputs, workload: Workload): string {
    if (policies.length === 0 || policySwitch === 'disabled') return ''
    const numbers = policies.map((policy) => this.#numberOf(policy)).toSorted((a, b) => a - b)
    // Names are searched for in the namespace of a pod, and paths mean what they lead to in a container's root.
    const names = policies.some((policy) => this.#asksForNames(policy)) ? workload.namespace : ''
    return `${policySwitch}:${POSTURES.map((name) => postures[name] ?? '').join(':')}:${names}:${JSON.stringify(workload.links ?? '')}:${numbers.join(',')}`
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
    const plan = this.#options.library.makePlan(policies, { ...workload, policy: policySwitch }, { ...selection, ...postures })
    if (plan.clauses.length === 0) return { plan, content: '', decision: { ok: true, profile: NO_RULES } }
    return { plan, content: createHash('sha256').update(decisiveContent(plan)).digest('hex'), decision: undefined }
  }

  #compile({ plan, content }: Made): Compiled | undefined {
    const known = this.#tables.get(content)
    if (known || this.#compiling.has(content)) return known
    this.done.compiles += 1
    const { library, compileElsewhere } = this.#options
    if (!compileElsewhere || !isLong(plan)) {
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

  #asksForNames(policy: Policy): boolean {
    let asks = this.#namePolicies.get(policy)
    if (asks === undefined) this.#namePolicies.set(policy, (asks = policy.rules.some(({ section }) => section === 'dns')))
    return asks
  }

  #numberOf(policy: Policy): number {
    const known = this.#policyNumbers.get(policy)
    if (known !== undefined) return known
    this.#policyCount += 1
    this.#policyNumbers.set(policy, this.#policyCount)
    return this.#policyCount
  }
}

export function isLong({ clauses }: Plan): boolean {
  if (clauses.length >= LONG_CLAUSES) return true
  let squares = 0
  for (const { match } of clauses) if (match.kind === 'pattern') squares += (match.pattern.match(/[*?[{]/g)?.length ?? 0) ** 2
  return squares >= LONG_WILDCARDS
}

function makeProfile(compiled: { readonly table: Uint8Array; readonly hash: string }, clauses: readonly Clause[]): DesiredProfile {
  const id = createHash('sha256').update(compiled.hash).update(JSON.stringify(clauses)).digest('hex')
  return { id, tableHash: compiled.hash, table: compiled.table, clauses }
}

/** For workloads that no rule concerns: bound, so that nobody waits for an answer, to no table. */
export const NO_RULES: DesiredProfile = { id: createHash('sha256').update('[]').digest('hex'), tableHash: '', table: new Uint8Array(), clauses: [] }

/** Clauses of ids 1..n: the rules, then the reserved ones, which have their numbers whether they apply or not (docs/table.md). */
export function clausesOf({ clauses, defaults, undecidable }: Plan): readonly Clause[] {
  return [
    ...clauses.map((clause: PlanClause) => clauseOf(clause.origin)),
    ...SECTIONS.map((section) => clauseOf(defaults[section]?.origin ?? unusedDefault(section))),
    ...SECTIONS.map((section) => clauseOf(undecidable[section].origin)),
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
