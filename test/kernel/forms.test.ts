// SPDX-License-Identifier: Apache-2.0
// Every form of a rule under every action: what a program in a real container gets is what evaluate.ts says, with the event and the
// counters that belong to it. Each form by itself with every runtime on every root, and in every mode.
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

interface Round {
  readonly forms: readonly Form[]
  readonly mode: Mode
}

/**
 * Where every form is tried in every mode. Each other place has every form in one mode, which differ, and the core of them together in all;
 * with MERLON_TEST_EVERY_MODE=1 (some minutes more) every place is like the first.
 */
const isFirst = (runtime: Runtime, root: Root): boolean => process.env['MERLON_TEST_EVERY_MODE'] === '1' || (runtime === RUNTIMES[0] && root === ROOTS[0])

function roundsOf(runtime: Runtime, root: Root, section: SectionName): readonly Round[] {
  if (isFirst(runtime, root)) return MODES.flatMap((mode) => FORMS[section].map((form) => ({ forms: [form], mode })))
  const place = RUNTIMES.indexOf(runtime) * ROOTS.length + ROOTS.indexOf(root)
  const single = FORMS[section].flatMap((form, index) => MODES.slice((place + index) % MODES.length).slice(0, 1).map((mode) => ({ forms: [form], mode })))
  return [...single, ...MODES.map((mode) => ({ forms: FORMS[section].filter((form) => form.isCore), mode }))]
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
        for (const { forms, mode } of roundsOf(runtime, root, section)) {
          test(`${section} ${mode.action} (${mode.posture}): ${forms.map((form) => form.name).join('; ')}`, () => check(section, forms, mode))
        }
      }
    })
  }
}
