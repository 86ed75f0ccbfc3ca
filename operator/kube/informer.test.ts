// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { SimulatedClock } from '../../runtime/clock.ts'
import { createLogger, type LogRecord } from '../../runtime/log.ts'
import { ScriptedApi, turns } from '../testing/api.ts'
import { KubeError, type Call, type KubeObject } from './api.ts'
import { Informer, type InformerOptions } from './informer.ts'

const thing = (name: string, version: string, more: KubeObject = {}): KubeObject => ({ metadata: { name, namespace: 'ns', resourceVersion: version }, ...more })
const list = (version: string, items: readonly KubeObject[], more = ''): KubeObject => ({ metadata: { resourceVersion: version, ...(more === '' ? {} : { continue: more }) }, items })
const queryOf = ({ path }: Call): URLSearchParams => new URL(path, 'http://x').searchParams

/** An informer of things whose value is their version, and what it was asked and told. */
class Subject {
  readonly api = new ScriptedApi()
  readonly clock = new SimulatedClock()
  readonly told: string[] = []
  readonly log: LogRecord[] = []
  readonly informer: Informer<string>

  constructor(options: Partial<InformerOptions<string>> = {}) {
    this.informer = new Informer<string>({
      api: this.api, path: '/apis/x/v1/things', trim: ({ metadata }) => metadata?.resourceVersion, clock: this.clock, random: () => 0.5, logger: createLogger('test', (record) => this.log.push(record)),
      onKeys: (keys) => this.told.push(...keys), ...options,
    })
  }

  async start(): Promise<this> {
    this.informer.start()
    await turns()
    return this
  }

  /** Second after second, so that whoever waits for an answer goes on. */
  async pass(seconds: number): Promise<void> {
    for (let second = 0; second < seconds; second++) {
      this.clock.advance(1_000)
      await turns()
    }
  }
}

