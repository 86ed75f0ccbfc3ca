// SPDX-License-Identifier: Apache-2.0
// The offline validator and a real API server that has the resources of crds/ give the same verdicts, document by document: with strict field
// validation, as kubectl asks for, and without.
import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { kindOf, readDefinitions, type Definition } from '../../crds/definitions.ts'
import { admit, isCustomKind } from '../../policy/admission.ts'
import { parseDocuments, type Node, type Source } from '../../policy/document.ts'
import { Notes } from '../../policy/notes.ts'
import { field, text } from '../../policy/tree.ts'
import { valueOf } from '../../policy/cel.ts'
import type { Finding } from '../../policy/types.ts'
import { KubeError, sharedCluster, type KubeObject, type SharedCluster } from '../support/cluster.ts'
import { corpus } from '../support/corpus.ts'
import { randomObjects, RECORD, recordOf, type Verdict } from '../support/documents.ts'

const DEFINITIONS = readDefinitions()
const LANES = 4
const MUTATED = Number(process.env['MERLON_TEST_DOCUMENTS'] ?? 500)

let cluster: SharedCluster

before(async () => {
  cluster = await sharedCluster()
  for (const definition of DEFINITIONS) await cluster.client.apply(`/apis/apiextensions.k8s.io/v1/customresourcedefinitions/${definition.metadata.name}`, { ...definition })
  await Promise.all(DEFINITIONS.map(served))
})
after(() => cluster.stop())

