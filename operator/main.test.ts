// SPDX-License-Identifier: Apache-2.0
import assert from 'node:assert/strict'
import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { parseSettings } from './settings.ts'
import type { OperatorStatus } from './status.ts'
import { TestAgent } from './testing/agent.ts'
import { BROKEN, podText, policyText } from './testing/manifests.ts'

const MAIN = join(import.meta.dirname, 'main.ts')

describe('parseSettings()', () => {
  it('has defaults for all but the directory', () => {
    assert.deepEqual(parseSettings(['--directory', 'd']), {
      ok: true,
      value: { directory: 'd', kubernetes: undefined, listen: 'unix:/run/merlon/operator.sock', defaultPosture: 'audit', nodeLabels: {}, lastGood: undefined, statusFile: undefined, relay: undefined, transport: { tls: { kind: 'off' }, feederTls: false }, http: undefined, logLevel: 'info' },
    })
  })

  it('reads labels', () => {
    const parsed = parseSettings(['--directory', 'd', '--node-labels', 'a=b, c/d=e=f,x='])
    assert.deepEqual(parsed.ok && parsed.value !== 'help' && parsed.value.nodeLabels, { a: 'b', 'c/d': 'e=f', x: '' })
  })

  it('refuses what it cannot use, naming it', () => {
    const cases: readonly (readonly [readonly string[], RegExp])[] = [
      [[], /one of --directory, --kubeconfig and --in-cluster is required/],
      [['--directory', 'd', '--in-cluster'], /one of --directory/],
      [['--in-cluster', '--kubeconfig', 'k'], /one of --directory/],
      [['--in-cluster', '--status-file', 's'], /--status-file goes with --directory/],
      [['--directory', 'd', '--listen', 'nowhere'], /"nowhere"/],
      [['--directory', 'd', '--default-posture', 'allow'], /audit or block, not "allow"/],
      [['--directory', 'd', '--node-labels', 'a'], /key=value/],
      [['--directory', 'd', '--log-level', 'loud'], /not "loud"/],
      [['--directory', 'd', '--relay', 'x'], /"x"/],
      [['--directory', 'd', '--color'], /--color/],
    ]
    for (const [args, message] of cases) {
      const parsed = parseSettings(args)
      assert.ok(!parsed.ok && message.test(parsed.message), args.join(' '))
    }
  })
})

describe('node operator/main.ts', { timeout: 600_000 }, () => {
  let directory = ''
  let child: ChildProcess | undefined
  let agent: TestAgent | undefined
  const path = (name: string): string => join(directory, 'manifests', name)

  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'merlon-operator-'))
    spawnSync('mkdir', [join(directory, 'manifests')])
  })
  afterEach(() => {
    agent?.close()
    child?.kill('SIGKILL')
    rmSync(directory, { recursive: true })
  })

  async function start(nodeOptions: readonly string[] = []): Promise<string> {
    child = spawn(process.execPath, [...nodeOptions, MAIN, '--directory', join(directory, 'manifests'), '--listen', `unix:${directory}/s.sock`, '--status-file', join(directory, 'status.json')], { stdio: ['ignore', 'pipe', 'pipe'] })
    assert.ok(child.stdout)
    for await (const line of createInterface({ input: child.stdout })) return line
    return ''
  }

  it('is ready when agents can connect, pushes edits, keeps the last good version, and ends cleanly', async () => {
    writeFileSync(path('p.yaml'), policyText({ name: 'p' }))
    writeFileSync(path('pod.yaml'), podText('box', 'web'))
    assert.equal(await start(), `ready unix:${directory}/s.sock`)
    agent = await new TestAgent(`unix:${directory}/s.sock`).start([{ id: 'box' }, { id: 'host' }])
    await agent.until((node) => node.policiesOf('box')?.join() === 'p')
    writeFileSync(path('p.yaml'), policyText({ name: 'p2' }))
    await agent.until((node) => node.policiesOf('box')?.join() === 'p2')

    writeFileSync(path('p.yaml'), BROKEN)
    writeFileSync(path('q.yaml'), policyText({ name: 'q', path: '/bin/q' }))
    await agent.until((node) => node.policiesOf('box')?.toSorted().join() === 'p2,q')

    child?.kill('SIGTERM')
    const [code] = await once(child as ChildProcess, 'exit') as [number | null]
    assert.equal(code, 0)
    assert.equal((await agent.ended).ok, false)
    assert.equal(existsSync(`${directory}/s.sock`), false)
    const written = JSON.parse(readFileSync(join(directory, 'status.json'), 'utf8')) as OperatorStatus
    assert.equal(written.policies.find((policy) => policy.name === 'p2')?.stale, true)
    assert.deepEqual(written.stale, [path('p.yaml')])
  })

  it('loads nothing of TLS, metrics or Kubernetes for a directory', async () => {
    const hooks = join(directory, 'hooks.mjs')
    const loaded = join(directory, 'loaded')
    writeFileSync(hooks, `import { appendFileSync } from 'node:fs'
import { registerHooks } from 'node:module'
registerHooks({ resolve: (name, context, next) => {
  const found = next(name, context)
  appendFileSync(${JSON.stringify(loaded)}, found.url + '\\n')
  return found
} })`)
    await start(['--import', hooks])
    const all = readFileSync(loaded, 'utf8').split('\n')
    assert.ok(all.some((url) => url.endsWith('/operator/serve.ts')))
    assert.deepEqual(all.filter((url) => /prom-client|client-node|dot-i|runtime\/(http|tls|authority|x509|enrol)\.ts|operator\/(security|trust|enrol|kube\/\w+)\.ts/.test(url)), [])
  })

  it('starts again where a dead operator left its socket', async () => {
    await start()
    child?.kill('SIGKILL')
    await once(child as ChildProcess, 'exit')
    assert.equal(existsSync(`${directory}/s.sock`), true)
    assert.equal(await start(), `ready unix:${directory}/s.sock`)
  })

  it('explains itself, and says what is wrong with its arguments', () => {
    const help = spawnSync(process.execPath, [MAIN, '--help'], { encoding: 'utf8' })
    assert.deepEqual([help.status, help.stdout.startsWith('Usage: ')], [0, true])
    const wrong = spawnSync(process.execPath, [MAIN], { encoding: 'utf8' })
    assert.deepEqual([wrong.status, wrong.stderr], [2, 'Cannot start the operator: one of --directory, --kubeconfig and --in-cluster is required. See --help.\n'])
    const missing = spawnSync(process.execPath, [MAIN, '--directory', join(directory, 'none'), '--listen', `unix:${directory}/s.sock`], { encoding: 'utf8' })
    assert.equal(missing.status, 1)
    assert.match(missing.stderr, /ENOENT/)
  })
})
