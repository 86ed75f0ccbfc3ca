// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { noMetrics, openMetrics, Total } from './metrics.ts'

describe('openMetrics()', () => {
  it('refuses names that are not as Prometheus has them', async () => {
    const metrics = await openMetrics()
    const wrong = [
      () => metrics.counter({ name: 'merlon_events', help: 'x' }), () => metrics.gauge({ name: 'merlon_events_total', help: 'x' }), () => metrics.histogram({ name: 'merlon_wait', help: 'x' }),
      () => metrics.gauge({ name: 'events', help: 'x' }), () => metrics.gauge({ name: 'merlon_Events', help: 'x' }), () => metrics.gauge({ name: 'merlon_events', help: '' }),
      () => metrics.gauge({ name: 'merlon_events', help: 'x', labels: ['pod-name'] }),
    ]
    for (const make of wrong) assert.throws(make, /Cannot make the metric/)
  })

  it('counts a total of somebody else, also when that begins anew', async () => {
    const metrics = await openMetrics()
    const total = new Total(metrics.counter({ name: 'merlon_things_total', help: 'Things', labels: ['kind'] }))
    for (const count of [3, 5, 2, 2]) total.set(count, { kind: 'a' })
    assert.match(await metrics.read(), /^merlon_things_total\{kind="a"\} 7$/m)
  })

  it('writes label values that could break a line as they must be written', async () => {
    const metrics = await openMetrics()
    metrics.gauge({ name: 'merlon_odd', help: 'Odd', labels: ['what'] }).set(1, { what: 'a"b\\c\nd' })
    assert.ok((await metrics.read()).includes('merlon_odd{what="a\\"b\\\\c\\nd"} 1\n'))
  })

  it('has a stand-in for who has no endpoint', async () => {
    noMetrics.counter({ name: 'x', help: '' }).add()
    assert.equal(await noMetrics.read(), '')
  })
})
