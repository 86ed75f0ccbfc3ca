// SPDX-License-Identifier: Apache-2.0
// Ways to bend a manifest: as a slip of the hand, as a merge gone wrong, and as somebody who looks for a hole would.
import fc from 'fast-check'

/** Texts that YAML, paths, patterns or names take for something. */
const PIECES = [
  '{', '}', '[', ']', ':', ': ', ',', '- ', '-', '\n', '\r\n', '\t', '  ', '#', ' #', '&a ', '*a', '<<: *rule', '<<: [*rule, *paths]', '!!int ', '!!binary ', '!x ', '"', "'", '|\n', '>-\n', '---\n', '...\n',
  '\0', '\u{1f600}', '\ud800', '\u2028', '\ufeff', '%YAML 9\n', '? ', '@', '`', '~', '\\', '/', '//', '**', '/**/', '[!', '{a,', '..', '\u0085', '\x1b[2J',
] as const

/** Values in place of one that is there. */
const VALUES = [
  'null', '~', '', '[]', '{}', '""', "' '", 'yes', 'No', 'on', '010', '0x1F', '0b1', '1_000', '1e3', '.inf', '.nan', '-1', '0', '11', '1.5', '9223372036854775808', '1:30', '2001-01-01', '[[]]', '[null]', '[{}]', '{a: b}',
  '!!str 5', '!!binary aGk=', '!!set {a}', '*rule', '*missing', '&b c', '"\\0"', '"\\ud800"', '"\\n"', '"a\\tb"', 'block', 'BLOCK', 'Allow', 'Audit', 'Deny', 'KubeArmorPolicy', 'KubeArmorHostPolicy', 'v1', 'kube-system',
  '/', '//', '/.', '/..', '/a/../..', 'a', './a', '/a/', '/a//b', '/tmp/**', '"*"', '"**"', '"/*"', '"[a"', '"/[z-a]"', '"/[]a]"', '"/{a"', '"/{a,}"', '"/a}"', '"/a\\\\"', '"/[!/]"', '"/**/**/**/x"', '"/a*a*a*a*b"', '"/{{{a}}}"',
] as const

const LONG = ['a'.repeat(5000), `/${'b/'.repeat(3000)}`, `"/${'*'.repeat(4095)}"`, `"/${'{'.repeat(40)}${'}'.repeat(40)}"`, `"/${'{a,b}'.repeat(700)}"`, `"/${'?*'.repeat(200)}x"`, `[${'a, '.repeat(3000)}]`, '9'.repeat(400)] as const

export interface Mutation {
  readonly kind: 'insert' | 'remove' | 'double' | 'value' | 'key' | 'line' | 'indent' | 'swap' | 'splice'
  readonly at: number
  readonly size: number
  readonly text: string
}

const text = fc.oneof({ weight: 8, arbitrary: fc.constantFrom(...PIECES, ...VALUES) }, { weight: 1, arbitrary: fc.constantFrom(...LONG) }, { weight: 2, arbitrary: fc.string({ unit: 'binary', maxLength: 4 }) })

const mutation: fc.Arbitrary<Mutation> = fc.record({
  kind: fc.constantFrom<Mutation['kind'][]>('insert', 'remove', 'double', 'value', 'value', 'value', 'value', 'value', 'value', 'key', 'key', 'line', 'line', 'line', 'indent', 'swap', 'splice'),
  at: fc.nat(1 << 20),
  size: fc.nat(40),
  text,
})

/** One to three mutations of one of the seeds. */
export function mutated(seeds: readonly string[]): fc.Arbitrary<string> {
  return fc.tuple(fc.nat(seeds.length - 1), fc.array(mutation, { minLength: 1, maxLength: 3 })).map(([seed, list]) => list.reduce((content, each) => mutate(content, each, seeds), seeds[seed]!))
}

function mutate(content: string, change: Mutation, seeds: readonly string[]): string {
  const at = change.at % (content.length + 1)
  switch (change.kind) {
    case 'insert':
      return content.slice(0, at) + change.text + content.slice(at)
    case 'remove':
      return content.slice(0, at) + content.slice(at + change.size)
    case 'double':
      return content.slice(0, at) + content.slice(at, at + change.size * 8).repeat(2) + content.slice(at + change.size * 8)
    case 'value':
      return replaceOne(content, /(?<=[:,[-] ?)[^\s:,{}[\]][^\n,{}[\]]*/g, change)
    case 'key':
      return replaceOne(content, /[A-Za-z]+(?=:)/g, { ...change, text: nearMiss(change, seeds) })
    case 'line':
    case 'indent':
    case 'swap':
    case 'splice':
      return mutateLines(content, change, seeds)
  }
}

function replaceOne(content: string, what: RegExp, { at, text: replacement }: Mutation): string {
  const found = [...content.matchAll(what)]
  const one = found[at % Math.max(1, found.length)]
  return one === undefined ? content : content.slice(0, one.index) + replacement + content.slice(one.index + one[0].length)
}

/** Some other key, or one with a letter too many. */
function nearMiss({ at, size }: Mutation, seeds: readonly string[]): string {
  const keys = [...new Set(seeds.slice(0, 9).join('\n').match(/[A-Za-z]+(?=:)/g))]
  const key = keys[at % keys.length] ?? 'x'
  return size % 2 === 0 ? key : key.slice(0, size % key.length) + key.slice((size % key.length) - 1)
}

function mutateLines(content: string, { kind, at, size, text: piece }: Mutation, seeds: readonly string[]): string {
  const lines = content.split('\n')
  const index = at % lines.length
  const line = lines[index]!
  if (kind === 'line') lines.splice(index, 0, line)
  else if (kind === 'indent') lines[index] = size % 2 === 0 ? `${' '.repeat(size % 5)}${line}` : line.replace(/^ {1,3}/, '')
  else if (kind === 'swap') [lines[index], lines[(index + size) % lines.length]] = [lines[(index + size) % lines.length]!, line]
  else {
    const other = seeds[size % seeds.length]!.split('\n')
    lines.splice(index, size % 4, ...other.slice(at % other.length, (at % other.length) + (size % 9)), ...(piece.length === 1 ? [piece] : []))
  }
  return lines.join('\n')
}
