// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { evaluate } from '@marcbachmann/cel-js'
import type { Check, Value } from '../policy/cel.ts'
import { CRD_SCHEMAS } from '../policy/crd-schemas.ts'
import { WORDS } from '../policy/formats.ts'
import type { Schema } from '../policy/schema.ts'
import { SYSCALL_NUMBERS } from '../policy/syscalls.ts'
import { translate } from './cel.ts'
import { kindOf, readDefinitions, schemaOf, type OpenApi } from './definitions.ts'
import { generate } from './generate.ts'
import { javascript } from './schemas.ts'

const DEFINITIONS = readDefinitions()

/** Every schema within one, by its path. */
function* within(schema: OpenApi, path: string): Generator<readonly [path: string, schema: OpenApi]> {
  yield [path, schema]
  for (const [name, each] of Object.entries(schema.properties ?? {})) yield* within(each, `${path}.${name}`)
  if (schema.items !== undefined) yield* within(schema.items, `${path}[]`)
  if (schema.additionalProperties !== undefined) yield* within(schema.additionalProperties, `${path}{}`)
}

const SCHEMAS = DEFINITIONS.flatMap((definition) => {
  const { spec = {}, status = {} } = schemaOf(definition).properties ?? {}
  return [...within(spec, `${kindOf(definition)}.spec`), ...within(status, `${kindOf(definition)}.status`)]
})

test('what is generated is what the definitions say (make generated)', () => {
  for (const [path, text] of generate()) assert.equal(readFileSync(join(import.meta.dirname, '..', path), 'utf8'), text, path)
})

test('the five kinds, their names and their short names are KubeArmor’s', () => {
  const facts = DEFINITIONS.map(({ spec, metadata }) => [spec.group, spec.names.kind, metadata.name.split('.')[0], spec.names.shortNames[0], spec.scope, spec.versions.map(({ name }) => name)])
  assert.deepEqual(facts, [
    ['security.kubearmor.com', 'KubeArmorClusterPolicy', 'kubearmorclusterpolicies', 'csp', 'Cluster', ['v1']],
    ['operator.kubearmor.com', 'KubeArmorConfig', 'kubearmorconfigs', 'kac', 'Namespaced', ['v1']],
    ['security.kubearmor.com', 'KubeArmorHostPolicy', 'kubearmorhostpolicies', 'hsp', 'Cluster', ['v1']],
    ['security.kubearmor.com', 'KubeArmorNetworkPolicy', 'kubearmornetworkpolicies', 'nsp', 'Cluster', ['v1']],
    ['security.kubearmor.com', 'KubeArmorPolicy', 'kubearmorpolicies', 'ksp', 'Namespaced', ['v1']],
  ])
  for (const { spec } of DEFINITIONS) assert.ok(spec.names.categories.includes('merlon') && spec.names.shortNames.every((name) => name.length <= 5), spec.names.kind)
})

test('every list, every string and every mapping has a bound', () => {
  const unbounded = SCHEMAS.filter(([, schema]) => {
    if (schema.type === 'array') return schema.maxItems === undefined
    if (schema.additionalProperties !== undefined) return schema.maxProperties === undefined
    return schema.type === 'string' && schema.maxLength === undefined && schema.enum === undefined && schema.format !== 'date-time'
  })
  assert.deepEqual(unbounded.map(([path]) => path), [])
})

test('policies have one status, with KubeArmor’s word in it', () => {
  const statuses = DEFINITIONS.filter((each) => kindOf(each) !== 'KubeArmorConfig').map((each) => schemaOf(each).properties?.['status'])
  for (const status of statuses) assert.deepEqual(status, statuses[0])
  const fields = Object.keys(statuses[0]?.properties ?? {})
  for (const name of ['status', 'observedGeneration', 'conditions', 'pods', 'nodes', 'rules', 'unsupported', 'shadowed', 'failures']) assert.ok(fields.includes(name), name)
})

test('KubeArmor’s printer columns are still there', () => {
  for (const definition of DEFINITIONS.filter((each) => kindOf(each) !== 'KubeArmorConfig')) {
    const names = definition.spec.versions[0].additionalPrinterColumns.map(({ name }) => name)
    for (const name of ['Action', 'Selector', 'Age']) assert.ok(names.includes(name), `${kindOf(definition)} ${name}`)
  }
})

