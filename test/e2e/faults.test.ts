// SPDX-License-Identifier: Apache-2.0
// merlon up and its faults, in a guest: faults-in-guest.ts says which.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { provideCompiled } from '../support/vm/compiled.ts'
import { runInGuest } from '../support/vm/guest.ts'

const SCRIPT = 'test/e2e/faults-in-guest.ts'

test('faults of merlon up: each is said, and none ends what is enforced', async () => {
  const env = await provideCompiled([SCRIPT, 'test/e2e/demo.ts'])
  const { status, output } = await runInGuest({ kernel: '6.12', script: SCRIPT, env, cpus: 1, timeoutSeconds: 3600 })
  assert.equal(status, 0, output)
  assert.match(output, /^# pass 15$|^ℹ pass 15$/m, output)
})
