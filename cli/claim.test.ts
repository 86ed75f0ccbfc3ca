// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import type { Readable, Writable } from 'node:stream'
import { setImmediate } from 'node:timers/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { isAlive, nameProcess } from '../runtime/process.ts'
import { claim, type Claim } from './claim.ts'

async function stateDir(context: TestContext): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'merlon-claim-'))
  context.after(() => rm(directory, { recursive: true }))
  return directory
}

async function taken(directory: string): Promise<Claim> {
  const result = await claim(directory)
  assert.ok(result.ok)
  return result.value
}

test('a second claim is refused with the pid of the first, until that is released', async (context) => {
  const directory = await stateDir(context)
  const first = await taken(directory)
  assert.deepEqual(await claim(directory), { ok: false, pid: process.pid })
  await first.release()
  assert.deepEqual(await readdir(directory), [])
  await (await taken(directory)).release()
})

test('of many claims at once one wins', async (context) => {
  const directory = await stateDir(context)
  const results = await Promise.all(Array.from({ length: 8 }, () => claim(directory)))
  assert.equal(results.filter(({ ok }) => ok).length, 1)
})

test('of many that find the claim of a process that has gone one wins, and the claim is its', async (context) => {
  const directory = await stateDir(context)
  for (let round = 0; round < 20; round++) {
    await writeFile(join(directory, 'up.json'), JSON.stringify({ pid: process.pid, start: 'another', children: [] }))
    const started = []
    for (let i = 0; i < 32; i++) {
      started.push(claim(directory))
      // So that one looks when another has just taken it.
      await setImmediate()
    }
    const winners = (await Promise.all(started)).flatMap((result) => (result.ok ? [result.value] : []))
    assert.equal(winners.length, 1)
    assert.deepEqual(JSON.parse(await readFile(join(directory, 'up.json'), 'utf8')), { ...(await nameProcess(process.pid)), children: [] })
    await winners[0]?.release()
  }
})

test('a directory is the same one by another name', async (context) => {
  const directory = await stateDir(context)
  const held = await taken(directory)
  await symlink(directory, `${directory}-link`)
  context.after(() => rm(`${directory}-link`))
  assert.deepEqual(await claim(`${directory}-link`), { ok: false, pid: process.pid })
  await held.release()
})

test('a place where nothing can be written is thrown, and not kept', async (context) => {
  const directory = await stateDir(context)
  await mkdir(join(directory, 'up.json'))
  await assert.rejects(claim(directory), { code: 'EISDIR' })
  await rm(join(directory, 'up.json'), { recursive: true })
  await (await taken(directory)).release()
})

test('the claim of a process that has gone is taken over, with the children that it left', async (context) => {
  const directory = await stateDir(context)
  const child = spawn('sleep', ['infinity'])
  context.after(() => child.kill('SIGKILL'))
  await once(child, 'spawn')
  const left = { name: 'agent', ...(await nameProcess(child.pid ?? 0)) }
  const gone = { name: 'relay', pid: child.pid, start: '1' }
  await writeFile(join(directory, 'up.json'), JSON.stringify({ pid: process.pid, start: 'another', children: [left, gone] }))
  const second = await taken(directory)
  assert.deepEqual(second.leftovers, [left])
  await second.release()
})

test('half a file is nobody’s claim', async (context) => {
  const directory = await stateDir(context)
  await writeFile(join(directory, 'up.json'), '{"pid": 12')
  assert.deepEqual((await taken(directory)).leftovers, [])
})

test('children are recorded by name, pid and start time, and not after the release', async (context) => {
  const directory = await stateDir(context)
  const held = await taken(directory)
  await held.record([{ name: 'agent', pid: process.pid }, { name: 'relay', pid: 2 ** 22 + 1 }])
  const written = JSON.parse(await readFile(join(directory, 'up.json'), 'utf8')) as { children: object[] }
  assert.deepEqual(written.children, [{ name: 'agent', ...(await nameProcess(process.pid)) }])
  const late = held.record([])
  await held.release()
  await Promise.all([late, held.record([])])
  assert.deepEqual(await readdir(directory), [])
})

test('a process is alive by pid and start time, a zombie is not', async (context) => {
  const own = await nameProcess(process.pid)
  assert.ok(own !== undefined && (await isAlive(own)))
  assert.ok(!(await isAlive({ ...own, start: '0' })))
  // The shell becomes sleep, which never waits for the child; the child ends when its pipe does.
  const parent = spawn('sh', ['-c', '(read line <&3) & echo $!; exec sleep infinity'], { stdio: ['ignore', 'pipe', 'ignore', 'pipe'] })
  context.after(() => parent.kill('SIGKILL'))
  const [text] = (await once(parent.stdout as Readable, 'data')) as [Buffer]
  const zombie = Number(text.toString())
  await until(`/proc/${parent.pid}/comm`, /^sleep$/m)
  ;(parent.stdio[3] as Writable).end()
  await until(`/proc/${zombie}/stat`, /\) Z /)
  assert.equal(await nameProcess(zombie), undefined)
})

async function until(path: string, pattern: RegExp): Promise<void> {
  while (!pattern.test(await readFile(path, 'utf8')));
}
