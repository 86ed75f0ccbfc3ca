// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { it } from 'node:test'
import { SimulatedClock } from '../../runtime/clock.ts'
import { silentLogger } from '../../runtime/log.ts'
import { ScriptedApi, turns } from '../testing/api.ts'
import type { KubeObject } from './api.ts'
import { Replicas } from './replicas.ts'
import { emptyTally, type Tallies, type Tally } from './tally.ts'

const NAME = 'KubeArmorPolicy/ns/p'
const counted = (names: readonly string[], failures: Tally['failures'] = []): Map<string, Tally> => new Map(names.map((name) => [name, { ...emptyTally(), nodes: { selected: 1, programmed: 0 }, failures }]))

async function replicas(leads: boolean, tallies: ReadonlyMap<string, Tally>, reports: readonly unknown[] = []): Promise<{ subject: Replicas; api: ScriptedApi; clock: SimulatedClock }> {
  const [api, clock] = [new ScriptedApi(), new SimulatedClock(1_000_000)]
  const items = reports.map((report, index): KubeObject => ({ metadata: { name: `r${index}`, namespace: 'home', resourceVersion: '1' }, data: { report: JSON.stringify(report) } }))
  api.answer = () => ({ metadata: { resourceVersion: '1' }, items })
  const subject = new Replicas({
    api, namespace: 'home', identity: 'me', tallies: { total: () => new Map(tallies) } as unknown as Tallies, served: () => new Set(['n1']), leads: () => leads, generationOf: () => 1, onReport: () => {}, clock, logger: silentLogger, random: () => 0.5,
  })
  subject.start()
  await turns()
  return { subject, api, clock }
}

it('whatever lies where replicas report, the leader counts what can be counted', async () => {
  const good = { ...emptyTally(), nodes: { selected: 1, programmed: 1 } }
  const odd = [1, 'text', {}, { identity: 'a', nodes: 'n2', tallies: [] }, { identity: 'b', nodes: [], tallies: {} }, { identity: 'c', nodes: [], tallies: [null, [NAME, 1], [NAME, 1, {}], [NAME, 1, { ...good, failures: 3 }]] }]
  const { subject } = await replicas(true, counted([NAME]), [...odd, { identity: 'd', nodes: ['n9'], tallies: [[NAME, 1, good]] }])
  assert.equal(subject.total().get(NAME)?.nodes.programmed, 1)
  await subject.stop()
})

it('a report has as many samples of failures as a ConfigMap has room for, and every count', async () => {
  const failures = Array.from({ length: 10 }, () => ({ node: 'n1', workload: 'c'.repeat(64), code: 'MERLON_AGENT_NOT_ENFORCED', message: 'm'.repeat(100) }))
  const { subject, api, clock } = await replicas(false, counted(Array.from({ length: 2_000 }, (_, index) => `KubeArmorPolicy/ns/p${index}`), failures))
  clock.advance(1_100)
  await turns()
  const patched = api.calls.find(({ method }) => method === 'PATCH')
  assert.ok(patched)
  const { report } = (patched.body as { data: { report: string } }).data
  assert.ok(Buffer.byteLength(report) < 1_000_000)
  const { tallies } = JSON.parse(report) as { tallies: [string, number, Tally][] }
  assert.deepEqual([tallies.length, tallies[1_999]?.[2].nodes.selected], [2_000, 1])
  assert.ok((tallies[0]?.[2].failures.length ?? 0) > 0)
  await subject.stop()
})
