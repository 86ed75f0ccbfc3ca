// SPDX-License-Identifier: Apache-2.0
// docs/metrics.md explains the metrics that the sources make, all of them and no others.
import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'

const TREE = join(import.meta.dirname, '..')
const SECTIONS = { operator: 'Operator', agent: 'Agent', relay: 'Relay' } as const

function madeIn(app: string): ReadonlySet<string> {
  const sources = globSync(`${app}/**/metrics.ts`, { cwd: TREE })
  return new Set(sources.flatMap((path) => [...readFileSync(join(TREE, path), 'utf8').matchAll(/(?:name: |gauge\(|counter\()'(merlon_\w+)'/g)].map(([, name = '']) => name)))
}

function explainedIn(section: string): ReadonlySet<string> {
  const page = readFileSync(join(TREE, 'docs/metrics.md'), 'utf8')
  const text = page.split(/^## /m).find((part) => part.startsWith(section)) ?? ''
  return new Set([...text.matchAll(/`(merlon_\w+)`/g)].map(([, name = '']) => name))
}

for (const [app, section] of Object.entries(SECTIONS)) {
  test(`the metrics of ${app}/ are those that the page has`, () => {
    const made = madeIn(app)
    assert.ok(made.size >= 4, `${made.size} are found`)
    assert.deepEqual(explainedIn(section), made)
  })
}
