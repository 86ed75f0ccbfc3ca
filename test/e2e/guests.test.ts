// SPDX-License-Identifier: Apache-2.0
// What a guest promises to the tests that run in it: exact status, whole output, a time limit, no orphan. One kernel is enough.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { reservePorts } from '../support/ports.ts'
import { GuestError, runInGuest, TREE } from '../support/vm/guest.ts'

const kernel = '6.12'
/** Far beyond what a starved machine needs. */
const SECONDS = 600

/** What a guest needs is checked inside it, in one boot. */
const PLACES = `
fail() { echo "missing: $1"; exit 1; }
for each in "cgroup2 /sys/fs/cgroup" "bpf /sys/fs/bpf" "securityfs /sys/kernel/security" "tracefs /sys/kernel/tracing" "proc /proc" \\
  "devpts /dev/pts" "tmpfs /tmp" "tmpfs /run" "overlay /src"; do
  grep -q " \${each#* } \${each% *} " /proc/mounts || fail "$each"
done
grep -q '\\bbpf\\b' /sys/kernel/security/lsm || fail 'bpf in the LSM list'
[ "$(readlink -f /proc/1/root)" = / ] && grep -q '^/dev/vda / ext4' /proc/mounts || fail 'a root outside the initramfs'
[ "$(cat /sys/class/net/lo/operstate)" = unknown ] && ip -4 addr show dev lo | grep -q 127.0.0.1 || fail 'a loopback network'
[ "$(node -p 'process.version')" = "$EXPECTED_NODE" ] || fail 'the pinned Node'
[ "$1" = "two words" ] || fail 'arguments'
echo changed > /src/package.json || fail 'a tree that can be written to'
`;

test('a guest has the file systems, the LSM, the network and the tree that tests need', async () => {
  const before = readFileSync(join(TREE, 'package.json'))
  const result = await runInGuest({ kernel, script: PLACES, args: ['two words'], env: { EXPECTED_NODE: process.version }, timeoutSeconds: SECONDS })
  assert.deepEqual([result.status, result.output], [0, ''])
  assert.ok(result.bootSeconds > 0)
  assert.deepEqual(readFileSync(join(TREE, 'package.json')), before)
})

test('status, output and files come back exactly, whatever the script prints and leaves running', async () => {
  const results = mkdtempSync(join(tmpdir(), 'merlon-guest-test-'))
  const script = `
sleep 1000 &
echo 'exit 0'; echo drained; echo binary; echo to-stderr > /dev/stderr
seq 1 200000
head -c 2000000 /dev/zero > /results/zeros
exit 255`;
  try {
    const result = await runInGuest({ kernel, script, results, timeoutSeconds: SECONDS })
    assert.equal(result.status, 255)
    const lines = result.output.split('\n')
    assert.deepEqual(lines.slice(0, 4), ['exit 0', 'drained', 'binary', 'to-stderr'])
    assert.deepEqual(lines.slice(4, -1), Array.from({ length: 200_000 }, (_, index) => String(index + 1)))
    assert.deepEqual(readFileSync(join(results, 'zeros')), Buffer.alloc(2_000_000))
  } finally {
    rmSync(results, { recursive: true })
  }
})

test('a script that takes too long, and a kernel that panics, are told from a script that fails', async () => {
  const slow = runInGuest({ kernel, script: 'echo started; sleep 10000', timeoutSeconds: 40 })
  const panic = runInGuest({ kernel, script: 'echo before; echo c > /proc/sysrq-trigger', timeoutSeconds: SECONDS })
  const [late, dead] = await Promise.all([slow.catch((error: unknown) => error), panic.catch((error: unknown) => error)])
  assert.ok(late instanceof GuestError && late.code === 'MERLON_TEST_GUEST_TIMEOUT', String(late))
  assert.match(late.message, /40 s, its time limit[^]*The script said last:\nstarted/)
  assert.ok(dead instanceof GuestError && dead.code === 'MERLON_TEST_GUEST_DIED', String(dead))
  assert.match(dead.message, /sysrq triggered crash/i)
  assert.equal(dead.output, 'before\n')
})

test('the network goes both ways: forwarded ports in, this machine at 10.0.2.2', async () => {
  const greeter = createServer((socket) => socket.end('from the host\n')).listen(0, '127.0.0.1')
  await new Promise((resolve) => greeter.once('listening', resolve))
  const ours = (greeter.address() as { port: number }).port
  const [host = 0] = await reservePorts(1)
  const serve = 'require("net").createServer((s) => s.end("from the guest\\n", () => process.exit())).listen(4000, () => console.log("listening"))'
  const script = `busybox nc 10.0.2.2 ${ours} </dev/null; node -e '${serve}'`
  let answer = ''
  const onOutput = (chunk: Buffer): void => {
    if (!chunk.includes('listening')) return
    connect(host, '127.0.0.1').on('data', (data) => { answer += data.toString() })
  }
  const result = await runInGuest({ kernel, script, forwards: [{ host, guest: 4000 }], timeoutSeconds: SECONDS, onOutput })
  greeter.close()
  assert.deepEqual([result.output, answer], ['from the host\nlistening\n', 'from the guest\n'])
})

test('no guest outlives the process that started it, even one killed with SIGKILL', async () => {
  const name = `orphan-${process.pid}`
  const code = `import { runInGuest } from '${TREE}/test/support/vm/guest.ts';
    await runInGuest({ kernel: '${kernel}', script: 'echo up; sleep 1000', results: process.argv[1], timeoutSeconds: 600, onOutput: () => console.log('up') });`;
  const results = mkdtempSync(join(tmpdir(), name))
  const parent = spawn(process.execPath, ['--input-type=module', '-e', code, results], { stdio: ['ignore', 'pipe', 'inherit'] })
  await new Promise((resolve) => parent.stdout.once('data', resolve))
  assert.equal(machinesOf(results).length, 1)
  parent.kill('SIGKILL')
  await new Promise((resolve) => parent.once('close', resolve))
  // QEMU holds the other end of the pipe that "close" has waited for only until the kernel has killed it.
  while (machinesOf(results).length > 0) await new Promise((resolve) => setImmediate(resolve))
  rmSync(results, { recursive: true })
})

/** Processes of QEMU that share this directory with their guest. */
function machinesOf(directory: string): string[] {
  return readdirSync('/proc').filter((id) => /^\d+$/.test(id) && commandOf(id).includes('qemu') && commandOf(id).includes(directory))
}

function commandOf(id: string): string {
  try {
    return readFileSync(`/proc/${id}/cmdline`, 'utf8')
  } catch {
    return ''
  }
}
