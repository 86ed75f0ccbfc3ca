// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Policy } from '../../policy/types.ts'
import { SimulatedClock } from '../../runtime/clock.ts'
import { silentLogger } from '../../runtime/log.ts'
import { policyLibrary } from '../library.ts'
import { ScriptedApi, turns } from '../testing/api.ts'
import { KubeError, type KubeObject } from './api.ts'
import { readPolicy, type PolicyObject } from './policies.ts'
import { StatusWriter } from './status-writer.ts'
import { emptyTally, type Tally } from './tally.ts'

const spec = { selector: {}, process: { matchPaths: [{ path: '/bin/x' }] }, action: 'Block' }
const policyNamed = (name: string, more: KubeObject = {}): PolicyObject =>
  readPolicy({ metadata: { name, namespace: 'ns', uid: `uid-${name}`, generation: 1 }, spec, ...more }, 'KubeArmorPolicy', policyLibrary, undefined)

/** A writer, the policies that it writes of, and what it has written. */
class Subject {
  readonly clock = new SimulatedClock(1_000_000)
  readonly api = new ScriptedApi()
  readonly policies = new Map<string, PolicyObject>()
  readonly tallies = new Map<string, Tally>()
  readonly written: { readonly name: string; readonly at: number; readonly status: Record<string, unknown> }[] = []
  leads = true
  refusal: KubeError | undefined
  examine: (policy: Policy) => Promise<[]> = async () => []
  readonly writer: StatusWriter

  constructor(count = 0) {
    const { clock, api, policies } = this
    for (let index = 0; index < count; index++) this.add(policyNamed(`p${index}`))
    this.writer = new StatusWriter({
      api, policies, clock, logger: silentLogger, random: () => 0.5, identity: 'me', configs: () => [], tallies: () => this.tallies, leads: () => this.leads, examine: (policy) => this.examine(policy),
      operator: {
        patchResourceStatus: async (meta, status) => {
          if (this.refusal) throw this.refusal
          this.written.push({ name: meta.name, at: clock.monotonic(), status: status as Record<string, unknown> })
          return meta
        },
      },
    })
    this.writer.lead(true)
  }

  add(object: PolicyObject): void {
    this.policies.set(`KubeArmorPolicy/ns/${object.name}`, object)
  }

  /** What the API has stored comes back. */
  echo(): void {
    for (const { name, status } of this.written) this.add({ ...(this.policies.get(`KubeArmorPolicy/ns/${name}`) as PolicyObject), status })
  }

  async pass(seconds: number): Promise<void> {
    for (let step = 0; step < seconds * 40; step++) {
      this.clock.advance(25)
      await turns()
    }
  }
}

