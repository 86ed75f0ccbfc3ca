// SPDX-License-Identifier: Apache-2.0
// The agent's metrics, and what must hold before it is of use.
import type { Counters } from '../proto/gen/merlon/v1/Counters.ts'
import type { Check } from '../runtime/http.ts'
import { Total, type Metrics } from '../runtime/metrics.ts'
import { OP, VERDICT } from './abi.ts'

/** What happens, noted as it does. */
export interface AgentMetrics {
  event(verdict: number, op: number): void
  lost(where: string, count: number): void
  applied(ms: number, problems: number): void
  counted(counters: Counters): void
  /** How long before the cgroup of a pod's first container its profile was here. */
  lead(ms: number): void
  late(): void
}

const nameIn = (names: Readonly<Record<string, number>>, value: number): string => Object.entries(names).find(([, number]) => number === value)?.[0]?.toLowerCase() ?? String(value)

export function agentMetrics(metrics: Metrics): AgentMetrics {
  const counter = (name: string, help: string, labels: readonly string[] = []): ReturnType<Metrics['counter']> => metrics.counter({ name, help, labels })
  const events = counter('merlon_events_total', 'Events sent', ['verdict', 'op'])
  const lost = counter('merlon_events_lost_total', 'Events lost, by where', ['where'])
  const applied = metrics.histogram({ name: 'merlon_policy_apply_seconds', help: 'From the receipt of a generation to its being in force' })
  const lead = metrics.histogram({ name: 'merlon_profile_lead_seconds', help: 'From the arrival of a pod\'s profile to the cgroup of its first container' })
  const late = counter('merlon_profile_late_total', 'Pods of which a container\'s cgroup was there before their profile')
  const problems = counter('merlon_policy_problems_total', 'What could not be carried out')
  const errors = new Total(counter('merlon_bpf_errors_total', 'Errors of the programs in the kernel', ['file', 'line', 'errno']))
  const stats = new Total(counter('merlon_bpf_stats_total', 'Counted by the programs in the kernel', ['stat']))
  return {
    event: (verdict, op) => events.add({ verdict: nameIn(VERDICT, verdict), op: nameIn(OP, op) }),
    lost: (where, count) => lost.add({ where }, count),
    applied: (ms, count) => {
      applied.observe(ms / 1000)
      if (count > 0) problems.add({}, count)
    },
    lead: (ms) => lead.observe(ms / 1000),
    late: () => late.add(),
    counted: (counters) => {
      for (const [stat, count] of Object.entries(counters.stats ?? {})) stats.set(Number(count), { stat })
      for (const [key, count] of Object.entries(counters.errors ?? {})) {
        const [file = '', line = '', errno = ''] = key.split(':')
        errors.set(Number(count), { file, line, errno })
      }
    },
  }
}

/** What the agent is like now. */
export interface AgentState {
  /** How long the operator has been away; 0: it is there. */
  readonly operatorAwayMs: number
  readonly generation: number
  readonly tables: number
  readonly workloads: number
  readonly canary: { readonly ran?: boolean; readonly refused?: boolean; readonly message?: string } | null
  /** Events that wait for the relay. */
  readonly waiting: number
}

export function observeAgent(metrics: Metrics, state: () => AgentState): void {
  const gauge = (name: string, help: string): ReturnType<Metrics['gauge']> => metrics.gauge({ name, help })
  const generation = gauge('merlon_plan_generation', 'The last generation that was carried out')
  const tables = gauge('merlon_tables', 'Tables in the kernel')
  const workloads = gauge('merlon_workloads', 'Workloads on this node that the agent knows')
  const refused = gauge('merlon_canary_refused', '1 where the probe that must be refused was refused')
  const connected = gauge('merlon_operator_connected', '1 where there is a stream to an operator')
  const waiting = gauge('merlon_events_waiting', 'Events that wait for the relay')
  metrics.onRead(() => {
    const now = state()
    generation.set(now.generation)
    tables.set(now.tables)
    workloads.set(now.workloads)
    refused.set(now.canary?.refused ? 1 : 0)
    connected.set(now.operatorAwayMs === 0 ? 1 : 0)
    waiting.set(now.waiting)
  })
}

/** `certificate`: why there is none; undefined where there is, or where none is needed. */
export function agentChecks(state: () => AgentState | undefined, certificate: () => string | undefined): readonly Check[] {
  const when = (problem: (now: AgentState) => string | undefined) => (): string | undefined => {
    const now = state()
    return now ? problem(now) : 'the agent has not started yet'
  }
  return [
    { name: 'enforcement', problem: when(({ canary }) => (canary?.refused ? undefined : `the probe that must be refused ${canary?.ran ? `was not: ${canary.message ?? ''}` : 'has not run yet'}`)) },
    { name: 'certificate', problem: certificate },
    { name: 'operator', problem: when(({ operatorAwayMs }) => (operatorAwayMs === 0 ? undefined : `no stream for ${(operatorAwayMs / 1000).toFixed(1)} s: what is in force stays in force`)) },
  ]
}
