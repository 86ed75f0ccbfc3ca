// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { test } from 'node:test'
import { claimPins } from './single.ts'

test('one claim for each pin directory; it ends with its holder, one that is killed too', async () => {
  const directory = `/sys/fs/bpf/test-${process.pid}`
  const code = `import { claimPins } from ${JSON.stringify(new URL('./single.ts', import.meta.url).href)}
    console.log(await claimPins(${JSON.stringify(directory)}) === undefined ? 'taken' : 'claimed')
    setInterval(() => {}, 1000)`
  const other = spawn(process.execPath, ['--input-type=module', '-e', code], { stdio: ['ignore', 'pipe', 'inherit'] })
  const [said] = (await once(other.stdout, 'data')) as [Buffer]
  assert.equal(said.toString(), 'claimed\n')
  assert.equal(await claimPins(directory), undefined)
  const beside = await claimPins(`${directory}-beside`)
  assert.ok(beside)
  beside.close()
  other.kill('SIGKILL')
  await once(other, 'close')
  const ours = await claimPins(directory)
  assert.ok(ours)
  ours.close()
})
