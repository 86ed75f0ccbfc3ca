// SPDX-License-Identifier: Apache-2.0
// Against a stand-in that keeps objects as the API server does: base64, resource versions, 404 and 409. The real one is in test/cluster.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { SimulatedClock } from '../../runtime/clock.ts'
import { silentLogger } from '../../runtime/log.ts'
import { KubeError, type Call, type KubeObject } from './api.ts'
import { KubeSecretStore, putConfigMap, putSecret, type Api } from './secrets.ts'
import { OWN_AUTHORITY, Trust } from '../trust.ts'

type Stored = KubeObject & { readonly data?: Readonly<Record<string, string>>; readonly type?: string }

class FakeApi implements Api {
  /** By path. */
  readonly objects = new Map<string, Stored>()
  /** What every call is answered with instead. */
  failure = 0
  #version = 0

  async call({ method, path, body }: Call): Promise<KubeObject> {
    if (this.failure > 0) fail(this.failure)
    const sent = body as Stored
    const key = method === 'POST' ? `${path}/${sent.metadata?.name}` : path
    const found = this.objects.get(key)
    if (method === 'GET') return found ?? fail(404)
    this.#check(method, found, sent.metadata?.resourceVersion)
    this.#version += 1
    const stored = { ...sent, metadata: { ...sent.metadata, resourceVersion: String(this.#version) } }
    this.objects.set(key, stored)
    return stored
  }

  #check(method: string, found: Stored | undefined, wanted: string | undefined): void {
    if (method === 'POST') return found && fail(409)
    if (!found) fail(404)
    if (wanted !== undefined && wanted !== found.metadata?.resourceVersion) fail(409)
  }
}

function fail(code: number): never {
  throw new KubeError(code, `HTTP ${code}`)
}

const object = { namespace: 'merlon', name: 's', labels: { a: 'b' } }

describe('KubeSecretStore', () => {
  it('reads what it wrote, and lets only one of two writers win', async () => {
    const api = new FakeApi()
    const [one, two] = [new KubeSecretStore(api, object), new KubeSecretStore(api, object)]
    assert.equal(await one.read(), undefined)
    assert.equal(await one.write({ key: 'välue' }, undefined), true)
    assert.equal(await two.write({ key: 'other' }, undefined), false)
    const seen = await two.read()
    assert.deepEqual(seen?.data, { key: 'välue' })
    assert.equal(await one.write({ key: 'next' }, seen?.version), true)
    assert.equal(await two.write({ key: 'late' }, seen?.version), false)
    assert.deepEqual((await one.read())?.data, { key: 'next' })
  })

  it('hands on every other answer of the API server', async () => {
    const api = new FakeApi()
    api.failure = 403
    const store = new KubeSecretStore(api, object)
    await assert.rejects(store.read(), /HTTP 403/)
    await assert.rejects(store.write({}, undefined), /HTTP 403/)
  })

  it('lets replicas that start together agree on one authority', async () => {
    const api = new FakeApi()
    const clock = new SimulatedClock(Date.now())
    const open = (): Promise<Trust> => Trust.open({ store: new KubeSecretStore(api, object), authority: OWN_AUTHORITY, clock, logger: silentLogger, publish: (trust) => putConfigMap(api, { ...object, name: 'ca' }, { 'ca.crt': trust }) })
    const replicas = await Promise.all([open(), open(), open()])
    assert.equal(new Set(replicas.map(({ bundle }) => bundle)).size, 1)
    assert.deepEqual(api.objects.get('/api/v1/namespaces/merlon/configmaps/ca')?.data, { 'ca.crt': replicas[0]?.bundle })
    // One of them renews; the others take it over.
    clock.advance(250 * 86_400_000)
    await Promise.all(replicas.map((replica) => replica.look()))
    assert.equal(new Set(replicas.map(({ bundle }) => bundle)).size, 1)
    assert.equal(replicas[0]?.bundle.match(/BEGIN/g)?.length, 2)
  })
})

describe('putSecret() and putConfigMap()', () => {
  it('write whether or not there is one', async () => {
    const api = new FakeApi()
    for (const text of ['one', 'two']) {
      await putSecret(api, object, { 'tls.crt': text })
      await putConfigMap(api, object, { 'ca.crt': text })
    }
    const secret = api.objects.get('/api/v1/namespaces/merlon/secrets/s')
    assert.deepEqual([secret?.data, secret?.type, secret?.metadata?.labels], [{ 'tls.crt': Buffer.from('two').toString('base64') }, 'kubernetes.io/tls', { a: 'b' }])
    assert.deepEqual(api.objects.get('/api/v1/namespaces/merlon/configmaps/s')?.data, { 'ca.crt': 'two' })
  })
})
