// SPDX-License-Identifier: Apache-2.0
// Against a stand-in that keeps objects as the API server does: base64, resource versions, 404 and 409. The real one is in test/cluster.
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { SimulatedClock } from '../runtime/clock.ts'
import { silentLogger } from '../runtime/log.ts'
import { KubeSecretStore, putConfigMap, putSecret, type CoreApi } from './kube-secrets.ts'
import { OWN_AUTHORITY, Trust } from './trust.ts'

type Stored = { metadata: { name: string; labels: Record<string, string>; resourceVersion: string }; data: Record<string, string>; type?: string }

class FakeApi implements CoreApi {
  readonly objects = new Map<string, Stored>()
  #version = 0

  readonly readNamespacedSecret: CoreApi['readNamespacedSecret'] = async ({ name }) => this.objects.get(`secret/${name}`) ?? fail(404)
  readonly createNamespacedSecret: CoreApi['createNamespacedSecret'] = async ({ body }) => this.#create(`secret/${body.metadata.name}`, body)
  readonly replaceNamespacedSecret: CoreApi['replaceNamespacedSecret'] = async ({ name, body }) => this.#replace(`secret/${name}`, body)
  readonly createNamespacedConfigMap: CoreApi['createNamespacedConfigMap'] = async ({ body }) => this.#create(`map/${body.metadata.name}`, body)
  readonly replaceNamespacedConfigMap: CoreApi['replaceNamespacedConfigMap'] = async ({ name, body }) => this.#replace(`map/${name}`, body)

  #create(key: string, body: Omit<Stored, 'metadata'> & { metadata: Omit<Stored['metadata'], 'resourceVersion'> }): void {
    if (this.objects.has(key)) fail(409)
    this.#set(key, body)
  }

  #replace(key: string, body: Omit<Stored, 'metadata'> & { metadata: Omit<Stored['metadata'], 'resourceVersion'> & { resourceVersion?: string } }): void {
    const found = this.objects.get(key)
    if (!found) fail(404)
    const { resourceVersion } = body.metadata
    if (resourceVersion !== undefined && resourceVersion !== found.metadata.resourceVersion) fail(409)
    this.#set(key, body)
  }

  #set(key: string, body: Omit<Stored, 'metadata'> & { metadata: Omit<Stored['metadata'], 'resourceVersion'> }): void {
    this.#version += 1
    this.objects.set(key, { ...body, metadata: { ...body.metadata, resourceVersion: String(this.#version) } })
  }
}

function fail(code: number): never {
  throw Object.assign(new Error(`HTTP ${code}`), { code })
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
    const forbidden: CoreApi = Object.assign(new FakeApi(), { readNamespacedSecret: async () => fail(403), createNamespacedSecret: async () => fail(403) })
    const store = new KubeSecretStore(forbidden, object)
    await assert.rejects(store.read(), /HTTP 403/)
    await assert.rejects(store.write({}, undefined), /HTTP 403/)
  })

  it('lets replicas that start together agree on one authority', async () => {
    const api = new FakeApi()
    const clock = new SimulatedClock(Date.now())
    const open = (): Promise<Trust> => Trust.open({ store: new KubeSecretStore(api, object), authority: OWN_AUTHORITY, clock, logger: silentLogger, publish: (trust) => putConfigMap(api, { ...object, name: 'ca' }, { 'ca.crt': trust }) })
    const replicas = await Promise.all([open(), open(), open()])
    assert.equal(new Set(replicas.map(({ bundle }) => bundle)).size, 1)
    assert.deepEqual(api.objects.get('map/ca')?.data, { 'ca.crt': replicas[0]?.bundle })
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
    const secret = api.objects.get('secret/s')
    assert.deepEqual([secret?.data, secret?.type, secret?.metadata.labels], [{ 'tls.crt': Buffer.from('two').toString('base64') }, 'kubernetes.io/tls', { a: 'b' }])
    assert.deepEqual(api.objects.get('map/s')?.data, { 'ca.crt': 'two' })
  })
})
