// SPDX-License-Identifier: Apache-2.0
// Machines on which nothing can be enforced: one sentence for each thing that is missing, what still works, and that does work.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import { runInGuest } from '../support/vm/guest.ts'

/** One boot: each machine is made worse than the one before. */
const SCRIPT = `
try() { echo "== $1"; shift; "$@" 2>&1; echo "status $?"; }
agent=build/bundle/agent/main.mjs merlon=build/bundle/cli/main.mjs
try lsm node $agent
echo "== up"
node $merlon up examples/demo > /tmp/up 2>&1 & up=$!
until grep -q 'Ready in' /tmp/up; do sleep 0.2; done
cat /tmp/up
try status node $merlon status
echo "== stop"
kill $up; wait $up; echo "status $?"
try lint node $merlon lint examples/demo
try test node $merlon test examples/demo
mount -t tmpfs none /sys/kernel/btf
try btf node $agent
umount /sys/kernel/btf
try user setpriv --reuid 65534 --clear-groups node $agent
`
const NOTHING = 'Nothing can be enforced on this machine. Policies can still be written, checked and explained here.'

test('without BPF LSM, BTF or root: a sentence each, and what needs no kernel works', async () => {
  const { output } = await runInGuest({ kernel: '6.12', lsm: 'lockdown,capability', script: SCRIPT, cpus: 1, timeoutSeconds: 3600 })
  const parts = Object.fromEntries(output.split('== ').slice(1).map((part) => [part.slice(0, part.indexOf('\n')), part.trimEnd().split('\n').slice(1)]))
  const { lsm = [], up = [], status = [], stop = [], lint = [], test: tests = [], btf = [], user = [] } = parts

  assert.equal(lsm.length, 3, output)
  assert.match(lsm[0] ?? '', /^bpf is not among the active LSMs \(.*lockdown.*\)\. Add bpf to the lsm= parameter .*\[MERLON_AGENT_NO_BPF_LSM\]$/)
  assert.deepEqual(lsm.slice(1), [NOTHING, 'status 4'])

  assert.ok(btf.some((line) => line.endsWith('[MERLON_AGENT_NO_BTF]')), output)
  assert.deepEqual(btf.slice(-2), [NOTHING, 'status 4'])
  assert.equal(btf.length, 4, output)

  assert.ok(user.some((line) => line.endsWith('[MERLON_AGENT_NOT_ROOT]')), output)
  assert.deepEqual(user.slice(-2), [NOTHING, 'status 4'])

  assert.match(up[0] ?? '', /This kernel does not ask BPF programs: its active LSMs are .* Policies are still read, checked and shown by merlon status; nothing is blocked or audited\. Add bpf to lsm=/)
  assert.ok(up.some((line) => /ERROR merlon: Nothing is enforced on this host: the agent says above what is missing/.test(line)), output)
  assert.match(up.at(-1) ?? '', /Ready in [0-9.]+ s: nothing is enforced on this host; 2 policies/, output)
  assert.deepEqual([stop.at(-1), status.at(-1)], ['status 0', 'status 1'], output)
  assert.deepEqual([lint.at(-1), tests.at(-1)], ['status 0', 'status 0'], output)
})
