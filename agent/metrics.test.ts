// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { openMetrics } from '../runtime/metrics.ts'
import { OP, VERDICT } from './abi.ts'
import { agentChecks, agentMetrics, observeAgent, type AgentState } from './metrics.ts'

const STATE: AgentState = { operatorAwayMs: 0, generation: 7, tables: 2, workloads: 3, canary: { ran: true, refused: true }, waiting: 4 }

describe('agentMetrics() and observeAgent()', () => {
  it('count what happens, and say what is', async () => {
    const metrics = await openMetrics()
    const noted = agentMetrics(metrics)
    observeAgent(metrics, () => STATE)
    noted.event(VERDICT.BLOCK, OP.EXEC)
    noted.event(VERDICT.BLOCK, OP.EXEC)
    noted.event(VERDICT.AUDIT, OP.WRITE)
    noted.event(9, 77)
    noted.lost('denials_ring', 5)
    noted.applied(30, 2)
    for (const total of [3, 8]) noted.counted({ stats: { held: total }, errors: { 'path:12:2': total } })
    const text = await metrics.read()
    const expected = [
      'merlon_events_total{verdict="block",op="exec"} 2', 'merlon_events_total{verdict="audit",op="write"} 1', 'merlon_events_total{verdict="9",op="77"} 1', 'merlon_events_lost_total{where="denials_ring"} 5',
      'merlon_policy_apply_seconds_sum 0.03', 'merlon_policy_problems_total 2', 'merlon_bpf_errors_total{file="path",line="12",errno="2"} 8', 'merlon_bpf_stats_total{stat="held"} 8',
      'merlon_plan_generation 7', 'merlon_tables 2', 'merlon_workloads 3', 'merlon_canary_refused 1', 'merlon_operator_connected 1', 'merlon_events_waiting 4',
    ]
    for (const line of expected) assert.ok(text.includes(`${line}\n`), `${line}\n${text}`)
  })
})

describe('agentChecks()', () => {
  const problems = (state: AgentState | undefined, certificate?: string): (string | undefined)[] => agentChecks(() => state, () => certificate).map(({ problem }) => problem())

  it('say what is missing', () => {
    assert.deepEqual(problems(STATE), [undefined, undefined, undefined])
    assert.deepEqual(problems(undefined, 'the token is not accepted'), ['the agent has not started yet', 'the token is not accepted', 'the agent has not started yet'])
    assert.deepEqual(problems({ ...STATE, canary: null, operatorAwayMs: 2500 }), ['the probe that must be refused has not run yet', undefined, 'no stream for 2.5 s: what is in force stays in force'])
    assert.deepEqual(problems({ ...STATE, canary: { ran: true, refused: false, message: 'it ran' } })[0], 'the probe that must be refused was not: it ran')
  })
})
