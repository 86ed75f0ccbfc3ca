// SPDX-License-Identifier: Apache-2.0
// Machines on which nothing can be enforced: one sentence for each thing that is missing, what still works, and that does work.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { provideCompiled } from '../support/vm/compiled.ts'
import { runInGuest } from '../support/vm/guest.ts'

/** One boot: each machine is made worse than the one before. */
const SCRIPT = `
try() { echo "== $1"; shift; "$@" 2>&1; echo "status $?"; }
try lsm node agent/main.ts
try up node cli/main.ts up examples/demo
try lint node cli/main.ts lint examples/demo
mount -t tmpfs none /sys/kernel/btf
try btf node agent/main.ts
umount /sys/kernel/btf
try user setpriv --reuid 65534 --clear-groups node agent/main.ts
`;
const NOTHING = 'Nothing can be enforced on this machine. Policies can still be written, checked and explained here.'

test('without BPF LSM, BTF or root: a sentence each, and what needs no kernel works', async () => {
  const env = await provideCompiled(['agent/main.ts', 'agent/run.ts', 'cli/run.ts', 'cli/up.ts', 'cli/lint.ts'])
  const { output } = await runInGuest({ kernel: '6.12', lsm: 'lockdown,capability', script: SCRIPT, env, cpus: 1, timeoutSeconds: 300 })
  const parts = Object.fromEntries(output.split('== ').slice(1).map((part) => [part.slice(0, part.indexOf('\n')), part.trimEnd().split('\n').slice(1)]))
  const { lsm = [], up = [], lint = [], btf = [], user = [] } = parts

  assert.equal(lsm.length, 3, output)
  assert.match(lsm[0] ?? '', /^bpf is not among the active LSMs \(.*lockdown.*\)\. Add bpf to the lsm= parameter .*\[MERLON_AGENT_NO_BPF_LSM\]$/)
  assert.deepEqual(lsm.slice(1), [NOTHING, 'status 4'])

  assert.ok(btf.some((line) => line.endsWith('[MERLON_AGENT_NO_BTF]')), output)
  assert.deepEqual(btf.slice(-2), [NOTHING, 'status 4'])
  assert.equal(btf.length, 4, output)

  assert.ok(user.some((line) => line.endsWith('[MERLON_AGENT_NOT_ROOT]')), output)
  assert.deepEqual(user.slice(-2), [NOTHING, 'status 4'])

  assert.ok(up.some((line) => /BPF LSM|bpf/.test(line)), output)
  assert.equal(lint.at(-1), 'status 0', output)
})
