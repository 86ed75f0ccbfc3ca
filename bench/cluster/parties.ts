// SPDX-License-Identifier: Apache-2.0
// The processes of the bench: the operator, whose costs are read from /proc, and the simulated agents.
import { fork, spawn, type ChildProcess } from 'node:child_process'
import { generateKeyPairSync } from 'node:crypto'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { agentId } from '../../proto/enrolment.ts'
import { Authority, renewAuthorities } from '../../runtime/authority.ts'
import type { AgentsOrder, Order, Told } from './agents.ts'
import { nodeName, reported } from './world.ts'

const TREE = join(import.meta.dirname, '../..')
const DAY_MS = 86_400_000
const AUTHORITY = { commonName: 'merlon authority', keyType: 'ec', lifeMs: 365 * DAY_MS, leafMs: DAY_MS } as const

/** As in Dockerfile.operator, without the cache of compiled code: each start is a first one. */
const IMAGE_ENVIRONMENT = { NODE_ENV: 'production', MALLOC_ARENA_MAX: '1', MALLOC_MMAP_THRESHOLD_: '65536', MALLOC_TOP_PAD_: '32768', NODE_OPTIONS: '--max-semi-space-size=4' }

/** For a profile of the operator: --cpu-prof. */
function nodeOptions(): readonly string[] {
  return (process.env['MERLON_BENCH_NODE_OPTIONS'] ?? '').split(' ').filter((option) => option !== '')
}

/** What agents would enrol for; here it is there before. */
export class Identities {
  readonly directory: string
  readonly #authority: Authority
  readonly #made = new Map<string, { certificate: string; privateKey: string; trust: string }>()

  constructor(directory: string) {
    this.directory = directory
    mkdirSync(directory, { recursive: true })
    const list = renewAuthorities([], AUTHORITY, Date.now())
    writeFileSync(join(directory, 'authority.json'), JSON.stringify({ 'authorities.json': JSON.stringify(list) }), { mode: 0o600 })
    writeFileSync(join(directory, 'tokens'), '')
    this.#authority = new Authority(list, AUTHORITY)
  }

  of(node: string): { certificate: string; privateKey: string; trust: string } {
    const known = this.#made.get(node)
    if (known) return known
    const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const { certificate } = this.#authority.issue({ commonName: 'agent', publicKey, uris: [agentId(node)], use: ['client'] }, Date.now())
    const made = { certificate, privateKey: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(), trust: this.#authority.trust(Date.now()) }
    this.#made.set(node, made)
    return made
  }
}

export class OperatorProcess {
  readonly startedAt = performance.timeOrigin + performance.now()
  readonly address: Promise<string>
  readonly http: Promise<string>
  readonly #child: ChildProcess
  readonly #ended: Promise<void>

  constructor(kubeconfig: string, identities: string, log: string) {
    const args = ['--kubeconfig', kubeconfig, '--namespace', 'kubearmor', '--listen', '127.0.0.1:0', '--tls', identities, '--http', '127.0.0.1:0']
    this.#child = spawn(process.execPath, [...nodeOptions(), join(TREE, 'build/bundle/operator/main.mjs'), ...args], { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...IMAGE_ENVIRONMENT } })
    this.#ended = new Promise((resolve) => this.#child.on('close', () => resolve()))
    const address = Promise.withResolvers<string>()
    const http = Promise.withResolvers<string>()
    const { stdout, stderr } = this.#child
    if (!stdout || !stderr) throw new Error('Cannot read what the operator says')
    createInterface({ input: stdout }).on('line', (line) => address.resolve(line.replace('ready ', '')))
    writeFileSync(log, '')
    createInterface({ input: stderr }).on('line', (line) => {
      writeFileSync(log, `${line}\n`, { flag: 'a' })
      if (line.includes('"Serving health"')) http.resolve((JSON.parse(line) as { address: string }).address)
    })
    void this.#ended.then(() => address.reject(new Error(`The operator ended: see ${log}`)))
    this.address = address.promise
    this.http = http.promise
  }

  /** Seconds of processor time so far. */
  cpuSeconds(): number {
    const fields = readFileSync(`/proc/${this.#child.pid}/stat`, 'utf8').replace(/^.*\) /, '').split(' ')
    // utime and stime, in hundredths of a second.
    return (Number(fields[11]) + Number(fields[12])) / 100
  }

  memoryMb(field: 'VmRSS' | 'VmHWM'): number {
    return Number(new RegExp(`${field}:\\s+(\\d+) kB`).exec(readFileSync(`/proc/${this.#child.pid}/status`, 'utf8'))?.[1]) / 1024
  }

  /** Megabytes: what the heap has, of what it took, and what is outside of it. */
  async heapMb(): Promise<string> {
    const text = await (await fetch(`http://${await this.http}/metrics`)).text()
    const read = (name: string): string => (Number(new RegExp(`^${name} (\\S+)$`, 'm').exec(text)?.[1]) / 1e6).toFixed(0)
    return `heap ${read('nodejs_heap_size_used_bytes')} of ${read('nodejs_heap_size_total_bytes')}, outside ${read('nodejs_external_memory_bytes')}`
  }

  async stop(): Promise<void> {
    this.#child.kill('SIGTERM')
    await this.#ended
  }
}

/** All agents, in a few processes. */
export class Agents {
  readonly #children: readonly ChildProcess[]
  readonly #listeners = new Set<(told: Told) => void>()

  constructor(processes: number) {
    this.#children = Array.from({ length: processes }, () => fork(join(import.meta.dirname, 'agents.ts')))
    for (const child of this.#children) {
      child.on('message', (told: Told) => {
        for (const listener of this.#listeners) listener(told)
      })
      child.on('exit', (code) => {
        if (code !== 0 && code !== null) throw new Error(`A process of agents ended with ${code}`)
      })
    }
  }

  start(address: string, count: number, identities: Identities): void {
    this.#children.forEach((child, index) => {
      const mine = Array.from({ length: count }, (_, node) => node).filter((node) => node % this.#children.length === index)
      const order: AgentsOrder = { address, nodes: mine.map(reported), identities: Object.fromEntries(mine.map((node) => [nodeName(node), identities.of(nodeName(node))])) }
      this.#send(child, { kind: 'start', order })
    })
  }

  /** Resolves when every agent looks for this policy. */
  async expect(policy: string): Promise<void> {
    const expecting = this.gather(this.#children.length, (told) => (told.kind === 'expecting' && told.policy === policy ? String(told.process) : undefined))
    for (const child of this.#children) this.#send(child, { kind: 'expect', policy })
    await expecting
  }

  listen(listener: (told: Told) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** What is told until `count` different ones were, by `keyOf`; undefined keys do not count. */
  gather(count: number, keyOf: (told: Told) => string | undefined, limitMs = 120_000): Promise<Map<string, Told>> {
    const found = new Map<string, Told>()
    return new Promise((resolve, reject) => {
      const limit = setTimeout(() => reject(new Error(`Only ${found.size} of ${count} agents within ${limitMs / 1000} s`)), limitMs)
      const stop = this.listen((told) => {
        const key = keyOf(told)
        if (key !== undefined) found.set(key, told)
        if (found.size < count) return
        clearTimeout(limit)
        stop()
        resolve(found)
      })
    })
  }

  async stop(): Promise<void> {
    const ended = this.#children.map((child) => new Promise((resolve) => child.on('exit', resolve)))
    for (const child of this.#children) this.#send(child, { kind: 'stop' })
    await Promise.all(ended)
  }

  #send(child: ChildProcess, order: Order): void {
    child.send(order)
  }
}
