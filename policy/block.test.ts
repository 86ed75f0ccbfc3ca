// SPDX-License-Identifier: Apache-2.0
// What the quick reader reads is what the complete one reads: same values, same spans, and nothing that the complete one complains of.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { composeDocuments, parseDocuments } from './document.ts'
import { makeSource } from './source.ts'

/** True where the quick reader read it. */
function compare(text: string): boolean {
  const quick = parseDocuments(text, 'x.yaml')
  const complete = composeDocuments(text, makeSource(text, 'x.yaml'))
  assert.deepEqual({ roots: quick.roots, findings: quick.findings }, { roots: complete.roots, findings: complete.findings }, JSON.stringify(text))
  return quick.quick
}

/** Scalars as people and enemies write them. */
const SCALARS = [
  'a', 'web', '/usr/bin/ls', '/a b/c', 'a:b', 'a#b', 'http://x', '-x', '-1', '1', '010', '0x1f', '1_000', '1e3', '.5', '-.inf', '.nan', '1.0', '9007199254740993', '18446744073709551616',
  'true', 'yes', 'No', 'off', 'y', 'N', 'null', '~', 'NULL', 'Null', 'nullx', 'trues', 'on1', '2001-01-01', '1:30', '+1', '0b11', '0o7', '<<', '=', '- x', '-', '--', '---', '...', '..', '.', '?', '? x', ':x', ': x',
  "'it''s'", "'a: b'", '"a # b"', '"a\\nb"', '"\\x"', '"\\u00e9"', "''", '""', '"x" # c', "'x'#c", '"a"b', 'a # c', 'a #', 'a  ', 'é', 'ü: x', '日本', '\u{1f600}', '\u00a0x', 'x\u2028y', '*.txt', '&a x', '*a', '!x y', '%x', '@x', '`x', '|', '>-', 'a: b', 'a:', 'a :b', 'a : b',
  '[]', '{}', '[a, b]', '["a","b" ,c]', '[a, ]', '[a, [b, {c: d}]]', '{a: b, "c":d, e: f}', '{a}', '{a: }', '[a: b]', '[a] # c', '[a]#c', '[a]b', '[-1, 1, true]', '[a b, c d]', '[a:b]', '[a #b]', '{a: 1, a: 2}', '[', '[a', '{a: [}', ']', ',a', 'a, b', 'a]', "[ 'x' ]", '{ }', '[ ]', '[~]', '[a\u00a0]',
]
const KEYS = ['a', 'b', 'path', 'c d', '"q"', "'s'", '1', 'yes', 'null', '~', 'k:l', '-k', '/x', 'é', '<<', '?', 'a ', '', '[a]', '"a" ', 'x#y', '#']
/** What both readers take: without enough of it the quick reader would always give up. */
const PLAIN = ['a', '/usr/bin/ls', '5', 'true', 'yes', '~', '1.5', "'it''s'", '"a # b"', '[a, b]', '{a: b, c: 1}', '']
const SPACE = fc.constantFrom('', '', '', '', ' ', '  ', ' # c', '\n', '\n# c', '\n   # c', '\n\n', ' #')

interface Style {
  readonly pad: number
  readonly after: string
  readonly gap: string
}
const style = fc.record({ pad: fc.constantFrom(0, 1, 2, 2, 2, 4), after: SPACE, gap: fc.constantFrom(' ', ' ', ' ', '  ', '\n') })

const key = fc.oneof({ weight: 12, arbitrary: fc.nat(99).map((n) => `k${n}`) }, { weight: 1, arbitrary: fc.constantFrom(...KEYS) })

type Tree = string | { readonly list: boolean; readonly style: Style; readonly items: readonly (readonly [key: string, value: Tree])[] }

const { tree } = fc.letrec<{ tree: Tree; inner: Tree }>((tie) => ({
  tree: fc.record({ list: fc.boolean(), style, items: fc.array(fc.tuple(key, tie('inner')), { minLength: 1, maxLength: 4 }) }),
  inner: fc.oneof({ depthSize: 'small', withCrossShrink: true }, { weight: 8, arbitrary: fc.constantFrom(...PLAIN) }, { weight: 1, arbitrary: fc.constantFrom(...SCALARS) }, { weight: 4, arbitrary: tie('tree') }),
}))

