// SPDX-License-Identifier: Apache-2.0
// policy/ runs in a browser: bundled for one by esbuild, it gives the same table, verdicts and findings as here.
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { pathToFileURL } from 'node:url'
import { createContext, runInContext } from 'node:vm'
import { build } from 'esbuild'
import { runCase } from './case.ts'

interface Bundle {
  readonly code: string
  /** Paths of all that went into it. */
  readonly inputs: readonly string[]
}

async function bundle(): Promise<Bundle> {
  const { outputFiles, metafile, warnings } = await build({
    entryPoints: [join(import.meta.dirname, 'case.ts')],
    bundle: true, write: false, metafile: true, platform: 'browser', format: 'iife', globalName: 'merlon', target: 'es2022', charset: 'utf8', logLevel: 'silent',
  })
  assert.deepEqual(warnings, [])
  return { code: outputFiles[0]!.text, inputs: Object.keys(metafile.inputs) }
}

const made = bundle()
const here = runCase()

test('the case says something here', () => {
  const { hash, verified, proof, tests, answers } = JSON.parse(here)
  assert.match(hash, /^[0-9a-f]{64}$/)
  assert.deepEqual([verified, proof.ok, tests], [{ ok: true }, true, ['', '', '']])
  assert.deepEqual(answers.map(([{ verdict }]: [{ verdict: string }]) => verdict), ['Block', 'Allow', 'Block', 'Allow', 'Block', 'Block'])
})

test('the bundle for a browser holds policy/, two packages and nothing of Node', async () => {
  const { code, inputs } = await made
  assert.ok(inputs.length > 40)
  for (const input of inputs) assert.match(input, /(^|\/)(policy\/[\w-]+\.ts|test\/browser\/case\.ts|node_modules\/(yaml|@noble\/hashes)\/.*)$/)
  assert.doesNotMatch(code, /\brequire\(|["']node:/)
})

test('in a context that has the language, texts as bytes and nothing else, the bundle says the same', async () => {
  const { code } = await made
  const context = createContext({ TextEncoder, TextDecoder })
  runInContext('delete globalThis.WebAssembly; delete globalThis.console', context)
  assert.deepEqual(runInContext('[typeof process, typeof Buffer, typeof require, typeof setTimeout]', context).join(), 'undefined,undefined,undefined,undefined')
  assert.equal(runInContext(`${code}\nmerlon.runCase()`, context), here)
})

const BROWSERS = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable']
const browser = BROWSERS.find((name) => spawnSync(name, ['--version']).status === 0)
const skip = browser === undefined ? 'there is no Chromium on this machine: the bundle ran in a bare context only' : false
if (skip) console.warn(`SKIPPED: ${skip}`)

test('in Chromium the bundle says the same', { skip }, async (context) => {
  const { code } = await made
  const directory = mkdtempSync(join(tmpdir(), 'merlon-browser-'))
  context.after(() => rmSync(directory, { recursive: true, force: true }))
  writeFileSync(join(directory, 'merlon.js'), code)
  const page = '<!doctype html><meta charset="utf-8"><pre id="out">nothing</pre><script src="merlon.js"></script>'
  writeFileSync(join(directory, 'page.html'), `${page}<script>document.getElementById('out').textContent = btoa(encodeURIComponent(merlon.runCase()))</script>`)
  const flags = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage', `--user-data-dir=${join(directory, 'profile')}`, '--virtual-time-budget=600000', '--dump-dom']
  const { status, stdout, stderr } = spawnSync(browser ?? '', [...flags, pathToFileURL(join(directory, 'page.html')).href], { encoding: 'utf8', timeout: 600_000, maxBuffer: 1 << 26 })
  assert.equal(status, 0, stderr.slice(-2000))
  const out = /<pre id="out">([^<]*)<\/pre>/.exec(stdout)?.[1] ?? ''
  assert.equal(decodeURIComponent(atob(out)), here)
})
