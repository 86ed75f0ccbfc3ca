// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { request } from 'node:http'
import { networkInterfaces } from 'node:os'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { serveHealth, type HealthEndpoint } from './http.ts'
import { createLogger, logLevel, setLogLevel } from './log.ts'
import { noMetrics, openMetrics, Total } from './metrics.ts'

interface Reply {
  readonly code: number
  readonly text: string
}

function ask(address: string, path: string, { method = 'GET', body = '' } = {}): Promise<Reply> {
  const { hostname, port } = new URL(`http://${address}`)
  return new Promise((resolve, reject) => {
    const call = request({ host: hostname, port, path, method }, (response) => {
      let text = ''
      response.setEncoding('utf8').on('data', (chunk: string) => { text += chunk }).on('end', () => resolve({ code: response.statusCode ?? 0, text }))
    })
    call.on('error', reject).end(body)
  })
}

describe('serveHealth()', { timeout: 600_000 }, () => {
  let endpoint: HealthEndpoint
  let problem: string | undefined
  const logged: string[] = []
  const logger = createLogger('http-test', ({ message, fields }) => logged.push(`${message} ${JSON.stringify(fields)}`))

  beforeEach(async () => {
    problem = undefined
    logged.length = 0
    endpoint = await serveHealth({ address: '0.0.0.0:0', checks: [{ name: 'policies', problem: () => undefined }, { name: 'agents', problem: () => problem }], metrics: noMetrics, logger })
  })
  afterEach(async () => {
    setLogLevel('info')
    await endpoint.close()
  })
  const local = (): string => endpoint.address.replace('0.0.0.0', '127.0.0.1')

  it('lives, and says what is not ready', async () => {
    assert.deepEqual(await ask(local(), '/livez'), { code: 200, text: 'ok\n' })
    assert.deepEqual(await ask(local(), '/readyz?verbose'), { code: 200, text: '[+] policies\n[+] agents\nready\n' })
    problem = 'no certificate yet: the token is not accepted'
    assert.deepEqual(await ask(local(), '/readyz'), { code: 503, text: '[+] policies\n[-] agents: no certificate yet: the token is not accepted\nnot ready\n' })
    assert.equal((await ask(local(), '/livez')).code, 200)
  })

  it('changes levels at run time, of all or of one part', async () => {
    assert.deepEqual(await ask(local(), '/loglevel'), { code: 200, text: 'info\n' })
    assert.equal((await ask(local(), '/loglevel', { method: 'PUT', body: 'debug\n' })).text, 'debug\n')
    assert.equal(logLevel(), 'debug')
    await ask(local(), '/loglevel', { method: 'PUT', body: 'http-test=error' })
    logged.length = 0
    logger.warn('not shown')
    logger.error('shown')
    assert.deepEqual(logged, ['shown {}'])
    setLogLevel('info', 'http-test')
    for (const body of ['', 'loud', 'a=b', 'x'.repeat(10_000)]) assert.equal((await ask(local(), '/loglevel', { method: 'PUT', body })).code, 400, body.slice(0, 9))
    assert.equal((await ask(local(), '/loglevel', { method: 'POST', body: 'debug' })).code, 405)
  })

  it('changes no level for other machines', async (context) => {
    const outside = Object.values(networkInterfaces()).flat().find((entry) => entry?.family === 'IPv4' && !entry.internal)?.address
    if (outside === undefined) return context.skip('this machine has no address but loopback')
    const there = endpoint.address.replace('0.0.0.0', outside)
    assert.equal((await ask(there, '/loglevel', { method: 'PUT', body: 'debug' })).code, 403)
    assert.equal(logLevel(), 'info')
    assert.equal((await ask(there, '/readyz')).code, 200)
  })

  it('answers nothing else', async () => {
    assert.equal((await ask(local(), '/../etc/passwd')).code, 404)
    assert.equal((await ask(local(), '/readyz', { method: 'POST' })).code, 405)
  })
})

describe('openMetrics()', () => {
  it('keeps counters, gauges and histograms, looked at for each reading', async () => {
    const metrics = await openMetrics()
    const events = metrics.counter({ name: 'merlon_events_total', help: 'Events', labels: ['verdict'] })
    const streams = metrics.gauge({ name: 'merlon_streams', help: 'Streams', labels: ['node'] })
    const seconds = metrics.histogram({ name: 'merlon_apply_seconds', help: 'Apply', buckets: [0.1, 1] })
    const total = new Total(metrics.counter({ name: 'merlon_lost_total', help: 'Lost' }))
    let looked = 0
    metrics.onRead(() => {
      looked += 1
      streams.clear()
      streams.set(looked, { node: `n${looked}` })
      // The third one: whoever counts has been started again.
      total.set([0, 5, 7, 2][looked] ?? 0)
    })
    events.add({ verdict: 'block' })
    events.add({ verdict: 'block' }, 4)
    seconds.observe(0.5)
    await metrics.read()
    await metrics.read()
    const text = await metrics.read()
    for (const line of ['merlon_events_total{verdict="block"} 5', 'merlon_streams{node="n3"} 3', 'merlon_apply_seconds_bucket{le="0.1"} 0', 'merlon_apply_seconds_bucket{le="1"} 1', 'merlon_lost_total 9']) assert.ok(text.includes(`${line}\n`), line)
    assert.ok(!text.includes('node="n2"') && text.includes('process_resident_memory_bytes'))
  })
})
