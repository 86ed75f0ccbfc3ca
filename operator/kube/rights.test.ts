// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { rightOf, rulesOf, type Right } from './rights.ts'

describe('rightOf()', () => {
  const cases: readonly (readonly [method: 'GET' | 'POST' | 'PUT' | 'PATCH', path: string, right: Right | undefined])[] = [
    ['GET', '/api/v1/pods?limit=500', { group: '', resource: 'pods', verb: 'list', namespace: '', name: '' }],
    ['GET', '/apis/a.b/v1/things', { group: 'a.b', resource: 'things', verb: 'list', namespace: '', name: '' }],
    ['PATCH', '/apis/a.b/v1/namespaces/shop/things/x/status?force=true', { group: 'a.b', resource: 'things/status', verb: 'patch', namespace: '', name: '' }],
    ['PATCH', '/apis/a.b/v1/things/x/status', { group: 'a.b', resource: 'things/status', verb: 'patch', namespace: '', name: '' }],
    ['GET', '/apis/c.k/v1/namespaces/home/leases/merlon-operator', { group: 'c.k', resource: 'leases', verb: 'get', namespace: 'home', name: 'merlon-operator' }],
    ['GET', '/api/v1/namespaces/home/configmaps?fieldSelector=metadata.name%3Dkubearmor-config&limit=5', { group: '', resource: 'configmaps', verb: 'list', namespace: 'home', name: 'kubearmor-config' }],
    ['PATCH', '/api/v1/namespaces/home/configmaps/merlon-report-x', { group: '', resource: 'configmaps', verb: 'patch', namespace: 'home', name: '' }],
    ['POST', '/apis/c.k/v1/namespaces/home/leases', { group: 'c.k', resource: 'leases', verb: 'create', namespace: 'home', name: '' }],
    ['GET', '/api/v1/namespaces', { group: '', resource: 'namespaces', verb: 'list', namespace: '', name: '' }],
    ['GET', '/api/v1/namespaces/shop', { group: '', resource: 'namespaces', verb: 'get', namespace: '', name: '' }],
    ['GET', '/version', undefined],
  ]
  for (const [method, path, right] of cases) it(`reads ${method} ${path}`, () => assert.deepEqual(rightOf({ method, path }, 'home'), right))
})

describe('rulesOf()', () => {
  it('gathers what may be done with the same things, and keeps namespaces apart', () => {
    const right = (resource: string, verb: string, parts: Partial<Right> = {}): Right => ({ group: '', resource, verb, namespace: '', name: '', ...parts })
    const rights = [right('pods', 'watch'), right('nodes', 'list'), right('pods', 'list'), right('nodes', 'watch'), right('pods', 'list'), right('maps', 'get', { namespace: 'home', name: 'm' })]
    assert.deepEqual(rulesOf(rights, ''), [{ apiGroups: [''], resources: ['nodes', 'pods'], verbs: ['list', 'watch'] }])
    assert.deepEqual(rulesOf(rights, 'home'), [{ apiGroups: [''], resources: ['maps'], verbs: ['get'], resourceNames: ['m'] }])
  })
})
