// SPDX-License-Identifier: Apache-2.0
// Objects of the custom resources, made from their schemas: valid ones, and ones with a fault or an oddity somewhere. For comparing verdicts.
import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { kindOf, schemaOf, type Definition, type OpenApi } from '../../crds/definitions.ts'

export type Json = null | boolean | number | string | Json[] | { [name: string]: Json }

/** A stream of numbers that is the same for the same seed (mulberry32). */
export class Chance {
  #state: number

  constructor(seed: number) {
    this.#state = seed
  }

  /** Below 1. */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) | 0
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }

  below(limit: number): number {
    return Math.floor(this.next() * limit)
  }

  of<T>(list: readonly T[]): T {
    const chosen = list[this.below(list.length)]
    if (chosen === undefined) throw new Error('Nothing to choose from')
    return chosen
  }
}

/** Strings that some pattern of the resources is about, most of them at an edge of it. */
const STRINGS: readonly string[] = [
  '/bin/ls', '/', '//', '/a/', '/a//', 'a', '', ' ', '/a b', '/é', '/日本', '/a\n', '/a\nb', '/a/\n', '\n', '/\n', '/\r', '/a\rb/', '/\u2028x', '/a\u0000b', '/𝒳', '.', '..', 'ls', 'a/b',
  'tcp', 'TCP', 'Tcp', 'tcp,udp', 'tcp,', ',tcp', 'xtcp', 'tcp ', 'icmpv6', 'all', 'net_raw', 'cap_net_raw', 'CAP_NET_RAW', 'net_raw,bpf', 'bpf', 'syslog', 'nonsense',
  'Allow', 'allow', 'Audit', 'Block', 'BLOCK', 'Off', 'Enforce', 'In', 'NotIn', 'Exists', 'DoesNotExist', 'label', 'namespace', 'unlink', 'umount', 'openat2', 'no_such_call',
  '10GB', '10', 'GB', '1.5G', '10TB', '1h', 'true', 'null', '5', '2026-01-01T00:00:00Z', '2026-01-01', '2026-01-01T00:00:00', '2026-13-01T00:00:00Z', '2026-01-01t00:00:00.5+01:00', 'audit', 'pod', 'Policy', 'Always',
]
const ODD_VALUES: readonly Json[] = [null, true, false, 0, 1, -1, 10, 11, 1.5, 2.0, 1e3, 65_535, 65_536, 2 ** 31 - 1, 2 ** 31, -(2 ** 31), -(2 ** 31) - 1, 2 ** 53, [], [null], ['a'], [1], {}, { a: 'b' }, { a: null }]

/** A valid value of a schema, as far as its parts go; rules between fields may still refuse it. */
export function sample(schema: OpenApi, chance: Chance, depth = 0): Json {
  if (schema.enum !== undefined) return chance.of(schema.enum)
  if (schema.type === 'object') return sampleObject(schema, chance, depth)
  if (schema.type === 'array') return Array.from({ length: chance.below(3) }, () => sample(schema.items ?? {}, chance, depth + 1))
  if (schema.type === 'integer') return (schema.minimum ?? 0) + chance.below((schema.maximum ?? 100) - (schema.minimum ?? 0) + 1)
  if (schema.type === 'boolean') return schema.nullable === true && chance.below(3) === 0 ? null : chance.below(2) === 0
  return sampleString(schema, chance)
}

function sampleObject(schema: OpenApi, chance: Chance, depth: number): Json {
  const value: { [name: string]: Json } = {}
  if (schema.additionalProperties !== undefined) for (let left = chance.below(3); left > 0; left -= 1) value[chance.of(['app', 'a/b', 'x'])] = sample(schema.additionalProperties, chance, depth + 1)
  for (const [name, each] of Object.entries(schema.properties ?? {})) {
    if (schema.required?.includes(name) === true || chance.below(depth < 2 ? 2 : 3) === 0) value[name] = sample(each, chance, depth + 1)
  }
  return value
}

function sampleString(schema: OpenApi, chance: Chance): string {
  if (schema.format === 'date-time') return '2026-01-01T00:00:00Z'
  if (schema.pattern === undefined) return chance.of(STRINGS) || 'x'
  const pattern = new RegExp(schema.pattern, 'u')
  return chance.of(STRINGS.filter((each) => pattern.test(each) && !each.includes('\n') && each !== ''))
}

/** A whole object that is probably valid. */
export function sampleResource(definition: Definition, chance: Chance): { [name: string]: Json } {
  const { spec, status } = schemaOf(definition).properties ?? {}
  const resource: { [name: string]: Json } = {
    apiVersion: `${definition.spec.group}/${definition.spec.versions[0].name}`,
    kind: kindOf(definition),
    metadata: { name: 'sample', ...(chance.below(4) === 0 ? { labels: { a: 'b' }, annotations: { 'merlon.io/mode': 'Audit' } } : {}) },
    spec: sample(spec ?? {}, chance),
  }
  if (chance.below(4) === 0) resource['status'] = sample(status ?? {}, chance)
  return resource
}

