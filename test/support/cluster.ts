// SPDX-License-Identifier: Apache-2.0
// A real Kubernetes API on this machine: etcd and kube-apiserver on ports of the loopback that are theirs, also while they are down; controller-manager
// and scheduler where they are wanted. Everything that it writes is in one directory.

import { spawn, type ChildProcess } from 'node:child_process'
import { closeSync, openSync, readFileSync } from 'node:fs'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { provideProgram, type Program } from './kube/binaries.ts'
import { kubeconfigText, makeTrust, readTrust, type Trust } from './kube/certificates.ts'
import { KubeClient } from './kube/client.ts'
import { reservePorts } from './ports.ts'

export { KubeClient, KubeError, type KubeObject } from './kube/client.ts'

export interface ClusterOptions {
  /** Default: a temporary one, removed by stop(). */
  readonly directory?: string
  /** Goes on when this process ends. */
  readonly detached?: boolean
  /** Controllers of kube-controller-manager, as its --controllers has them: '*', 'namespace-controller', ... Default: it is not started. */
  readonly controllers?: readonly string[]
  readonly scheduler?: boolean
  readonly port?: number
  /** Further flags of the API server. */
  readonly apiServer?: readonly string[]
  /** Users beside admin, and their groups. */
  readonly users?: Readonly<Record<string, readonly string[]>>
}

export interface Part {
  readonly name: Program
  readonly pid: number
  /** SIGSTOP makes it hang, SIGCONT ends that. */
  signal(name: NodeJS.Signals): void
  /** Kills it and waits for its end. */
  kill(): Promise<void>
  readonly hasEnded: boolean
}

/** Far beyond what a starved machine needs: it ends a wait that would never end. */
const READY_MS = 600_000
const LOOPBACK = '127.0.0.1'

export class Cluster {
  readonly directory: string
  readonly server: string
  readonly kubeconfig: string
  readonly client: KubeClient
  readonly trust: Trust
  readonly parts = new Map<Program, Part>()
  readonly #detached: boolean
  readonly #temporary: boolean
  readonly #ports: { readonly api: number; readonly etcd: number; readonly peer: number }
  readonly #strict: boolean

  private constructor(setup: { directory: string; temporary: boolean; options: ClusterOptions; trust: Trust; ports: Cluster['ports'] }) {
    this.directory = setup.directory
    this.trust = setup.trust
    this.#detached = setup.options.detached ?? false
    this.#temporary = setup.temporary
    this.#ports = setup.ports
    // Without the controller that makes service accounts, no pod could be created.
    this.#strict = setup.options.controllers?.some((name) => name === '*' || name === 'serviceaccount-controller') ?? false
    this.server = `https://${LOOPBACK}:${setup.ports.api}`
    this.kubeconfig = join(setup.directory, 'kubeconfig')
    this.client = new KubeClient(this.server, setup.trust)
  }

  get ports(): { readonly api: number; readonly etcd: number; readonly peer: number } {
    return this.#ports
  }

  /** Starts it and waits until it is ready. */
  static async start(options: ClusterOptions = {}): Promise<Cluster> {
    const directory = options.directory ?? (await mkdtemp(join(tmpdir(), 'merlon-cluster-')))
    await mkdir(directory, { recursive: true, mode: 0o700 })
    const [api, etcd, peer] = await reservePorts(3)
    const trust = await makeTrust(directory, options.users)
    const ports = { api: options.port ?? api ?? 0, etcd: etcd ?? 0, peer: peer ?? 0 }
    const cluster = new Cluster({ directory, temporary: options.directory === undefined, options, trust, ports })
    await writeFile(cluster.kubeconfig, kubeconfigText(cluster.server, trust), { mode: 0o600 })
    try {
      await cluster.startEtcd()
      await cluster.startApiServer(options.apiServer)
      if (options.controllers) await cluster.startControllerManager(options.controllers)
      if (options.scheduler) await cluster.startScheduler()
    } catch (error) {
      await cluster.stop()
      throw error
    }
    return cluster
  }

