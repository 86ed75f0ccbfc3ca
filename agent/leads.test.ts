// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SimulatedClock } from '../runtime/clock.ts'
import { Leads } from './leads.ts'

function make(): { leads: Leads; clock: SimulatedClock; seen: (number | 'late')[]; bind: (pods: string[], full?: boolean, unbound?: string[]) => void } {
  const clock = new SimulatedClock()
  const seen: (number | 'late')[] = []
  const leads = new Leads({ clock, onLead: (ms) => seen.push(ms), onLate: () => seen.push('late') })
  const bind = (pods: string[], full = false, unbound: string[] = []): void =>
    leads.take({ full, unbound, bindings: pods.map((workload) => ({ workload, profile: 'p', identity: null, visible: [], holds: false })) })
  return { leads, clock, seen, bind }
}

const container = (pod: string): { id: string; podUid: string } => ({ id: `c-${pod}`, podUid: pod })

test('the lead is from the first arrival of a profile to the first container, whose pod has had a cgroup before', () => {
  const { leads, clock, seen, bind } = make()
  bind([], true)
  bind(['pod/a', 'c1'])
  clock.advance(40)
  bind(['pod/a'])
  leads.started({ id: 'pod/a', podUid: 'a' })
  clock.advance(2)
  leads.started(container('a'))
  leads.started({ id: 'another', podUid: 'a' })
  leads.started({ id: 'by-hand', podUid: '' })
  assert.deepEqual(seen, [42])
})

test('a pod whose container comes first is late, once, and counts again when it is another', () => {
  const { leads, seen, bind } = make()
  bind([], true)
  leads.started(container('a'))
  bind(['pod/a'])
  leads.started(container('a'))
  leads.ended({ id: 'pod/a' })
  leads.started(container('a'))
  assert.deepEqual(seen, ['late', 'late'])
})

test('what ran before the operator spoke, or never came to the node, tells nothing', () => {
  const { leads, clock, seen, bind } = make()
  leads.started(container('old'))
  bind(['pod/old', 'pod/withdrawn', 'pod/dropped'], true)
  bind([], false, ['pod/withdrawn', 'pod/old'])
  bind(['pod/old'], true)
  clock.advance(10)
  leads.started(container('old'))
  leads.started(container('withdrawn'))
  assert.deepEqual(seen, ['late'], 'its profile had been taken back')
})
