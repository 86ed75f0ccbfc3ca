// SPDX-License-Identifier: Apache-2.0
// Our reader of YAML and kubectl's take a text for the same, or ours refuses it: a policy that is checked here and applied there means one thing.
// MERLON_FUZZ sets how many mutated texts are read by both (2,000).
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { valueOf, type Value } from '../../policy/cel.ts'
import { parseDocuments } from '../../policy/document.ts'
import { mutated } from '../fuzz/mutate.ts'
import { seeds } from '../fuzz/seeds.ts'
import { readByGo } from '../support/yaml/read.ts'

const COUNT = Number(process.env['MERLON_FUZZ'] ?? 2000)
const SEED = Number(process.env['MERLON_SEED'] ?? 5)

/** Of the shapes in which readers differ most: short, so that mutations hit them. */
const SHORT = [
  'a: b\nc: [d, e]\n', 'a:\n- b: c\n  d: {e: f}\n', 'a: &x {b: c}\nd:\n  <<: *x\n  e: f\n', '{"a": "b", "c": ["d"]}', 'a: |\n  b\n  c\nd: "e"\n', "a: 'b'\r\nc: d\r\n", 'a:\n  b: yes\n  c: 010\n', 'a: >-\n  b\n\n  c\n',
]

/** Go refuses these aloud, we do not, and no policy has them: numbers beyond 63 bits as keys, anchors of punctuation. */
const KNOWN_ERRORS = /^unsupported map key of type: uint|did not find expected alphabetic or numeric character$/
/** The same: within braces a key of more than 1,024 characters or of several lines, or a word that begins or ends with a colon; an anchor with one; a tab alone on a line. */
const KNOWN_TEXTS = /.{1000}|"[^"\n]*\n[^"\n]*":|[[{,]\s*:[^\s]|\w:[\]}]|&\w+:|^\t$/m

function isJson(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

/** A mapping as JSON with sorted keys; undefined where the text is refused, or no mapping, which is no object. */
function readHere(text: string): string | undefined {
  const { roots, findings } = parseDocuments(text, 'x.yaml')
  const [root] = roots
  return root?.kind !== 'map' || findings.some(({ severity }) => severity === 'error') ? undefined : canonical(valueOf(root))
}

function canonical(value: Value): string {
  return JSON.stringify(value, (_, each: unknown) => {
    if (typeof each === 'bigint') return Number(each)
    if (typeof each !== 'object' || each === null || Array.isArray(each)) return each
    return Object.fromEntries(Object.entries(each).sort(([a], [b]) => (a < b ? -1 : 1)))
  })
}

test('mutated texts: what both readers take has the same values, and what kubectl refuses is refused here', async () => {
  const one = [...seeds().flatMap((text) => text.split(/^---\r?\n/m)), ...SHORT]
  // One document each: kubectl splits a stream of them before it reads. And none that are JSON, which it reads as such.
  const texts = fc.sample(fc.oneof(mutated(one), mutated(SHORT)), { numRuns: COUNT, seed: SEED }).filter((text) => text.isWellFormed() && !/^(?:---|\.\.\.)/m.test(text) && !isJson(text))
  const readings = await readByGo(texts)
  const seen = { same: 0, refusedByBoth: 0, refusedHere: 0 }
  for (const [index, text] of texts.entries()) {
    const { json, error } = readings[index]!
    const [here, there] = [readHere(text), error === '' ? canonical(JSON.parse(json) as Value) : undefined]
    if (here !== there && KNOWN_TEXTS.test(text)) continue
    if (here === undefined) seen[there === undefined ? 'refusedByBoth' : 'refusedHere'] += 1
    else if (there !== undefined) {
      assert.equal(here, there, JSON.stringify(text))
      seen.same += 1
    } else assert.match(error, KNOWN_ERRORS, `${error}: ${JSON.stringify(text)}`)
  }
  assert.ok(seen.same > COUNT / 4 && seen.refusedByBoth > COUNT / 10 && seen.refusedHere < COUNT / 5, JSON.stringify(seen))
})
