// SPDX-License-Identifier: Apache-2.0
// The operator's metrics. What can be looked at is looked at when somebody reads; only durations are noted as they happen.
import type { Finding, Plan } from '../policy/types.ts'
import { RECORDED } from '../policy/visibility.ts'
import type { Clock } from '../runtime/clock.ts'
import { Total, type Metrics } from '../runtime/metrics.ts'
import type { Compiler } from './compiler.ts'
import type { Compiled, PolicyLibrary } from './library.ts'
import type { Reconciler } from './reconcile.ts'
import type { Session } from './session.ts'

/** Durations, as they are noted. */
export interface Timings {
  /** From the first change to nothing left to decide. */
  readonly reconciled: (ms: number) => void
  /** From sending a message to an agent's acknowledgement of it. */
  readonly acknowledged: (ms: number) => void
}

export function makeTimings(metrics: Metrics): Timings {
  const reconcile = metrics.histogram({ name: 'merlon_reconcile_seconds', help: 'From a change to the decision on every workload that it concerns' })
  const acknowledge = metrics.histogram({ name: 'merlon_acknowledge_seconds', help: 'From sending a generation to an agent to its acknowledgement' })
  return { reconciled: (ms) => reconcile.observe(ms / 1000), acknowledged: (ms) => acknowledge.observe(ms / 1000) }
}

/** The library, with the time that plans and tables take. */
export function timedLibrary(library: PolicyLibrary, metrics: Metrics, clock: Clock): PolicyLibrary {
  const seconds = metrics.histogram({ name: 'merlon_compile_seconds', help: 'Time of one plan or one table on the operator\'s own thread', labels: ['stage'] })
  const timed = <T>(stage: string, run: () => T): T => {
    const start = clock.monotonic()
    const value = run()
    seconds.observe((clock.monotonic() - start) / 1000, { stage })
    return value
  }
  return {
    ...library,
    makePlan: (policies, workload, options) => timed('plan', () => library.makePlan(policies, workload, options)),
    compile: (plan) => timed('table', () => library.compile(plan)),
  }
}

/** Of the other thread, waiting for it included. */
export function timedCompiler(compiler: Pick<Compiler, 'compile'>, metrics: Metrics, clock: Clock): (plan: Plan) => Promise<Compiled> {
  const seconds = metrics.histogram({ name: 'merlon_compile_elsewhere_seconds', help: 'Time of one table on the compiler\'s thread, waiting included' })
  return async (plan) => {
    const start = clock.monotonic()
    const compiled = await compiler.compile(plan)
    seconds.observe((clock.monotonic() - start) / 1000)
    return compiled
  }
}

export interface Observed {
  readonly reconciler: Reconciler
  readonly sessions: ReadonlyMap<string, Session>
  /** Of each watch, since its last event. Absent: there are none. */
  readonly watchAges?: () => ReadonlyMap<string, number>
  /** Absent: this one leads, being alone. */
  readonly leads?: () => boolean
  /** When the operator's own certificate expires, milliseconds since 1970. Absent: it has none. */
  readonly expires?: () => number
}

export function observe(metrics: Metrics, { reconciler, sessions, watchAges, leads, expires }: Observed): void {
  const gauge = (name: string, help: string, labels: readonly string[] = []): ReturnType<Metrics['gauge']> => metrics.gauge({ name, help, labels })
  const depth = gauge('merlon_queue_depth', 'Workloads that wait for a decision')
  const workloads = gauge('merlon_workloads', 'Workloads with a decision, and those that the compiler refused', ['state'])
  const streams = gauge('merlon_streams', 'Agents with an open stream')
  const behind = gauge('merlon_agents_behind', 'Agents that have not acknowledged the last generation that was sent to them')
  const lag = gauge('merlon_acknowledged_lag', 'Generations that the slowest agent has not acknowledged')
  const policies = gauge('merlon_policies', 'Policies in force')
  const visible = gauge('merlon_visible_workloads', 'Workloads of which permitted operations are recorded while somebody follows logs', ['class'])
  const findings = gauge('merlon_findings', 'Findings in the manifests as they are', ['code'])
  const leader = gauge('merlon_leader', '1 where this replica writes status')
  const age = gauge('merlon_watch_age_seconds', 'Since the last event of each watch, bookmarks included', ['resource'])
  const expiry = gauge('merlon_certificate_expiry_timestamp_seconds', 'When the operator\'s own certificate expires; it is replaced long before')
  const planned = new Total(metrics.counter({ name: 'merlon_plans_total', help: 'Plans made' }))
  const compiled = new Total(metrics.counter({ name: 'merlon_tables_total', help: 'Tables compiled' }))
  metrics.onRead(() => {
    const nodes = [...reconciler.nodes.values()]
    depth.set(sum(nodes, ({ pending, compiling }) => pending.size + compiling.size))
    workloads.set(sum(nodes, ({ desired }) => desired.size), { state: 'decided' })
    workloads.set(sum(nodes, ({ failed }) => failed.size), { state: 'refused' })
    const open = [...sessions.values()].filter(({ isOpen }) => isOpen)
    const lags = open.map(({ view }) => view?.lag ?? 0)
    streams.set(open.length)
    behind.set(lags.filter((generations) => generations > 0).length)
    lag.set(Math.max(0, ...lags))
    policies.set(reconciler.world.policies.size)
    for (const name of RECORDED) visible.set(sum(nodes, ({ desired }) => [...desired.values()].filter((binding) => binding.visible.includes(name)).length), { class: name })
    findings.clear()
    for (const [code, found] of Map.groupBy(findingsOf(reconciler), (finding) => finding.code)) findings.set(found.length, { code })
    leader.set(leads?.() === false ? 0 : 1)
    for (const [resource, ms] of watchAges?.() ?? []) age.set(ms / 1000, { resource })
    if (expires) expiry.set(expires() / 1000)
    planned.set(reconciler.decider.done.plans)
    compiled.set(reconciler.decider.done.compiles)
  })
}

/** A directory keeps them all in one list, an API with the objects that they are about. */
function findingsOf({ world }: Reconciler): readonly Finding[] {
  if (world.findings.length > 0) return world.findings
  return [...world.refused.values(), ...world.namespaces.values(), ...world.nodes.values(), world.settings].flatMap(({ findings = [] }) => findings)
}

function sum<T>(items: readonly T[], of: (item: T) => number): number {
  return items.reduce((total, item) => total + of(item), 0)
}
