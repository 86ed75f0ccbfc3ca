// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { test } from 'node:test'
import { claimPins } from './lone.ts'

const PINS = `/sys/fs/bpf/lone-${process.pid}`

test('a second claim of one pin directory fails, another directory is free, and the end of the first frees it', async () => {
  const first = await claimPins(PINS)
  assert.ok(first)
  assert.equal(await claimPins(`${PINS}/x/..`), undefined)
  const other = await claimPins(`${PINS}-other`)
  assert.ok(other)
  other.close()
  first.close()
  await once(first, 'close')
  const again = await claimPins(PINS)
  assert.ok(again)
  again.close()
})

test('a claim ends with its process, kill -9 included, and keeps no process alive', async () => {
  const script = (then: string): string[] => ['-e', `import('${import.meta.dirname}/lone.ts').then(async ({ claimPins }) => { console.log(await claimPins('${PINS}') !== undefined); ${then} })`]
  const holder = spawn(process.execPath, script('setInterval(() => {}, 1000)'), { stdio: ['ignore', 'pipe', 'inherit'] })
  const [said] = (await once(holder.stdout, 'data')) as [Buffer]
  assert.equal(said.toString().trim(), 'true')
  assert.equal(await claimPins(PINS), undefined)
  holder.kill('SIGKILL')
  await once(holder, 'exit')
  const idle = spawn(process.execPath, script(''), { stdio: ['ignore', 'ignore', 'inherit'] })
  assert.deepEqual(await once(idle, 'exit'), [0, null])
})