  async startEtcd(): Promise<Part> {
    const { etcd, peer } = this.#ports
    const client = `http://${LOOPBACK}:${etcd}`
    return this.#start('etcd', ['--data-dir', join(this.directory, 'etcd'), '--listen-client-urls', client, '--advertise-client-urls', client,
      '--listen-peer-urls', `http://${LOOPBACK}:${peer}`, '--initial-advertise-peer-urls', `http://${LOOPBACK}:${peer}`, '--initial-cluster', `default=http://${LOOPBACK}:${peer}`,
      '--unsafe-no-fsync', '--log-level', 'error'])
  }

  /** Resolves when it is ready. */
  async startApiServer(more: readonly string[] = []): Promise<Part> {
    const at = (name: string): string => join(this.directory, name)
    const part = await this.#start('kube-apiserver', [`--etcd-servers=http://${LOOPBACK}:${this.#ports.etcd}`, `--secure-port=${this.#ports.api}`, `--bind-address=${LOOPBACK}`,
      `--tls-cert-file=${at('api.crt')}`, `--tls-private-key-file=${at('api.key')}`, `--client-ca-file=${at('ca.crt')}`, `--token-auth-file=${at('tokens.csv')}`,
      '--service-account-issuer=https://kubernetes.default.svc', `--service-account-key-file=${at('sa.key')}`, `--service-account-signing-key-file=${at('sa.key')}`,
      '--authorization-mode=Node,RBAC', '--service-cluster-ip-range=10.96.0.0/16', '--allow-privileged', '--kubelet-preferred-address-types=Hostname',
      ...(this.#strict ? [] : ['--disable-admission-plugins=ServiceAccount']), ...more])
    await this.#ready(part)
    return part
  }

  async startControllerManager(controllers: readonly string[]): Promise<Part> {
    const credentials = ['kubeconfig', 'authentication-kubeconfig', 'authorization-kubeconfig'].map((name) => `--${name}=${this.kubeconfig}`)
    const [port] = await reservePorts(1)
    return this.#start('kube-controller-manager', [...credentials, `--controllers=${controllers.join(',')}`, `--service-account-private-key-file=${join(this.directory, 'sa.key')}`,
      `--root-ca-file=${join(this.directory, 'ca.crt')}`, '--leader-elect=false', `--bind-address=${LOOPBACK}`, `--secure-port=${port}`, '--use-service-account-credentials=false'])
  }

  async startScheduler(): Promise<Part> {
    const credentials = ['kubeconfig', 'authentication-kubeconfig', 'authorization-kubeconfig'].map((name) => `--${name}=${this.kubeconfig}`)
    const [port] = await reservePorts(1)
    return this.#start('kube-scheduler', [...credentials, '--leader-elect=false', `--bind-address=${LOOPBACK}`, `--secure-port=${port}`])
  }

  part(name: Program): Part {
    const found = this.parts.get(name)
    if (!found) throw new Error(`${name} does not run`)
    return found
  }

  /** The end of what a part has logged. */
  log(name: Program): string {
    return readFileSync(join(this.directory, `${name}.log`), 'utf8').slice(-3000)
  }

  /** Ends all parts, and removes the directory if it is a temporary one. */
  async stop(): Promise<void> {
    this.client.close()
    for (const part of [...this.parts.values()].toReversed()) await part.kill()
    if (this.#temporary) await rm(this.directory, { recursive: true, force: true })
  }

  async #start(name: Program, args: readonly string[]): Promise<Part> {
    const program = await provideProgram(name)
    const log = openSync(join(this.directory, `${name}.log`), 'a')
    // A test that is killed leaves nothing behind: the kernel kills what it started.
    const [file, first] = this.#detached ? [program, []] : ['setpriv', ['--pdeathsig', 'KILL', '--', program]]
    const child = spawn(file, [...first, ...args], { cwd: this.directory, stdio: ['ignore', log, log], detached: this.#detached })
    closeSync(log)
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    child.once('spawn', () => resolve())
    child.once('error', reject)
    await promise
    if (this.#detached) child.unref()
    const part = partOf(name, child)
    this.parts.set(name, part)
    return part
  }

  async #ready(part: Part): Promise<void> {
    const deadline = performance.now() + READY_MS
    let last: unknown
    while (performance.now() < deadline) {
      try {
        const answer = await this.client.get('/readyz')
        if (answer['text'] === 'ok') return
      } catch (error) {
        last = error
      }
      if (part.hasEnded) throw new Error(`MERLON_TEST_CLUSTER: The API server ended before it was ready:\n${this.log('kube-apiserver')}`)
      await new Promise((resolve) => setTimeout(resolve, 100))
    }
    throw new Error(`MERLON_TEST_CLUSTER: The API server was not ready within ${READY_MS / 1000} s (${String(last)}):\n${this.log('kube-apiserver')}`)
  }
}

function partOf(name: Program, child: ChildProcess): Part {
  let over = false
  const end = new Promise<void>((resolve) => child.once('exit', () => {
    over = true
    resolve()
  }))
  return {
    name,
    pid: child.pid ?? 0,
    get hasEnded() { return over },
    signal: (signal) => void child.kill(signal),
    async kill() {
      if (over) return
      child.kill('SIGKILL')
      await end
    },
  }
}

/** Where the runner says that its API server is, for test files that can share one. */
export const SHARED = 'MERLON_TEST_CLUSTER'

/** What test files need of an API server that they share. */
export interface SharedCluster {
  readonly server: string
  readonly kubeconfig: string
  readonly client: KubeClient
  /** Ends what this file started: nothing where the runner provides. */
  stop(): Promise<void>
}

/** The runner's API server, or one of this file's own when it is run alone. Files run one after another, and leave no object behind. */
export async function sharedCluster(): Promise<SharedCluster> {
  const directory = process.env[SHARED]
  if (directory === undefined) return Cluster.start()
  const kubeconfig = join(directory, 'kubeconfig')
  const config = JSON.parse(readFileSync(kubeconfig, 'utf8')) as { clusters: { cluster: { server: string } }[] }
  const server = config.clusters[0]?.cluster.server ?? ''
  const client = new KubeClient(server, await readTrust(directory))
  return { server, kubeconfig, client, stop: async () => client.close() }
}
