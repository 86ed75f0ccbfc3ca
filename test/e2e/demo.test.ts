// SPDX-License-Identifier: Apache-2.0
// The demo in a guest, step by step: what make demo promises, held to it.
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { test } from 'node:test'

const DEMO = new URL('./demo.ts', import.meta.url).pathname
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

async function demo(kernel: string): Promise<{ readonly status: number | null; readonly output: string }> {
  const child = spawn(process.execPath, [DEMO, '--guest', '--kernel', kernel], { stdio: ['ignore', 'pipe', 'pipe'] })
  const chunks: Buffer[] = []
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => chunks.push(chunk))
  const status = await new Promise<number | null>((resolve) => child.once('close', resolve))
  return { status, output: Buffer.concat(chunks).toString('utf8') }
}

for (const kernel of process.env['MERLON_TEST_KERNELS']?.split(/[ ,]+/) ?? ['6.12']) {
  test(`the demo on Linux ${kernel}: every step comes about, and says so`, async () => {
    const { status, output } = await demo(kernel)
    for (const [index, [name, outcome]] of STEPS.entries()) {
      const line = output.split('\n').find((each) => each.startsWith(`${index + 1}/${STEPS.length} ${name}: `))
      assert.match(line ?? '', outcome, `step ${index + 1}:\n${output}`)
    }
    assert.equal(status, 0, output)
  })
}
