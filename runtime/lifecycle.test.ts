// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { describe, it } from 'node:test'

/** Runs a program made of `body` (with `life` in scope), gives `react` its stdout lines, returns its exit code and lines. */
async function run(body: string, react: (line: string, kill: (signal: NodeJS.Signals) => void) => void, options = ''): Promise<{ code: number | null; lines: string[] }> {
  const url = new URL('./lifecycle.ts', import.meta.url).href
  const program = `import { runMain } from ${JSON.stringify(url)}; await runMain(async (life) => { ${body} }, { name: 'test'${options} })`
  const child = spawn(process.execPath, ['--input-type=module', '-e', program], { stdio: ['ignore', 'pipe', 'ignore'] })
  const lines: string[] = []
  createInterface({ input: child.stdout }).on('line', (line) => {
    lines.push(line)
    react(line, (signal) => void child.kill(signal))
  })
  const [code] = await once(child, 'close') as [number | null]
  return { code, lines }
}

const STEPS = `life.onShutdown('a', () => console.log('a')); life.onShutdown('b', async () => console.log('b'));`

describe('switchLevels()', () => {
  it('switches to debug and back with SIGUSR2', async () => {
    const log = new URL('./log.ts', import.meta.url).href
    const url = new URL('./lifecycle.ts', import.meta.url).href
    const program = `import { switchLevels } from ${JSON.stringify(url)}; import { logLevel } from ${JSON.stringify(log)}
      switchLevels('warn'); process.on('SIGUSR2', () => console.log(logLevel())); console.log(logLevel()); setInterval(() => {}, 1000)`
    const child = spawn(process.execPath, ['--input-type=module', '-e', program], { stdio: ['ignore', 'pipe', 'ignore'] })
    const lines: string[] = []
    for await (const line of createInterface({ input: child.stdout })) {
      lines.push(line)
      if (lines.length === 3) break
      child.kill('SIGUSR2')
    }
    child.kill()
    assert.deepEqual(lines, ['warn', 'debug', 'warn'])
  })
})

describe('runMain()', () => {
  it('lives until SIGTERM, then shuts down in reverse order and exits with 0', async () => {
    const result = await run(`${STEPS} life.signal.addEventListener('abort', () => console.log('aborted')); console.log('up')`, (line, kill) => {
      if (line === 'up') kill('SIGTERM')
    })
    assert.deepEqual(result, { code: 0, lines: ['up', 'aborted', 'b', 'a'] })
  })

  it('treats SIGINT alike', async () => {
    const result = await run(`console.log('up')`, (line, kill) => {
      if (line === 'up') kill('SIGINT')
    })
    assert.equal(result.code, 0)
  })

  it('exits with the code of a command', async () => {
    assert.deepEqual(await run(`${STEPS} return 7`, () => {}), { code: 7, lines: ['b', 'a'] })
  })

  it('exits with 1 after a throw, shut down', async () => {
    assert.deepEqual(await run(`${STEPS} throw new Error('x')`, () => {}), { code: 1, lines: ['b', 'a'] })
  })

  it('goes on after a failed step', async () => {
    assert.deepEqual(await run(`life.onShutdown('a', () => console.log('a')); life.onShutdown('b', () => { throw new Error('b') }); life.stop(4)`, () => {}), { code: 4, lines: ['a'] })
  })

  it('exits with 3 when a step takes too long', async () => {
    assert.equal((await run(`life.onShutdown('stuck', () => new Promise(() => {})); life.stop()`, () => {}, ', shutdownMs: 20')).code, 3)
  })

  it('goes on when the disk is full that its output goes to; a command fails', async () => {
    const url = new URL('./lifecycle.ts', import.meta.url).href
    const full = openSync('/dev/full', 'w')
    const start = async (body: string): Promise<number | null> => {
      const program = `import { runMain } from ${JSON.stringify(url)}; await runMain(async (life) => { ${body} }, { name: 'test' })`
      const child = spawn(process.execPath, ['--input-type=module', '-e', program], { stdio: ['ignore', full, full] })
      return ((await once(child, 'close')) as [number | null])[0]
    }
    assert.equal(await start(`console.log('ready'); console.error('a log'); setTimeout(() => life.stop(5), 50)`), 5)
    assert.equal(await start(`console.log('output'); return 0`), 1)
    closeSync(full)
  })

  it('goes on when the reader of its output is gone', async () => {
    const url = new URL('./lifecycle.ts', import.meta.url).href
    const body = `process.on('message', () => { console.error('to nobody'); setImmediate(() => process.send('alive')) }); life.onShutdown('ipc', () => process.disconnect())`
    const program = `import { runMain } from ${JSON.stringify(url)}; await runMain(async (life) => { ${body}; process.send('up') }, { name: 'test' })`
    const child = spawn(process.execPath, ['--input-type=module', '-e', program], { stdio: ['ignore', 'ignore', 'pipe', 'ipc'] })
    const ended = once(child, 'close')
    assert.deepEqual(await once(child, 'message'), ['up', undefined])
    child.stderr?.destroy()
    child.send('write')
    assert.deepEqual(await once(child, 'message'), ['alive', undefined])
    child.send('again')
    assert.deepEqual(await once(child, 'message'), ['alive', undefined])
    child.kill('SIGTERM')
    assert.deepEqual(await ended, [0, null])
  })

  it('exits with 3 on a second signal', async () => {
    const result = await run(`life.onShutdown('stuck', () => { console.log('stopping'); return new Promise(() => {}) }); console.log('up')`, (_line, kill) => kill('SIGTERM'))
    assert.deepEqual(result, { code: 3, lines: ['up', 'stopping'] })
  })
})