test('every pattern of a spec has words, and every word a pattern', () => {
  const patterns = new Set(SCHEMAS.flatMap(([path, { pattern }]) => (pattern === undefined || path.includes('.status') ? [] : [pattern])))
  assert.deepEqual([...patterns].sort(), Object.keys(WORDS).sort())
})

test('every system call that the schema allows has a number', () => {
  const names = new Set(SCHEMAS.flatMap(([path, schema]) => (path.endsWith('.syscall[]') ? (schema.enum ?? []) : [])))
  assert.ok(names.size >= 335)
  // i386 has it, x86-64 has umount2: object-rules.ts.
  names.delete('umount')
  assert.deepEqual([...names].filter((name) => typeof name !== 'string' || !SYSCALL_NUMBERS.has(name)), [])
})

/** What a record of these fields may hold: mostly what the rules are about. */
function records(): readonly { readonly [name: string]: Value }[] {
  const operators = [undefined, 'In', 'NotIn', 'Exists', 'DoesNotExist', 'x']
  const keys = [undefined, 'label', 'namespace', '']
  const lists = [undefined, [], ['a'], ['a', 'b=c']]
  return operators.flatMap((operator) => keys.flatMap((key) => lists.map((values) => Object.fromEntries(Object.entries({ operator, key, values }).filter((entry): entry is [string, string | string[]] => entry[1] !== undefined)))))
}

/** What became of the rules, by their messages. */
function checksOf(schema: Schema, found = new Map<string, Check>()): ReadonlyMap<string, Check> {
  if (schema.type === 'dropped') return checksOf(schema.content, found)
  if (schema.type !== 'object' && schema.type !== 'map' && schema.type !== 'list') return found
  for (const check of schema.checks ?? []) found.set(check.message, check)
  const inner = schema.type === 'object' ? Object.values(schema.fields) : [schema.type === 'map' ? schema.values : schema.items]
  for (const each of inner) checksOf(each, found)
  return found
}

test('rules mean to us what they mean to an implementation of CEL', () => {
  const rules = new Map(SCHEMAS.flatMap(([, schema]) => (schema['x-kubernetes-validations'] ?? []).map(({ rule, message }) => [message, rule] as const)))
  assert.ok(rules.size >= 2)
  const checks = new Map(Object.values(CRD_SCHEMAS).flatMap((schema) => [...checksOf(schema)]))
  assert.deepEqual([...checks.keys()].sort(), [...rules.keys()].sort())
  for (const [message, rule] of rules) {
    const verdicts = records().map((self) => {
      const ours = checks.get(message)?.holds(self)
      assert.equal(ours, evaluate(rule, { self }), `${rule} ${JSON.stringify(self)}`)
      return ours
    })
    assert.equal(new Set(verdicts).size, 2, `${rule} says one thing only`)
  }
})

test('what cannot be translated from CEL is refused', () => {
  assert.equal(translate("size(self.a) >= 1 && !(self.b != 'x\\'y')"), "((size(get(self, 'a')) >= 1) && !(get(self, 'b') !== 'x\\'y'))")
  for (const rule of ['self.a + 1 == 2', 'self.all(x, x > 1)', "self.a.startsWith('b')", 'has(self.a) ? true : false']) assert.throws(() => translate(rule), /cannot translate/, rule)
})

test('patterns mean in JavaScript what they mean in RE2', () => {
  const matches = (pattern: string, text: string): boolean => new RegExp(javascript(pattern), 'u').test(text)
  // RE2's dot is all but a line feed; JavaScript's leaves out three more.
  for (const separator of ['\r', '\u2028', '\u2029']) assert.ok(matches('^a.b$', `a${separator}b`))
  assert.ok(!matches('^a.b$', 'a\nb') && matches('^a[.]b$', 'a.b') && !matches('^a[.]b$', 'axb') && matches('^a/b\\/c$', 'a/b/c') && matches('^.$', '𝒳'))
  for (const pattern of ['\\bx', '\\d', '\\pL', '\\Qx']) assert.throws(() => javascript(pattern), /not known to mean the same/, pattern)
})
