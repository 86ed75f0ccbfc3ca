// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { SECTIONS, type Finding, type Plan, type Posture } from '../policy/types.ts'
import { systemClock } from '../runtime/clock.ts'
import { silentLogger } from '../runtime/log.ts'
import { NO_RULES } from './decide.ts'
import { combine, type Snapshot } from './files.ts'
import type { ReportedWorkload } from './identity.ts'
import { policyLibrary, type Compiled } from './library.ts'
import { Reconciler } from './reconcile.ts'
import { hostPolicyText, namespaceText, podText, policyText } from './testing/manifests.ts'

const snapshotOf = (...texts: string[]): Snapshot => {
  const files = texts.map((text, index) => ({ path: `f${index}.yaml`, fingerprint: '', good: true, stale: false, ...policyLibrary.read(text, `f${index}.yaml`) }))
  const snapshot = combine(files)
  assert.deepEqual(snapshot.findings, [])
  return snapshot
}
const workload = (id: string, parts: Partial<ReportedWorkload> = {}): ReportedWorkload => ({ id, namespace: '', pod: '', pod_uid: '', container: '', image: '', labels: {}, waiting: false, ...parts })
const app = (id: string, name: string, parts: Partial<ReportedWorkload> = {}): ReportedWorkload => workload(id, { labels: { app: name }, ...parts })

/** A reconciler with one node, n1, and a compiler that can be told to refuse. */
class Scenario {
  readonly notified: string[][] = []
  readonly findings: Finding[] = []
  refuses: (plan: Plan) => boolean = () => false
  readonly reconciler: Reconciler

  constructor(defaultPosture: Posture = 'audit') {
    const compile = (plan: Plan): Compiled => (this.refuses(plan) ? { ok: false, findings: [REFUSED] } : policyLibrary.compile(plan))
    this.reconciler = new Reconciler({
      library: { ...policyLibrary, compile },
      settings: { postures: { filePosture: defaultPosture }, hostPostures: { filePosture: defaultPosture } },
      clock: systemClock,
      logger: silentLogger,
      onNodes: (nodes) => this.notified.push([...nodes]),
      onFinding: (finding) => this.findings.push(finding),
    })
    this.reconciler.setNode({ node: 'n1', labels: {} })
  }

  async given(snapshot: Snapshot, workloads: readonly ReportedWorkload[]): Promise<this> {
    this.reconciler.setSnapshot(snapshot)
    this.reconciler.setWorkloads('n1', true, workloads, [])
    await this.reconciler.settled()
    return this
  }

  async change(snapshot: Snapshot): Promise<this> {
    this.reconciler.setSnapshot(snapshot)
    await this.reconciler.settled()
    return this
  }

  table(id: string): string | undefined {
    return this.reconciler.desired('n1').get(id)?.profile.tableHash
  }

  profile(id: string): string | undefined {
    return this.reconciler.desired('n1').get(id)?.profile.id
  }

  get done(): { plans: number; compiles: number } {
    return { ...this.reconciler.decider.done }
  }
}

const REFUSED: Finding = { code: 'MERLON_POLICY_TABLE_TOO_LARGE', severity: 'error', message: 'too large', position: { file: 'f0.yaml', line: 1, column: 1 }, text: '', hint: 'split it' }

