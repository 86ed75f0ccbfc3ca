// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { policyLibrary } from '../library.ts'
import { essence, statusOf, withTimes, type PolicyObjectStatus } from './conditions.ts'
import { readPolicy, type PolicyObject } from './policies.ts'
import { addTally, emptyTally, type Tally } from './tally.ts'

const read = (spec: unknown, before?: PolicyObject, generation = 1): PolicyObject =>
  readPolicy({ metadata: { name: 'p', namespace: 'ns', uid: 'u', generation }, spec }, 'KubeArmorPolicy', policyLibrary, before)
const good = { selector: {}, process: { matchPaths: [{ path: '/bin/a' }, { path: '/bin/b' }] }, file: { matchPaths: [{ path: '/etc/c' }] }, network: { matchProtocols: [{ protocol: 'tcp' }] }, action: 'Block' }
const tally = (parts: Partial<Tally>): Tally => ({ ...emptyTally(), ...parts })
const conditions = ({ conditions: all }: PolicyObjectStatus): string[] => all.map(({ type, status, reason }) => `${type} ${status} ${reason}`)

describe('statusOf()', () => {
  it('says that all is well where every node holds it and refuses the probe', () => {
    const status = statusOf(read(good), tally({ pods: { selected: 3, programmed: 3 }, nodes: { selected: 2, programmed: 2 }, ready: 2 }))
    assert.deepEqual(conditions(status), ['Accepted True Accepted', 'Programmed True Programmed', 'Ready True Ready'])
    assert.deepEqual([status.status, status.selected, status.applied, status.rules], ['Applied', '3 pods', '2/2', { total: 4, inForce: 4, unsupported: 0, shadowed: 0 }])
  })

  it('selects nothing, which is no failure', () => {
    const status = statusOf(read(good))
    assert.deepEqual(conditions(status).slice(1), ['Programmed True SelectsNothing', 'Ready True SelectsNothing'])
    assert.deepEqual([status.selected, status.applied], ['0 pods', '0/0'])
  })

  it('counts and names rules that a node does not enforce, and leaves the rest in force', () => {
    const status = statusOf(read(good), tally({ pods: { selected: 1, programmed: 0 }, nodes: { selected: 1, programmed: 0 }, partly: 1, lacking: ['network'], failures: [{ node: 'n', workload: 'w', code: 'MERLON_AGENT_NOT_ENFORCED', message: 'no network' }] }))
    assert.deepEqual(status.rules, { total: 4, inForce: 3, unsupported: 1, shadowed: 0 })
    assert.deepEqual(status.unsupported.map(({ rule, code }) => [rule, code]), [['spec.network.matchProtocols[0]', 'MERLON_AGENT_NOT_ENFORCED']])
    assert.equal(conditions(status)[1], 'Programmed False MERLON_AGENT_NOT_ENFORCED')
    assert.equal(status.status, 'Failure')
  })

  it('has no rule in force where the only node cannot enforce at all', () => {
    const status = statusOf(read(good), tally({ pods: { selected: 1, programmed: 1 }, nodes: { selected: 1, programmed: 1 }, unable: 1 }))
    assert.deepEqual(status.rules, { total: 4, inForce: 0, unsupported: 4, shadowed: 0 })
    assert.equal(status.unsupported.length, 4)
  })

  it('shows at most ten samples of anything, whatever there is', () => {
    const failures = Array.from({ length: 50 }, (_, index) => ({ node: `n${index}`, workload: 'w', code: 'C', message: 'm'.repeat(5000) }))
    const many = { selector: {}, network: { matchProtocols: [] as { protocol: string }[] }, process: { matchPaths: Array.from({ length: 40 }, (_, index) => ({ path: `/bin/${index}` })) }, action: 'Block' }
    const losers = Array.from({ length: 40 }, () => ({ code: 'MERLON_POLICY_SHADOWED_RULE', severity: 'warning', message: 'x', position: { file: 'f', line: 0, column: 0 }, text: '', hint: '' } as const))
    const status = statusOf(read(many), tally({ nodes: { selected: 50, programmed: 0 }, unable: 50, failures }), losers)
    assert.deepEqual([status.failures.length, status.unsupported.length, status.shadowed.length], [10, 10, 10])
    assert.ok(JSON.stringify(status).length < 32_000)
  })

  it('says what is wrong with the present version, where, and that an earlier one stays', () => {
    const first = read(good)
    const second = read({ ...good, process: { matchPaths: [{ path: '/bin/a' }, { path: 'bin/b' }] } }, first, 2)
    assert.equal(second.policy, first.policy)
    const status = statusOf(second, tally({ pods: { selected: 1, programmed: 1 }, nodes: { selected: 1, programmed: 1 }, ready: 1 }))
    const [accepted, programmed] = status.conditions
    assert.match(accepted?.message ?? '', /^spec\.process\.matchPaths\[1\]\.path: .* An earlier version stays in force\.$/s)
    assert.deepEqual([status.status, status.observedGeneration, programmed?.reason], ['Invalid', 2, 'EarlierVersion'])
    const fresh = statusOf(read({ selector: 5 }))
    assert.match(fresh.conditions[0]?.message ?? '', /Nothing of it is in force\.$/)
    assert.equal(conditions(fresh)[1], 'Programmed False NotAccepted')
  })
})

describe('withTimes()', () => {
  it('keeps the time of what is as it was, and makes no difference to the essence', () => {
    const status = statusOf(read(good))
    const first = withTimes(status, {}, 'then')
    assert.deepEqual(first.conditions.map(({ lastTransitionTime }) => lastTransitionTime), ['then', 'then', 'then'])
    const pending = statusOf(read(good), tally({ nodes: { selected: 1, programmed: 0 } }))
    assert.deepEqual(withTimes(pending, { ...first }, 'now').conditions.map(({ lastTransitionTime }) => lastTransitionTime), ['then', 'now', 'now'])
    assert.equal(essence(first), essence(status))
    assert.notEqual(essence(pending), essence(status))
  })
})

describe('addTally()', () => {
  it('adds up, and takes reports of versions that say less', () => {
    const total = tally({ lacking: ['dns'] })
    addTally(total, tally({ pods: { selected: 2, programmed: 1 }, nodes: { selected: 1, programmed: 0 }, partly: 1, lacking: ['dns', 'network'] }))
    addTally(total, { pods: { selected: 1, programmed: 1 }, nodes: { selected: 1, programmed: 1 }, ready: 1, unable: 0, failures: [] } as unknown as Tally)
    assert.deepEqual(total, { pods: { selected: 3, programmed: 2 }, nodes: { selected: 2, programmed: 1 }, ready: 1, unable: 0, partly: 1, lacking: ['dns', 'network'], failures: [] })
  })
})