describe('StatusWriter', () => {
  it('writes each status once, and at most eight a second', async () => {
    const subject = new Subject(30)
    await subject.pass(8)
    assert.equal(new Set(subject.written.map(({ name }) => name)).size, 30)
    assert.equal(subject.written.length, 30)
    for (const { at } of subject.written) assert.ok(subject.written.filter((other) => other.at >= at && other.at < at + 1000).length <= 8)
  })

  it('stops at once when it loses the lead, with all that was to be written', async () => {
    const subject = new Subject(30)
    await subject.pass(1)
    const { length } = subject.written
    assert.ok(length > 0 && length < 30)
    subject.leads = false
    subject.writer.lead(false)
    await subject.pass(10)
    assert.deepEqual([subject.written.length, subject.writer.depth], [length, 0])
  })

  it('asks before each write, even before it is told', async () => {
    const subject = new Subject(30)
    await subject.pass(1)
    const { length } = subject.written
    subject.leads = false
    await subject.pass(10)
    assert.equal(subject.written.length, length)
  })

  it('writes again what somebody else has changed, and nothing that is as it was', async () => {
    const subject = new Subject(1)
    await subject.pass(1)
    subject.echo()
    subject.writer.changed()
    await subject.pass(20)
    assert.equal(subject.written.length, 1)
    subject.add({ ...(subject.policies.get('KubeArmorPolicy/ns/p0') as PolicyObject), status: { status: 'Nonsense' } })
    subject.writer.changed()
    await subject.pass(2)
    assert.equal(subject.written.length, 2)
  })

  it('writes a resource that keeps less of a status by a merge, and does not insist', async () => {
    const subject = new Subject(1)
    subject.refusal = new KubeError(500, 'PATCH: 500 failed to create typed patch object (...): .status.conditions: field not declared in schema')
    await subject.pass(1)
    assert.deepEqual(subject.api.calls.map(({ method, contentType }) => [method, contentType]), [['PATCH', 'application/merge-patch+json']])
    for (let time = 0; time < 3; time++) {
      subject.writer.changed()
      await subject.pass(15)
    }
    assert.equal(subject.api.calls.length, 1)
  })

  it('writes anew of an object that was made anew under the same name, though it comes to the same', async () => {
    const subject = new Subject(1)
    await subject.pass(2)
    assert.equal(subject.written.length, 1)
    subject.add(policyNamed('p0', { metadata: { name: 'p0', namespace: 'ns', uid: 'another', generation: 1 } }))
    subject.writer.changed()
    await subject.pass(4)
    assert.equal(subject.written.length, 2)
  })

  it('takes what it has written for what was, before the API shows it: a transition has one time and one Event', async () => {
    const subject = new Subject(1)
    const held = (pods: number): void => {
      subject.tallies.set('KubeArmorPolicy/ns/p0', { ...emptyTally(), pods: { selected: pods, programmed: pods }, nodes: { selected: 1, programmed: 1 }, ready: 1 })
      subject.writer.changed()
    }
    for (const pods of [1, 2, 3]) {
      held(pods)
      await subject.pass(2)
    }
    const times = subject.written.map(({ status }) => (status['conditions'] as { lastTransitionTime: string }[]).map(({ lastTransitionTime }) => lastTransitionTime).join())
    assert.deepEqual([times.length, new Set(times).size], [3, 1])
    assert.equal(subject.api.calls.filter(({ path }) => path.includes('/events')).length, 1)
  })

  it('looks again when what it has written does not show, though nothing else happens', async () => {
    const subject = new Subject(1)
    await subject.pass(2)
    assert.equal(subject.written.length, 1)
    subject.writer.changed()
    await subject.pass(14)
    assert.equal(subject.written.length, 2)
  })

  it('survives a count that fails, and counts again with the next change', async () => {
    const subject = new Subject(1)
    const { tallies } = subject
    Object.defineProperty(subject, 'tallies', { get: () => { throw new Error('defect') }, configurable: true })
    await subject.pass(2)
    Object.defineProperty(subject, 'tallies', { value: tallies })
    assert.equal(subject.written.length, 0)
    subject.writer.changed()
    await subject.pass(2)
    assert.equal(subject.written.length, 1)
  })

  it('comes back to what failed, and leaves what is gone', async () => {
    const subject = new Subject(1)
    subject.refusal = new KubeError(503, 'away')
    await subject.pass(2)
    assert.ok(subject.writer.done.failures >= 1)
    subject.refusal = undefined
    await subject.pass(10)
    assert.equal(subject.written.length, 1)
    subject.refusal = new KubeError(404, 'not found')
    subject.add({ ...policyNamed('p1') })
    subject.writer.changed()
    await subject.pass(3)
    assert.equal(subject.writer.depth, 0)
  })

  it('tells a transition as an Event, and a change of words as none', async () => {
    const subject = new Subject(1)
    const tally = (programmed: number): Tally => ({ ...emptyTally(), pods: { selected: 1, programmed }, nodes: { selected: 1, programmed }, ready: programmed, failures: programmed === 1 ? [] : [{ node: 'n', workload: 'w', code: 'MERLON_X', message: 'why' }] })
    const events = (): unknown[] => subject.api.calls.filter(({ path }) => path.includes('/events')).map(({ body }) => (body as KubeObject)['reason'])
    const become = async (programmed: number): Promise<void> => {
      subject.tallies.set('KubeArmorPolicy/ns/p0', tally(programmed))
      subject.writer.changed()
      await subject.pass(2)
      subject.echo()
    }
    await become(1)
    assert.deepEqual(events(), ['PolicyReady'])
    subject.add({ ...(subject.policies.get('KubeArmorPolicy/ns/p0') as PolicyObject), generation: 2 })
    await become(1)
    assert.deepEqual(events(), ['PolicyReady'])
    await become(0)
    assert.deepEqual(new Set(events()), new Set(['PolicyReady', 'PolicyNotProgrammed', 'NodeDegraded']))
  })

  it('does not wait for an examination that takes long, and tells its result when there is one', async () => {
    const subject = new Subject(1)
    const { promise, resolve } = Promise.withResolvers<[]>()
    subject.examine = () => promise
    await subject.pass(4)
    assert.equal(subject.written.length, 1)
    resolve([{ code: 'MERLON_POLICY_SHADOWED_RULE', severity: 'warning', message: 'never', position: { file: 'x', line: 0, column: 0 }, text: '', hint: '' }] as unknown as [])
    await subject.pass(4)
    assert.equal(subject.written.length, 2)
    assert.partialDeepStrictEqual(subject.written[1]?.status['rules'], { shadowed: 1 })
  })
})