const NAMES: readonly string[] = [
  'a.b', 'a..b', '-a', 'a-', 'A', 'a_b', '1', '', 'x.', '.x', 'a/b', 'a/b/c', '/b', 'a/', 'a.b/c_d.E', 'A.b/c', 'a-/b', 'é', 'x'.repeat(63), 'x'.repeat(64), 'x'.repeat(253), 'x'.repeat(254),
  `${'x'.repeat(253)}/y`, `${'x'.repeat(254)}/y`, `y/${'x'.repeat(64)}`, 'kubearmor-policy', 'a b', 'a\n',
]

/** Metadata with names that are at the edge of what Kubernetes takes. */
export function oddMetadata(chance: Chance): Json {
  const pairs = (): Json => ({ [chance.of(NAMES)]: chance.of(NAMES), ...(chance.below(5) === 0 ? { odd: chance.of(ODD_VALUES) } : {}) })
  return {
    ...(chance.below(4) === 0 ? { generateName: chance.of(NAMES) } : { name: chance.of(chance.below(2) === 0 ? NAMES : ['good']) }),
    ...(chance.below(2) === 0 ? { labels: pairs() } : {}),
    ...(chance.below(2) === 0 ? { annotations: pairs() } : {}),
    ...(chance.below(5) === 0 ? { [chance.of(['uid', 'finalizers', 'generation', 'selfLink', 'creationTimestamp', 'unknown', 'ownerReferences'])]: chance.of([...ODD_VALUES, ...STRINGS]) } : {}),
  }
}

/** A place within a document. */
interface Place {
  readonly holder: Json[] | { [name: string]: Json }
  readonly key: string
}

function places(value: Json, found: Place[] = []): Place[] {
  if (typeof value !== 'object' || value === null) return found
  for (const key of Object.keys(value)) {
    found.push({ holder: value, key })
    places((value as { [name: string]: Json })[key] ?? null, found)
  }
  return found
}

/** Changes a document in one place, in one of the ways in which people and programs get them wrong. */
export function mutate(document: { [name: string]: Json }, chance: Chance): void {
  const { holder, key } = chance.of(places(document).filter(({ holder: within, key: name }) => within !== document || !['apiVersion', 'kind'].includes(name)))
  const within = holder as { [name: string]: Json }
  const ways: readonly (() => void)[] = [
    () => (within[key] = chance.of(ODD_VALUES)),
    () => (within[key] = chance.of(STRINGS)),
    () => (within[key] = chance.of(STRINGS)),
    () => (within[key] = [within[key] ?? null]),
    () => (within[key] = ''),
    () => (within[key] = 'x'.repeat(chance.of([63, 64, 65, 253, 254, 1024, 1025, 4096, 4097]))),
    () => (within[key] = '𝒳'.repeat(chance.of([1024, 1025, 2048, 4096, 4097]))),
    () => { if (Array.isArray(holder)) holder.splice(Number(key), 1); else delete within[key] },
    () => { if (!Array.isArray(holder)) { within[chance.of([`${key}s`, key.toUpperCase(), 'unknown'])] = within[key] ?? null; delete within[key] } else holder.push(holder[0] ?? null) },
    () => { if (!Array.isArray(holder)) within[chance.of(['unknown', 'recurive', 'action', 'mode', 'path'])] = chance.of(ODD_VALUES); else holder.push(null) },
  ]
  chance.of(ways)()
}

export interface RandomObject {
  readonly definition: Definition
  readonly object: { readonly [name: string]: Json }
}

/** The same objects every time, most of them with faults: in the spec, the status or the metadata. */
export function randomObjects(definitions: readonly Definition[], count: number): readonly RandomObject[] {
  const chance = new Chance(20_260_101)
  return Array.from({ length: count }, (_, index) => {
    const definition = chance.of(definitions)
    const object = sampleResource(definition, chance)
    if (index % 4 === 0) object['metadata'] = oddMetadata(chance)
    else for (let faults = chance.below(4); faults > 0; faults -= 1) mutate(object, chance)
    return { definition, object }
  })
}

/** What is said to an object: with strict field validation, and without. */
export interface Verdict {
  readonly strict: boolean
  readonly lenient: boolean
}

/** The verdicts of a real API server on the first of these objects. */
export const RECORD = join(import.meta.dirname, '../corpus/verdicts.txt')

/** One letter for each object: accepted, refused where the server is strict, or refused. Before them, a digest of the objects. */
export function recordOf(objects: readonly unknown[], verdicts: readonly (Verdict | undefined)[]): string {
  const letters = verdicts.map((verdict) => (verdict === undefined ? '?' : verdict.strict ? 'a' : verdict.lenient ? 's' : 'r')).join('')
  const digest = createHash('sha256').update(JSON.stringify(objects)).digest('hex')
  return `# SPDX-License-Identifier: Apache-2.0\n# kube-apiserver on the objects of test/support/documents.ts; UPDATE=1 in test/cluster/validator.test.ts writes it.\n${digest}\n${letters.replaceAll(/.{100}/g, '$&\n').trimEnd()}\n`
}
