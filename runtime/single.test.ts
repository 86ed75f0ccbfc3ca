// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { spawn, type ChildProcessWithoutNullStreams } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { nameProcess } from './process.ts'
import { takeSeat } from './single.ts'

function place(context: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), 'merlon-seat-'))
  context.after(() => rmSync(directory, { recursive: true, force: true }))
  return join(directory, 'seats')
}

/** A process that takes the seat, says what came of it, and stays. */
async function other(context: TestContext, directory: string): Promise<{ readonly child: ChildProcessWithoutNullStreams; readonly said: string }> {
  const code = `import { takeSeat } from ${JSON.stringify(new URL('./single.ts', import.meta.url).href)}
    console.log(await takeSeat(${JSON.stringify(directory)}) === undefined ? 'taken' : 'sits')
    process.stdin.on('end', () => process.exit()).resume()`
  const child = spawn(process.execPath, ['--input-type=module', '-e', code], { stdio: 'pipe' })
  context.after(() => child.kill('SIGKILL'))
  const [said] = (await once(child.stdout, 'data')) as [Buffer]
  return { child, said: said.toString().trim() }
}

test('a seat is held by one process, and free when that ends or is killed', async (context) => {
  const directory = place(context)
  for (const end of ['SIGKILL', 'exit'] as const) {
    const { child, said } = await other(context, directory)
    assert.equal(said, 'sits')
    assert.equal(await takeSeat(directory), undefined)
    assert.equal((await other(context, directory)).said, 'taken')
    const ended = once(child, 'exit')
    if (end === 'exit') child.stdin.end()
    else child.kill(end)
    await ended
    assert.equal(existsSync(directory), end === 'SIGKILL', 'who ends in order clears away')
    const seat = await takeSeat(directory)
    assert.ok(seat)
    seat.close()
    assert.ok(!existsSync(directory))
  }
})

test('of many processes at once one sits', async (context) => {
  const directory = place(context)
  const said = (await Promise.all(Array.from({ length: 6 }, () => other(context, directory)))).map((each) => each.said)
  assert.deepEqual(said.toSorted(), ['sits', 'taken', 'taken', 'taken', 'taken', 'taken'])
})

test('a pid that belongs to somebody else by now holds nothing; what is no seat is left alone', async (context) => {
  const directory = place(context)
  mkdirSync(join(directory, 'lost+found'), { recursive: true })
  mkdirSync(join(directory, `${process.ppid}-1-held`))
  const seat = await takeSeat(directory)
  assert.ok(seat)
  const own = await nameProcess(process.pid)
  assert.deepEqual(readdirSync(directory).toSorted(), [`${own?.pid}-${own?.start}-held`, 'lost+found'])
  seat.close()
  assert.deepEqual(readdirSync(directory), ['lost+found'])
})