describe('Informer', () => {
  it('lists in pages, then watches from there with bookmarks', async () => {
    const subject = new Subject()
    subject.api.answer = (call) => (queryOf(call).has('continue') ? list('7', [thing('b', '2')]) : list('7', [thing('a', '1')], 'next'))
    await subject.start()
    assert.deepEqual(subject.api.calls.map((call) => [queryOf(call).get('limit'), queryOf(call).get('continue')]), [['500', null], ['500', 'next']])
    assert.deepEqual(subject.told, ['ns/a', 'ns/b'])
    const { query } = subject.api.watching.call
    assert.deepEqual([query['resourceVersion'], query['allowWatchBookmarks']], ['7', true])
    assert.ok(Number(query['timeoutSeconds']) >= 300 && Number(query['timeoutSeconds']) < 600)
  })

  it('goes on after a watch from the last event or bookmark, without another list', async () => {
    const subject = await new Subject().start()
    const { call, end } = subject.api.watching
    call.onEvent('ADDED', thing('a', '5'))
    call.onEvent('BOOKMARK', { metadata: { resourceVersion: '9' } })
    assert.deepEqual([subject.told, subject.informer.get('ns/a'), subject.informer.done.events], [['ns/a'], '5', 1])
    await subject.pass(6)
    end({ ok: true })
    await turns()
    assert.equal(subject.api.watching.call.query['resourceVersion'], '9')
    assert.equal(subject.informer.done.lists, 1)
  })

  it('sees what was removed meanwhile when its place is forgotten (410)', async () => {
    const subject = new Subject()
    subject.api.answer = () => list('1', [thing('stays', '1'), thing('goes', '1')])
    await subject.start()
    subject.told.length = 0
    subject.api.answer = () => list('20', [thing('stays', '1'), thing('comes', '15')])
    subject.api.watching.end({ ok: false, code: 410, message: 'too old resource version' })
    await subject.pass(2)
    assert.deepEqual([subject.told, [...subject.informer.entries()].map(([key]) => key)], [['ns/goes', 'ns/comes'], ['ns/stays', 'ns/comes']])
    assert.equal(subject.api.watching.call.query['resourceVersion'], '20')
  })

  it('waits longer and longer, and never less than it is told', async () => {
    const subject = new Subject()
    subject.api.answer = () => { throw new KubeError(429, 'wait', { retryAfterMs: 7_000 }) }
    await subject.start()
    await subject.pass(6)
    assert.equal(subject.api.calls.length, 1)
    await subject.pass(1)
    assert.equal(subject.api.calls.length, 2)
    subject.api.answer = () => { throw new KubeError(0, 'no route') }
    await subject.pass(120)
    // Half of a limit that grows to 5 s.
    const count = subject.api.calls.length
    await subject.pass(60)
    assert.ok(subject.api.calls.length - count >= 15 && subject.api.calls.length - count <= 25, `${subject.api.calls.length - count} in a minute`)
    assert.equal(subject.informer.isSynced, false)
    subject.api.answer = () => list('1', [])
    await subject.pass(5)
    assert.equal(subject.informer.isSynced, true)
  })

  it('tells how long the server has been silent', async () => {
    const subject = await new Subject().start()
    await subject.pass(40)
    assert.equal(subject.informer.ageMs, 40_000)
    subject.api.watching.call.onEvent('BOOKMARK', { metadata: { resourceVersion: '3' } })
    assert.equal(subject.informer.ageMs, 0)
  })

  it('lists again from time to time, though the watch is well', async () => {
    const subject = await new Subject({ relistMs: 100_000 }).start()
    await subject.pass(101)
    assert.equal(subject.informer.done.lists, 2)
    assert.equal(subject.api.watches.length, 2)
  })

  it('survives objects that cannot be read and listeners that throw', async () => {
    const subject = new Subject({ trim: ({ metadata }) => { if (metadata?.name === 'bad') throw new Error('no'); return metadata?.resourceVersion }, onKeys: () => { throw new Error('never mind') } })
    subject.api.answer = () => list('1', [thing('bad', '1'), thing('good', '1')])
    await subject.start()
    assert.deepEqual([...subject.informer.entries()], [['ns/good', '1']])
    assert.deepEqual(subject.log.map(({ message }) => message), ['Failed to read an object', 'Failed to pass on changes'])
    assert.equal(subject.api.watches.length, 1)
  })

  it('holds a custom resource that is not installed for empty, and what it knew for true', async () => {
    const notFound = (): never => { throw new KubeError(404, '404 page not found') }
    for (const mayBeAbsent of [true, false]) {
      const subject = new Subject({ mayBeAbsent })
      subject.api.answer = notFound
      await subject.start()
      assert.equal(subject.informer.isSynced, false)
      await subject.pass(10)
      assert.equal(subject.informer.isSynced, mayBeAbsent)
      subject.api.answer = () => list('1', [thing('a', '1')])
      await subject.pass(10)
      subject.api.answer = notFound
      subject.api.watching.end({ ok: false, code: 410, message: 'gone' })
      await subject.pass(30)
      assert.equal(subject.informer.get('ns/a'), '1')
    }
  })

  it('says once that a custom resource is missing, and when it has come', async () => {
    const subject = new Subject({ mayBeAbsent: true })
    subject.api.answer = () => { throw new KubeError(404, '404 page not found') }
    await subject.start()
    await subject.pass(60)
    const said = (): string[] => subject.log.map(({ message }) => message)
    const missing = said().indexOf('Found a custom resource missing')
    assert.ok(said().slice(0, missing).every((message) => message === 'Lost touch with a resource'))
    assert.equal(missing, said().length - 1, said().join())
    assert.match(JSON.stringify(subject.log[missing]?.fields), /kubectl apply --server-side -f crds/)
    subject.api.answer = () => list('1', [thing('a', '1')])
    await subject.pass(10)
    assert.deepEqual([said().at(-1), subject.informer.get('ns/a')], ['Found the missing custom resource', '1'])
  })

  it('ends its watch when it is stopped', async () => {
    const subject = await new Subject().start()
    await subject.informer.stop()
    assert.equal(subject.api.watching.call.signal.aborted, true)
  })
})