describe('Reconciler', () => {
  it('binds every workload: by its rules, or to no table', async () => {
    const scenario = await new Scenario().given(snapshotOf(policyText({ name: 'p' })), [app('a', 'web'), app('b', 'db')])
    assert.match(scenario.table('a') ?? '', /^[0-9a-f]{64}$/)
    assert.equal(scenario.profile('b'), NO_RULES.id)
    assert.equal(scenario.table('b'), '')
  })

  it('plans and compiles once for workloads of one set of policies', async () => {
    const many = Array.from({ length: 500 }, (_, index) => app(`c${index}`, 'web'))
    const scenario = await new Scenario().given(snapshotOf(policyText({ name: 'p' })), many)
    assert.deepEqual(scenario.done, { plans: 1, compiles: 1 })
    assert.equal(new Set(many.map(({ id }) => scenario.profile(id))).size, 1)
  })

  it('compiles once for policies that decide alike, and attributes them apart', async () => {
    const scenario = await new Scenario().given(snapshotOf(policyText({ name: 'p', app: 'one' }), policyText({ name: 'q', app: 'two' })), [app('a', 'one'), app('b', 'two')])
    assert.deepEqual(scenario.done, { plans: 2, compiles: 1 })
    assert.equal(scenario.table('a'), scenario.table('b'))
    assert.notEqual(scenario.profile('a'), scenario.profile('b'))
  })

  it('keeps the table when only a message changes', async () => {
    const scenario = await new Scenario().given(snapshotOf(policyText({ name: 'p' })), [app('a', 'web')])
    const [table, profile] = [scenario.table('a'), scenario.profile('a')]
    await scenario.change(snapshotOf(policyText({ name: 'p', message: 'new words' })))
    assert.equal(scenario.table('a'), table)
    assert.notEqual(scenario.profile('a'), profile)
    assert.deepEqual(scenario.done, { plans: 2, compiles: 1 })
  })

  it('plans again only for workloads whose policies changed', async () => {
    const first = snapshotOf(policyText({ name: 'p', app: 'one' }), policyText({ name: 'q', app: 'two' }))
    const scenario = await new Scenario().given(first, [app('a', 'one'), app('b', 'two'), app('c', 'two')])
    const edited = snapshotOf(policyText({ name: 'p', app: 'one', path: '/bin/other' }))
    await scenario.change({ ...first, policies: [...edited.policies, ...first.policies.slice(1)] })
    assert.deepEqual(scenario.done, { plans: 3, compiles: 2 })
  })

  it('follows labels that pods get and lose', async () => {
    const policy = policyText({ name: 'p' })
    const scenario = await new Scenario().given(snapshotOf(policy), [workload('web')])
    assert.equal(scenario.table('web'), '')
    await scenario.change(snapshotOf(policy, podText('web', 'web')))
    assert.notEqual(scenario.table('web'), '')
    assert.equal(scenario.reconciler.desired('n1').get('web')?.identity.labels, 'app=web')
    await scenario.change(snapshotOf(policy))
    assert.equal(scenario.table('web'), '')
  })

  it('takes the posture of the namespace, or else the default', async () => {
    const allow = (namespace: string): string => policyText({ name: 'p', namespace, action: 'Allow' })
    const scenario = await new Scenario('audit').given(snapshotOf(allow('strict'), allow('loose'), namespaceText('strict', 'block')), [app('a', 'web', { namespace: 'strict' }), app('b', 'web', { namespace: 'loose' })])
    const action = (id: string): string | undefined => scenario.reconciler.desired('n1').get(id)?.profile.clauses.find((clause) => clause.policy === 'DefaultPosture')?.action
    assert.deepEqual([action('a'), action('b')], ['Block', 'Audit'])
    await scenario.change(snapshotOf(allow('strict'), allow('loose')))
    assert.equal(scenario.profile('a') === scenario.profile('b'), false)
    assert.equal(scenario.table('a'), scenario.table('b'))
  })

  it('applies host policies to the host alone', async () => {
    const scenario = new Scenario()
    scenario.reconciler.setNode({ node: 'n1', labels: { role: 'edge' } })
    await scenario.given(snapshotOf(hostPolicyText('h', 'role: edge')), [workload('host'), app('a', 'web')])
    assert.notEqual(scenario.table('host'), '')
    assert.equal(scenario.table('a'), '')
  })

  it('numbers the reserved clauses after the rules: the default of each section, then what is undecidable in each', async () => {
    const scenario = await new Scenario().given(snapshotOf(policyText({ name: 'p', action: 'Allow' })), [app('a', 'web')])
    const clauses = scenario.reconciler.desired('n1').get('a')?.profile.clauses ?? []
    assert.deepEqual(clauses.map(({ policy, action }) => `${policy} ${action}`), [
      'p Allow', 'DefaultPosture Audit', ...Array.from({ length: SECTIONS.length - 1 }, () => 'DefaultPosture Allow'), 'Undecidable Audit', ...Array.from({ length: SECTIONS.length - 1 }, () => 'Undecidable Allow'),
    ])
    assert.deepEqual([clauses[0]?.file, clauses[0]?.text], ['f0.yaml', 'process path /bin/ls'])
  })
})