/** The server begins to serve a resource some time after it has taken its definition. */
async function served(definition: Definition): Promise<void> {
  const path = `/apis/${definition.spec.group}/v1/${definition.spec.names.plural}`
  const until = Date.now() + 600_000
  for (;;) {
    if ((await cluster.client.find(path)) !== undefined) return
    assert.ok(Date.now() < until, `${path} is not served`)
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
}

/** What the server says to a creation that it does not carry out. */
async function ask(object: KubeObject, definition: Definition): Promise<Verdict & { readonly words: string }> {
  const namespace = definition.spec.scope === 'Namespaced' ? `/namespaces/${object.metadata?.namespace ?? 'default'}` : ''
  const path = `/apis/${definition.spec.group}/v1${namespace}/${definition.spec.names.plural}?dryRun=All&fieldValidation=`
  const words: string[] = []
  const accepts = async (mode: string): Promise<boolean> => {
    try {
      await cluster.client.create(path + mode, object)
      return true
    } catch (error) {
      if (!(error instanceof KubeError) || ![400, 422].includes(error.code)) throw error
      words.push(error.message)
      return false
    }
  }
  return { strict: await accepts('Strict'), lenient: await accepts('Ignore'), words: words.join(' | ').slice(0, 800) }
}

function judge(root: Node, source: Source): Verdict & { readonly errors: readonly Finding[] } {
  const notes = new Notes(source)
  const [kind, version] = [text(root, 'kind') ?? '', text(root, 'apiVersion') ?? '']
  if (isCustomKind(kind, version)) admit(root, kind, version, notes)
  const errors = notes.findings.filter(({ severity }) => severity === 'error')
  return { strict: errors.length === 0, lenient: errors.every(({ code }) => code === 'MERLON_POLICY_UNKNOWN_FIELD'), errors }
}

interface Case {
  readonly name: string
  readonly object: KubeObject
  readonly definition: Definition
  readonly root: Node
  readonly source: Source
}

/** Descriptions of the cases in which the two differ, and how many were accepted. */
async function compare(cases: readonly Case[]): Promise<{ readonly differences: readonly string[]; readonly accepted: number; readonly verdicts: ReadonlyMap<string, Verdict> }> {
  const verdicts = new Map<string, Verdict>()
  const waiting = [...cases]
  const differences: string[] = []
  let accepted = 0
  const lane = async (): Promise<void> => {
    for (let each = waiting.shift(); each !== undefined; each = waiting.shift()) {
      const [server, ours] = [await ask(each.object, each.definition), judge(each.root, each.source)]
      verdicts.set(each.name, server)
      if (server.strict) accepted += 1
      if (server.strict === ours.strict && server.lenient === ours.lenient) continue
      const said = ours.errors.map(({ code, message }) => `${code} ${message}`).join('; ')
      differences.push(`${each.name}: server ${server.strict}/${server.lenient} (${server.words}), we ${ours.strict}/${ours.lenient} (${said}): ${JSON.stringify(each.object).slice(0, 400)}`)
    }
  }
  await Promise.all(Array.from({ length: LANES }, lane))
  return { differences, accepted, verdicts }
}

function caseOf(name: string, object: KubeObject, definition: Definition): Case {
  const { source, roots } = parseDocuments(JSON.stringify(object), name)
  const [root] = roots
  assert.ok(root !== undefined, name)
  return { name, object, definition, root, source }
}

test('objects made at random, most of them with faults', async () => {
  const cases = randomObjects(DEFINITIONS, MUTATED).map(({ object, definition }, index) => caseOf(`random ${index}`, object, definition))
  const { differences, accepted, verdicts } = await compare(cases)
  assert.deepEqual(differences, [])
  // For those who have no API server: policy/admission.test.ts.
  if (process.env['UPDATE'] === '1') writeFileSync(RECORD, recordOf(cases.map(({ object }) => object), cases.map(({ name }) => verdicts.get(name))))
  assert.ok(accepted > MUTATED / 10 && accepted < MUTATED, `${accepted} of ${MUTATED} accepted: the objects say nothing`)
})

test('a policy of 10,000 rules is accepted, one of 20,001 in one list is not', async () => {
  const definition = DEFINITIONS.find((each) => kindOf(each) === 'KubeArmorPolicy')
  assert.ok(definition !== undefined)
  const policy = (rules: number): Case =>
    caseOf(`${rules} rules`, { apiVersion: 'security.kubearmor.com/v1', kind: 'KubeArmorPolicy', metadata: { name: 'large' }, spec: { file: { matchPaths: Array.from({ length: rules }, (_, index) => ({ path: `/srv/${index}` })) } } }, definition)
  const cases = [policy(10_000), policy(20_001)]
  assert.deepEqual((await compare(cases)).differences, [])
  assert.deepEqual(cases.map(({ root, source }) => judge(root, source).strict), [true, false])
})

test('rules between fields (CEL)', async () => {
  const definition = DEFINITIONS.find((each) => kindOf(each) === 'KubeArmorClusterPolicy')
  assert.ok(definition !== undefined)
  const expressions: readonly (readonly [expression: object, valid: boolean])[] = [
    [{ key: 'label', operator: 'In', values: ['a=b'] }, true],
    [{ key: 'label', operator: 'Exists', values: ['a'] }, true],
    [{ key: 'label', operator: 'DoesNotExist', values: [] }, false],
    [{ key: 'label', operator: 'Exists' }, false],
    [{ key: 'namespace', operator: 'Exists', values: ['a'] }, false],
    [{ operator: 'Exists', values: ['a'] }, false],
    [{ operator: null, key: 'namespace' }, true],
    [{}, true],
  ]
  const cases = expressions.map(([expression], index) =>
    caseOf(`expression ${index}`, { apiVersion: 'security.kubearmor.com/v1', kind: 'KubeArmorClusterPolicy', metadata: { name: 'x' }, spec: { selector: { matchExpressions: [expression] } } }, definition),
  )
  assert.deepEqual((await compare(cases)).differences, [])
  assert.deepEqual(cases.map(({ root, source }) => judge(root, source).strict), expressions.map(([, valid]) => valid))
})

test('a status is dropped when an object is created, and kept by the status subresource', async () => {
  const path = '/apis/security.kubearmor.com/v1/namespaces/default/kubearmorpolicies'
  const condition = { type: 'Ready', status: 'True', lastTransitionTime: '2026-01-01T00:00:00Z', reason: 'InForce', message: '' }
  const object = { apiVersion: 'security.kubearmor.com/v1', kind: 'KubeArmorPolicy', metadata: { name: 'validator-status' }, spec: { file: { matchPaths: [{ path: '/x' }] } } }
  const created = await cluster.client.create(path, { ...object, status: { status: 'made up' } })
  try {
    assert.equal(created['status'], undefined)
    const status = { status: 'Active', observedGeneration: 1, conditions: [condition], selected: '1 pod', applied: '1/1', pods: { selected: 1, programmed: 1 }, rules: { total: 1, inForce: 1 }, failures: [{ node: 'n', code: 'X', message: 'm' }] }
    const stored = await cluster.client.patch(`${path}/validator-status/status`, { status })
    assert.deepEqual(stored['status'], status)
    await assert.rejects(cluster.client.patch(`${path}/validator-status/status`, { status: { conditions: [condition, condition] } }), (error: KubeError) => error.code === 422)
  } finally {
    await cluster.client.delete(`${path}/validator-status`)
  }
})

test('`kubectl get` shows what is in force', async () => {
  for (const definition of DEFINITIONS.filter((each) => kindOf(each) !== 'KubeArmorConfig')) {
    const columns = definition.spec.versions[0].additionalPrinterColumns.filter(({ priority = 0 }) => priority === 0).map(({ name }) => name)
    assert.deepEqual(columns, ['Action', 'Selected', 'Applied', 'Ready', 'Age'])
    const stored = await cluster.client.get(`/apis/apiextensions.k8s.io/v1/customresourcedefinitions/${definition.metadata.name}`)
    const conditions = (stored['status'] as { readonly conditions: readonly { readonly type: string; readonly status: string; readonly message: string }[] }).conditions
    assert.deepEqual(conditions.filter(({ type, status }) => type === 'NonStructuralSchema' && status === 'True'), [])
  }
})

const others = corpus()
test('the policies that others wrote', { skip: others.ok ? false : others.why }, async () => {
  assert.ok(others.ok)
  const byKind = new Map(DEFINITIONS.map((definition) => [kindOf(definition), definition]))
  const namespaces = new Set<string>()
  const cases: Case[] = []
  for (const { file, document, verdict, lenient } of others.expected) {
    const { source, roots } = parseDocuments(readFileSync(join(others.directory, file), 'utf8'), file)
    const root = roots[document]
    const definition = root === undefined ? undefined : byKind.get(text(root, 'kind') ?? '')
    if (root === undefined || definition === undefined) continue
    const object = valueOf(root) as KubeObject
    namespaces.add(text(field(root, 'metadata'), 'namespace') ?? 'default')
    cases.push({ name: file, object, definition, root, source })
    const ours = judge(root, source)
    assert.deepEqual([ours.strict, ours.lenient], [verdict === 'accept', lenient === 'accept'], file)
  }
  assert.ok(cases.length > 300)
  for (const name of namespaces) await cluster.client.apply(`/api/v1/namespaces/${name}`, { apiVersion: 'v1', kind: 'Namespace', metadata: { name } })
  assert.deepEqual((await compare(cases)).differences, [])
})