/** The lines of a tree. Not always YAML, and that is wanted. */
function render(tree: Tree, indent: number): string {
  if (typeof tree === 'string') return tree
  const { list, style, items } = tree
  return items
    .map(([key, value]) => {
      const head = list ? '-' : `${key}:`
      if (typeof value === 'string') return `${' '.repeat(indent)}${head}${value === '' ? '' : style.gap}${value}${style.after}\n`
      const inner = indent + style.pad
      const body = render(value, list ? indent + 2 : inner)
      // Compact: the first line of what is in an item stands behind its dash.
      if (list && style.gap !== '\n') return `${' '.repeat(indent)}- ${body.trimStart()}`
      return `${' '.repeat(indent)}${head}${style.after}\n${body}`
    })
    .join('')
}

const document = fc.tuple(fc.constantFrom('', '', '---\n', '--- \n', '---\n---\n', '# c\n', '\n\n', '--- # c\n', '--- a\n', '...\n', '%YAML 1.2\n---\n', '  '), tree).map(([head, root]) => head + render(root, 0))

test('random documents read alike', () => {
  let quick = 0
  let all = 0
  fc.assert(
    fc.property(fc.array(document, { minLength: 1, maxLength: 3 }), fc.constantFrom('---\n', '\n', '', '---'), (documents, between) => {
      all++
      if (compare(documents.join(between))) quick++
    }),
    { numRuns: 1500 },
  )
  assert.ok(quick > all / 20, `only ${quick} of ${all} were read by the quick reader: this compares nothing`)
})

const POLICY = `# What the web server may do
apiVersion: security.kubearmor.com/v1
kind: KubeArmorPolicy
metadata:
  name: web
  namespace: shop
spec:
  severity: 5   # of 10
  tags: ["MITRE", "T1059", web]
  message: it's 5 o'clock
  selector:
    matchLabels: {app: web, tier: "front"}
  process:
    matchPaths:
    - path: /bin/sh
      fromSource:
        - path: /usr/bin/nginx

    -   path: '/usr/bin/*'
        ownerOnly: yes
    matchDirectories:
      - dir: /tmp/
        recursive: true
  file:
    matchPatterns:
    -
      pattern: /etc/**/*.conf
  action:
    Block
---
apiVersion: v1
kind: Namespace
metadata:
  name: shop
  annotations:
    kubearmor-file-posture: audit
  labels:
`

test('a policy with a few characters changed reads alike', () => {
  assert.ok(compare(POLICY))
  const piece = fc.constantFrom(' ', '  ', '\n', ':', '- ', '#', "'", '"', '[', ']', '{', '}', ',', '&a ', '*a', '!t ', '|', '>', '\t', '\r\n', '---\n', '\\', 'é', '~', '1', '? ', ' # x', '\n\n', '', '<<')
  const change = fc.record({ at: fc.nat(POLICY.length), length: fc.constantFrom(0, 0, 1, 2, 5), piece })
  fc.assert(
    fc.property(fc.array(change, { minLength: 1, maxLength: 3 }), (changes) => {
      let text = POLICY
      for (const { at, length, piece: put } of changes) text = text.slice(0, at) + put + text.slice(at + length)
      compare(text)
    }),
    { numRuns: 1000 },
  )
})

test('the quick reader takes what policies are written in, and leaves the rest', () => {
  const quick = (text: string): boolean => compare(text)
  for (const text of [POLICY, 'a: 1', '- a\n- b', '', '\n', '---\n', '# only a comment', 'a:\n- 1\n- b: 2\n  c: 3\n', 'a: {}\n']) assert.ok(quick(text), text)
  const left = ['a: |\n  b\n', 'a: &x 1\nb: *x\n', 'a: !!str 1\n', 'a: b\n  c\n', 'a: 1\na: 2\n', 'a: "b\n  c"\n', '{\n"a": 1}', 'a:\tb', 'a: b\r\n', '%YAML 1.2\n---\na: b', 'a: [b,\n c]', '<<: {a: b}', '\ufeffa: b', 'a: b: c', ' a: b\nc: d', 'plain', `${'k'.repeat(1100)}: x`]
  for (const text of left) assert.ok(!quick(text), text)
})

test('the quick reader gives up before the stack does, and before scalars cost much', () => {
  for (const deep of ['- '.repeat(500) + 'a', Array.from({ length: 200 }, (_, i) => `${' '.repeat(i)}a:\n`).join(''), `a: ${'['.repeat(200)}${']'.repeat(200)}`]) assert.ok(!compare(deep))
  assert.ok(!compare(Array.from({ length: 1100 }, (_, i) => `- 0x${i}\n`).join('')))
  assert.ok(compare(Array.from({ length: 3000 }, (_, i) => `- ${i}\n`).join('')))
})