describe('Reconciler, order and failure', () => {
  it('takes a defect in the compiler for a failure of that workload', async () => {
    const scenario = new Scenario()
    scenario.refuses = (plan) => {
      if (plan.clauses.some((clause) => clause.origin.policy === 'p')) throw new Error('defect')
      return false
    }
    await scenario.given(snapshotOf(policyText({ name: 'p', app: 'one' }), policyText({ name: 'q', app: 'two', path: '/bin/q' })), [app('a', 'one'), app('b', 'two')])
    assert.deepEqual(scenario.findings.map((finding) => finding.code), ['MERLON_OPERATOR_INTERNAL'])
    assert.notEqual(scenario.table('b'), undefined)
  })

  it('decides waiting workloads before it returns, and tells their node first', () => {
    const scenario = new Scenario()
    scenario.reconciler.setSnapshot(snapshotOf(policyText({ name: 'p' })))
    scenario.reconciler.setWorkloads('n1', true, [app('a', 'web'), app('b', 'web', { waiting: true })], [])
    assert.deepEqual(scenario.notified, [['n1']])
    assert.deepEqual([...scenario.reconciler.desired('n1').keys()], ['b'])
    assert.equal(scenario.reconciler.isSettled('n1'), false)
  })

  it('tells a node only when all of it is decided', async () => {
    const scenario = await new Scenario().given(snapshotOf(), [app('a', 'web'), app('b', 'web')])
    assert.ok(scenario.notified.length > 0)
    assert.equal(scenario.reconciler.isSettled('n1'), true)
    assert.equal(scenario.reconciler.desired('n1').size, 2)
  })

  it('drops what a complete report leaves out, and what is reported gone', async () => {
    const scenario = await new Scenario().given(snapshotOf(), [app('a', 'web'), app('b', 'web'), app('c', 'web')])
    scenario.reconciler.setWorkloads('n1', false, [], ['b'])
    scenario.reconciler.setWorkloads('n1', false, [app('d', 'web')], [])
    await scenario.reconciler.settled()
    assert.deepEqual([...scenario.reconciler.desired('n1').keys()].toSorted(), ['a', 'c', 'd'])
    scenario.reconciler.setWorkloads('n1', true, [app('a', 'web')], [])
    await scenario.reconciler.settled()
    assert.deepEqual([...scenario.reconciler.desired('n1').keys()], ['a'])
  })

  it('keeps the last good table of a workload that cannot be compiled, says so once, and leaves the others alone', async () => {
    const scenario = await new Scenario().given(snapshotOf(policyText({ name: 'p', app: 'one' }), policyText({ name: 'q', app: 'two' })), [app('a', 'one'), app('b', 'two')])
    const [before, other] = [scenario.table('a'), scenario.table('b')]
    scenario.refuses = (plan) => plan.clauses.some((clause) => clause.match.kind === 'path' && clause.match.path === '/bin/huge')
    const refused = snapshotOf(policyText({ name: 'p', app: 'one', path: '/bin/huge' }), policyText({ name: 'q', app: 'two', path: '/bin/new' }))
    await scenario.change(refused)
    assert.equal(scenario.table('a'), before)
    assert.deepEqual(scenario.reconciler.desired('n1').get('a')?.failure, [REFUSED])
    assert.notEqual(scenario.table('b'), other)
    assert.equal(scenario.findings.length, 1)
    assert.match(scenario.findings[0]?.message ?? '', /workload a on n1: its last good table stays in force/)
    await scenario.change(refused)
    assert.equal(scenario.findings.length, 1)
    await scenario.change(snapshotOf(policyText({ name: 'p', app: 'one' }), policyText({ name: 'q', app: 'two', path: '/bin/new' })))
    assert.deepEqual(scenario.reconciler.desired('n1').get('a')?.failure, [])
  })

  it('has nothing to bind where the first compilation fails, and says that', async () => {
    const scenario = new Scenario()
    scenario.refuses = () => true
    await scenario.given(snapshotOf(policyText({ name: 'p' })), [app('a', 'web')])
    assert.equal(scenario.profile('a'), undefined)
    assert.deepEqual(scenario.reconciler.failed('n1').get('a')?.failure, [REFUSED])
    assert.match(scenario.findings[0]?.message ?? '', /no earlier table of it is known here/)
  })

  it('forgets tables that nothing needs any more, not those that an edit leaves alone', async () => {
    const scenario = await new Scenario().given(snapshotOf(policyText({ name: 'p' })), [app('a', 'web')])
    for (const message of ['one', 'two', 'three']) await scenario.change(snapshotOf(policyText({ name: 'p', message })))
    assert.equal(scenario.done.compiles, 1)
    for (const path of ['/bin/x', '/bin/y']) await scenario.change(snapshotOf(policyText({ name: 'p', path })))
    await scenario.change(snapshotOf(policyText({ name: 'p' })))
    assert.equal(scenario.done.compiles, 4)
  })
})
