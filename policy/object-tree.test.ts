// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { parse } from 'yaml'
import { makePlan } from './plan.ts'
import { readManifests, readObject } from './read.ts'
import type { Policy } from './types.ts'

const YAML = `
apiVersion: security.kubearmor.com/v1
kind: KubeArmorPolicy
metadata: {name: p, namespace: shop}
spec:
  severity: 3
  selector: {matchLabels: {app: web}}
  process: {matchPaths: [{path: /bin/ls}, {path: /bin/cat, action: Audit, tags: [a, b]}]}
  file: {matchDirectories: [{dir: /etc/, recursive: true, readOnly: true, fromSource: [{path: /bin/sh}]}]}
  action: Block
`
const object = (): { spec: { process: { matchPaths: Record<string, unknown>[] } } } => parse(YAML) as ReturnType<typeof object>
const withoutPositions = (policy: Policy | undefined): unknown => JSON.parse(JSON.stringify(policy, (key, value: unknown) => (key === 'position' ? undefined : value)))

describe('readObject()', () => {
  it('reads what the same object as text says', () => {
    const [fromText, fromObject] = [readManifests(YAML, 'f.yaml').policies[0], readObject(object(), 'x').policies[0]]
    assert.deepEqual(withoutPositions(fromObject), withoutPositions(fromText))
    const workload = { host: false, namespace: 'shop', pod: '', container: '', labels: { app: 'web' } }
    const verdicts = [fromText, fromObject].map((policy) => makePlan([policy!], workload, { filePosture: 'audit' }).clauses.map(({ verdict, match }) => [verdict, match]))
    assert.deepEqual(verdicts[0], verdicts[1])
  })

  it('names the field where something is wrong', () => {
    const wrong = object()
    wrong.spec.process.matchPaths[1] = { path: 'relative' }
    const { refused, policies } = readObject(wrong, 'KubeArmorPolicy/shop/p')
    assert.deepEqual(policies, [])
    assert.deepEqual(refused[0]?.findings.map(({ position, text }) => [position.file, position.line, text]), [['KubeArmorPolicy/shop/p spec.process.matchPaths[1].path', 0, 'relative']])
  })

  it('gives each rule its place', () => {
    assert.equal(readObject(object(), 'n').policies[0]?.rules[1]?.position.file, 'n spec.process.matchPaths[1]')
  })

  it('never throws', () => {
    for (const value of [undefined, null, 1, 'x', [], {}, { kind: 'KubeArmorPolicy' }, { kind: 1, apiVersion: [] }, { kind: 'KubeArmorPolicy', apiVersion: 'security.kubearmor.com/v1', spec: { process: null } }]) {
      const { policies, findings } = readObject(value, 'n')
      assert.deepEqual([policies.length, findings.length > 0], [0, true])
    }
  })
})
