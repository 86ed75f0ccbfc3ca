// SPDX-License-Identifier: Apache-2.0
// Every form of a rule under every action: what a program in a real container gets is what evaluate.ts says, with the event and the
// counters that belong to it. Each form by itself, with every runtime on every root.
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { type Root, ROOTS, type Runtime, RUNTIMES } from '../support/container.ts'
import { checkTries } from './expect.ts'
import { FORMS, MODES, SECTIONS, specOf, TRIES, type Form, type Mode, type SectionName } from './forms.ts'
import { Node, policy } from './node.ts'
import { TrialContainer } from './trial.ts'
import { furnish, worldOf } from './world.ts'

let node: Node
before(() => { node = new Node() })
after(() => {
  assert.deepEqual(node.errors(), {})
  node.close()
})

/** Rules of one policy each; with one runtime on one root, the core ones together in one as well. */
function chosen(runtime: Runtime, root: Root, section: SectionName): readonly (readonly Form[])[] {
  const single = FORMS[section].map((form) => [form])
  return runtime === 'crun' && root === 'debian' ? [...single, FORMS[section].filter((form) => form.isCore)] : single
}

/** A posture that audits is the table's matter, not the container's: once is enough. */
function modesOf(runtime: Runtime, root: Root): readonly Mode[] {
  return runtime === 'crun' && root === 'debian' ? MODES : MODES.filter(({ posture }) => posture === 'block')
}

for (const runtime of RUNTIMES) {
  for (const root of ROOTS) {
    describe(`${runtime}, ${root} root`, () => {
      let place: TrialContainer
      before(async () => { place = await TrialContainer.start({ runtime, root }, furnish) })
      after(() => place.delete())

      async function check(section: SectionName, forms: readonly Form[], mode: Mode): Promise<void> {
        const loaded = node.load(policy(specOf(section, forms, mode)), mode.posture)
        node.bind(place.container.cgroup, loaded.slot.slot)
        try {
          const stage = { node, trial: place.trial, pid: place.pid, world: worldOf(place.container) }
          const { answers } = await checkTries(stage, loaded, TRIES[section])
          assert.ok(answers.size > 1, 'these tries do not tell this rule from no rule')
        } finally {
          node.unbindAll()
        }
      }

      for (const section of SECTIONS) {
        for (const mode of modesOf(runtime, root)) {
          for (const forms of chosen(runtime, root, section)) {
            test(`${section} ${mode.action} (${mode.posture}): ${forms.map((form) => form.name).join('; ')}`, () => check(section, forms, mode))
          }
        }
      }
    })
  }
}
