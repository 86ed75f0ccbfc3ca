// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { it } from 'node:test'
import { systemClock } from '../runtime/clock.ts'
import { silentLogger } from '../runtime/log.ts'
import { openMetrics } from '../runtime/metrics.ts'
import { combine } from './files.ts'
import { policyLibrary, type Manifests } from './library.ts'
import { makeTimings, observe, timedLibrary } from './metrics.ts'
import { Reconciler } from './reconcile.ts'
import { NodeSyncServer } from './serve.ts'
import { TestAgent } from './testing/agent.ts'
import { policyText } from './testing/manifests.ts'

it('observe() says how many agents are behind, what waits, and what was found', { timeout: 600_000 }, async () => {
  const metrics = await openMetrics()
  const directory = mkdtempSync(join(tmpdir(), 'merlon-metrics-'))
  const timings = makeTimings(metrics)
  const base = { clock: systemClock, logger: silentLogger }
  const settings = { postures: { filePosture: 'audit' }, hostPostures: { filePosture: 'audit' } } as const
  const reconciler = new Reconciler({ ...base, library: timedLibrary(policyLibrary, metrics, systemClock), settings, onNodes: (nodes) => server.notify(nodes), onSettled: timings.reconciled })
  const server = new NodeSyncServer({ ...base, address: `unix:${directory}/s.sock`, reconciler, tableVersion: policyLibrary.tableVersion, nodeLabels: {}, believesAgents: true, onChange: () => {}, onAcknowledged: timings.acknowledged })
  observe(metrics, { reconciler, sessions: server.sessions, leads: () => false, expires: () => 1_800_000_000_500, watchAges: () => new Map([['pods', 1500]]) })
  await server.start()
  const files = [policyText({ name: 'p' }), policyText({ name: 'bad', action: 'Explode' })].map((text, index) => {
    const { policies, refused, namespaces, pods, findings }: Manifests = policyLibrary.read(text, `f${index}`)
    return { path: `f${index}`, fingerprint: '', good: true, stale: false, policies, refused, namespaces, pods, findings }
  })
  reconciler.setSnapshot(combine(files))
  const quick = await new TestAgent(server.address, { hello: { node: 'n1' } }).start([{ id: 'a', labels: { app: 'web' } }])
  const silent = await new TestAgent(server.address, { hello: { node: 'n2' }, ack: () => undefined }).start([{ id: 'b', labels: { app: 'web' } }])
  await quick.until(({ messages }) => messages.length === 1)
  await silent.until(({ messages }) => messages.length === 1)
  while ((server.sessions.get('n1')?.view?.lag ?? 1) > 0) await new Promise((turn) => { setImmediate(turn) })
  const text = await metrics.read()
  const expected = [
    'merlon_streams 2', 'merlon_agents_behind 1', 'merlon_acknowledged_lag 1', 'merlon_queue_depth 0', 'merlon_policies 1', 'merlon_workloads{state="decided"} 2', 'merlon_leader 0', 'merlon_certificate_expiry_timestamp_seconds 1800000000.5',
    'merlon_watch_age_seconds{resource="pods"} 1.5', 'merlon_findings{code="MERLON_POLICY_NOT_ALLOWED"} 1', 'merlon_tables_total 1', 'merlon_acknowledge_seconds_count 1', 'merlon_compile_seconds_count{stage="table"} 1',
  ]
  for (const line of expected) assert.ok(text.includes(`${line}\n`), `${line}\n${text.split('\n').filter((each) => each.startsWith('merlon_')).join('\n')}`)
  assert.match(text, /^merlon_reconcile_seconds_count [1-9]/m)
  quick.close()
  silent.close()
  await server.stop()
  rmSync(directory, { recursive: true })
})
