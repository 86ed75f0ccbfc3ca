// SPDX-License-Identifier: Apache-2.0
// The images, built by buildah from the Dockerfiles and started once, as the user that they name. Without root or buildah there are none.
import assert from 'node:assert/strict'
import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { chmodSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { after, before, describe, it } from 'node:test'
import { buildah, buildImage, exportImage, STORE } from '../support/images.ts'
import { TREE } from '../support/vm/guest.ts'

const missing = process.getuid?.() !== 0 ? 'needs root' : spawnSync('buildah', ['--version']).error ? 'needs buildah (make setup installs it)' : undefined
const ENVIRONMENT = { ...process.env, BUILDAH_ISOLATION: 'chroot', STORAGE_DRIVER: 'vfs' }

describe('the images', { timeout: 3_600_000, skip: missing ?? false }, () => {
  const tags: Record<'operator' | 'agent', string> = { operator: '', agent: '' }
  const containers: string[] = []
  const running: ChildProcess[] = []
  let directory = ''

  before(async () => {
    directory = mkdtempSync(join(tmpdir(), 'merlon-images-'))
    chmodSync(directory, 0o755)
    for (const name of ['operator', 'agent'] as const) tags[name] = await buildImage(name)
  })
  after(async () => {
    for (const child of running) child.kill('SIGTERM')
    for (const container of containers) await buildah('rm', container)
    rmSync(directory, { recursive: true, force: true })
  })

  /** A process in a fresh container, with the image's user and environment. */
  async function start(tag: string, command: readonly string[]): Promise<ChildProcess> {
    const container = await buildah('from', '--pull=never', tag)
    containers.push(container)
    const child = spawn('buildah', [...STORE, 'run', '--volume', `${directory}:/policies:ro`, container, '--', ...command], { stdio: ['ignore', 'pipe', 'pipe'], env: ENVIRONMENT })
    running.push(child)
    return child
  }

  async function output(tag: string, command: readonly string[]): Promise<string> {
    const child = await start(tag, command)
    let text = ''
    for (const stream of [child.stdout, child.stderr]) stream?.on('data', (chunk: Buffer) => { text += chunk.toString() })
    const code = await new Promise((resolve) => child.on('close', resolve))
    return `${text}exit ${String(code)}`
  }

  it('serves agents and health from the operator\'s', async () => {
    writeFileSync(join(directory, 'p.yaml'), 'apiVersion: security.kubearmor.com/v1\nkind: KubeArmorPolicy\nmetadata: {name: p, namespace: default}\nspec:\n  selector: {matchLabels: {app: web}}\n  process: {matchPaths: [{path: /bin/sh}]}\n  action: Block\n')
    const child = await start(tags.operator, ['node', '/opt/merlon/operator/main.mjs', '--directory', '/policies', '--listen', '127.0.0.1:0', '--http', '127.0.0.1:0'])
    assert.ok(child.stdout && child.stderr)
    const ready = Promise.withResolvers<string>()
    const http = Promise.withResolvers<string>()
    const said: string[] = []
    createInterface({ input: child.stdout }).on('line', (line) => { if (line.startsWith('ready ')) ready.resolve(line) })
    createInterface({ input: child.stderr }).on('line', (line) => {
      said.push(line)
      if (line.includes('"Serving health"')) http.resolve((JSON.parse(line) as { address: string }).address)
    })
    void new Promise((resolve) => child.on('close', resolve)).then(() => {
      ready.reject(new Error(`The operator ended: ${said.join('\n')}`))
      http.reject(new Error(`The operator ended: ${said.join('\n')}`))
    })
    assert.match(await ready.promise, /^ready 127\.0\.0\.1:\d+$/)
    const address = await http.promise
    assert.equal(await (await fetch(`http://${address}/readyz`)).text(), '[+] policies\n[+] agents\nready\n')
    assert.match(await (await fetch(`http://${address}/metrics`)).text(), /^merlon_policies 1$/m)
  })

  it('has relay and command in the operator\'s, and runs as nobody', async () => {
    assert.match(await output(tags.operator, ['node', '/opt/merlon/relay/main.mjs', '--help']), /^Usage: [^]*exit 0$/)
    assert.match(await output(tags.operator, ['merlon', 'lint', '/policies/p.yaml']), /exit 0$/)
    assert.match(await output(tags.operator, ['id', '-u']), /^65532\nexit 0$/)
    assert.match(await output(tags.operator, ['sh', '-c', 'touch /opt/merlon/x 2>&1; ls /opt/merlon']), /Permission denied[^]*exit 0$/)
    assert.doesNotMatch(await output(tags.operator, ['ls', '/opt/merlon']), /agent/)
  })

  it('has an agent that loads its addon, and says what this machine lacks', async () => {
    assert.match(await output(tags.agent, ['node', '/opt/merlon/agent/main.mjs', '--help']), /^Usage: agent [^]*exit 0$/)
    const addon = "const b = require('/opt/merlon/build/native/merlon_bpf.node'); console.log(Object.keys(b).length > 0)"
    assert.match(await output(tags.agent, ['node', '-e', addon]), /^true\nexit 0$/)
    // What KubeArmor's client runs in the agent's container.
    assert.match(await output(tags.agent, ['sh', '-c', 'tar czf - /etc/hostname 2>/dev/null | wc -c']), /^[1-9]\d*\nexit 0$/)
  })

  it('can be handed to a container runtime', async () => {
    for (const name of ['operator', 'agent'] as const) {
      const { size } = statSync(await exportImage(name, tags[name]))
      assert.ok(size < 300e6, `${name}: ${size} bytes`)
    }
    assert.ok(statSync(join(TREE, 'build/images/merlon-agent.tar')).isFile())
  })
})
