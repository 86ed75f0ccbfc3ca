// SPDX-License-Identifier: Apache-2.0
// The demo, step by step: what make demo promises, held to it.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { provideCompiled } from '../support/vm/compiled.ts'
import { runInGuest } from '../support/vm/guest.ts'
import { isKernelName } from '../support/vm/kernels.ts'

const DEMO = 'test/e2e/demo.ts'
const STEPS = [
  ['start Merlon', /ready in [0-9.]+ s: 2 policies .*a forbidden probe was refused/],
  ['start a container', /demo-web/],
  ['run what is allowed', /ls works/],
  ['run what is blocked', /find: Permission denied/],
  ['see the alert', /Block of \/usr\/bin\/find in demo\/demo-web by block-shell-tools/],
  ['edit the policy', /Block refused it again, no restart/],
  ['kill the agent', /still refused; the next agent adopted it/],
  ['break a policy file', /refused, the others hold/],
  ['stop', /merlon rescue ended that/],
] as const

// In a guest, where the demo finds that it can run on its own machine; that it goes to a guest by itself is what fresh-clone.test.ts sees.
for (const kernel of process.env['MERLON_TEST_KERNELS']?.split(/[ ,]+/).filter(isKernelName) ?? ['6.12'] as const) {
  test(`the demo on Linux ${kernel}: every step comes about, and says so`, async () => {
    const env = await provideCompiled([DEMO])
    const { status, output } = await runInGuest({ kernel, script: DEMO, env, timeoutSeconds: 600 })
    assert.equal(output.split('\n')[0], 'On this machine')
    for (const [index, [name, outcome]] of STEPS.entries()) {
      const line = output.split('\n').find((each) => each.startsWith(`${index + 1}/${STEPS.length} ${name}: `))
      assert.match(line ?? '', outcome, `step ${index + 1}:\n${output}`)
    }
    assert.equal(status, 0, output)
  })
}
