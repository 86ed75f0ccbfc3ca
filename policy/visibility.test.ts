// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { CLASSES, visibilityOf, visibleClasses, type Visibility } from './visibility.ts'

test('a namespace or node goes before the settings, and nothing said is nothing seen', () => {
  const cases: readonly [Visibility | undefined, Visibility | undefined, Visibility | undefined, Visibility][] = [
    [undefined, undefined, undefined, []],
    [undefined, ['process', 'network'], undefined, ['process', 'network']],
    [['file'], ['process', 'network'], undefined, ['file']],
    [[], ['process', 'network'], undefined, []],
    [undefined, undefined, ['process'], []],
    [['file', 'process'], undefined, ['process', 'network'], ['process']],
    [undefined, ['process'], [], []],
    [['file', 'process', 'file'], undefined, undefined, ['process', 'file']],
  ]
  for (const [own, settings, pod, expected] of cases) assert.deepEqual(visibleClasses({ own, settings, pod }), expected, JSON.stringify([own, settings, pod]))
})

test('a pod never sees more than its namespace, and what KubeArmor writes onto pods takes nothing away but what it does not name', () => {
  const said = fc.option(fc.subarray([...CLASSES]), { nil: undefined })
  fc.assert(fc.property(said, said, fc.subarray([...CLASSES]), (own, settings, pod) => {
    const without = visibleClasses({ own, settings })
    assert.deepEqual(visibleClasses({ own, settings, pod }), without.filter((name) => pod.includes(name)))
  }))
})

test('words', () => {
  assert.deepEqual(visibilityOf(' process, file ,,dns'), ['process', 'file', 'dns'])
  for (const nothing of ['none', '', 'Process', 'all', 'constructor']) assert.deepEqual(visibilityOf(nothing), [], nothing)
})
