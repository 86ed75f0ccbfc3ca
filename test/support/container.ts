// SPDX-License-Identifier: Apache-2.0
// Real containers for tests that run inside a guest: an OCI bundle, and crun or runc to run it. Roots are overlay mounts, as
// containerd makes them; nothing here knows about Merlon.

import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'

export type Runtime = 'crun' | 'runc'
/** `debian`: merged-usr, /bin/sh is dash. `busybox`: /bin is a directory, all programs are links to /bin/busybox. */
export type Root = 'debian' | 'busybox'

export const RUNTIMES: readonly Runtime[] = ['crun', 'runc']
export const ROOTS: readonly Root[] = ['debian', 'busybox']

export type ContainerOptions = {
  runtime: Runtime
  root: Root
  args: readonly string[]
  /** Default: a fresh one. */
  id?: string
  env?: Readonly<Record<string, string>>
  /** Default /. */
  cwd?: string
  /** Below /sys/fs/cgroup. Default `/merlon-test/<id>`. */
  cgroupsPath?: string
  annotations?: Readonly<Record<string, string>>
  uid?: number
  /** More bind mounts: path here, path in the container. */
  binds?: readonly { source: string; destination: string; readOnly?: boolean }[]
  /** More than the usual ones, such as CAP_SYS_ADMIN. */
  capabilities?: readonly string[]
  /** Namespaces that the container shares with the guest. Default none. */
  shared?: readonly Namespace[]
}

export type Namespace = 'pid' | 'network' | 'ipc' | 'uts' | 'cgroup'
export type Ended = { status: number; output: string }

const BUNDLES = '/run/merlon-containers'
const CAPABILITIES = [
  'CAP_CHOWN', 'CAP_DAC_OVERRIDE', 'CAP_FSETID', 'CAP_FOWNER', 'CAP_MKNOD', 'CAP_NET_RAW', 'CAP_SETGID', 'CAP_SETUID', 'CAP_SETFCAP',
  'CAP_SETPCAP', 'CAP_NET_BIND_SERVICE', 'CAP_SYS_CHROOT', 'CAP_KILL', 'CAP_AUDIT_WRITE',
]
let count = 0

/** Runs a container to its end. */
export async function runContainer(options: ContainerOptions): Promise<Ended> {
  const container = new Container(options)
  try {
    return await container.run()
  } finally {
    container.delete()
  }
}

/** One container, whose life the caller leads: create and start, or run; then exec, kill, delete. */
export class Container {
  readonly id: string
  /** Directory of the container's cgroup; it exists from create() on. */
  readonly cgroup: string
  readonly bundle: string
  /** The container's root, as the guest sees it. */
  readonly rootfs: string
  readonly #runtime: Runtime

  constructor(options: ContainerOptions) {
    this.id = options.id ?? `test-${process.pid}-${++count}`
    this.#runtime = options.runtime
    this.bundle = join(BUNDLES, this.id)
    this.rootfs = join(this.bundle, 'rootfs')
    const cgroupsPath = options.cgroupsPath ?? `/merlon-test/${this.id}`
    this.cgroup = join('/sys/fs/cgroup', cgroupsPath)
    mountRoot(this.bundle, options.root)
    writeFileSync(join(this.bundle, 'config.json'), JSON.stringify(configuration(options, cgroupsPath), null, 2))
  }

  /** Creates and starts the container. Its standard streams are those of the runtime's process, which lives as long as the container. */
  attach(): ChildProcess {
    return spawn(this.#runtime, ['run', '--bundle', this.bundle, this.id], { stdio: ['pipe', 'pipe', 'inherit'] })
  }

  /** Creates and starts the container, and waits for its end. */
  run(): Promise<Ended> {
    return ended(this.#spawn(['run', '--bundle', this.bundle, this.id]))
  }

  /** Starts the container and returns once its process runs. `ended` settles when that process is gone. */
  async runInBackground(): Promise<{ ended: Promise<Ended> }> {
    const child = this.#spawn(['run', '--bundle', this.bundle, this.id])
    const end = ended(child)
    while (this.state() !== 'running' && child.exitCode === null) await delay(20)
    return { ended: end }
  }

  /** Sets the container up; its process waits for start(). Its output goes to this process. */
  create(): void {
    this.#now(['create', '--bundle', this.bundle, this.id], 'inherit')
  }

  /** Not at once: whoever holds containers must be able to say meanwhile that it lives. */
  async start(): Promise<void> {
    const { status, output } = await ended(this.#spawn(['start', this.id]))
    if (status !== 0) throw new Error(`${this.#runtime} start ended with ${status}: ${output}`)
  }

  exec(args: readonly string[], options: { uid?: number; cwd?: string } = {}): Promise<Ended> {
    const user = options.uid === undefined ? [] : ['--user', String(options.uid)]
    const cwd = options.cwd === undefined ? [] : ['--cwd', options.cwd]
    return ended(this.#spawn(['exec', ...user, ...cwd, this.id, ...args]))
  }

  kill(signal = 'KILL'): void {
    this.#now(['kill', this.id, signal])
  }

  /** `created`, `running`, `stopped`, or `absent`. */
  state(): string {
    return this.#state()?.status ?? 'absent'
  }

  /** Process id of the container's first process, in the guest's numbers. */
  pid(): number {
    const pid = this.#state()?.pid ?? 0
    if (pid === 0) throw new Error(`Container ${this.id} has no process`)
    return pid
  }

  /** Ends the container if it still runs, and removes what it left. */
  delete(): void {
    spawnSync(this.#runtime, ['delete', '--force', this.id])
    spawnSync('umount', ['-l', this.rootfs])
    rmSync(this.bundle, { recursive: true, force: true })
  }

  #state(): { status: string; pid: number } | undefined {
    const { status, stdout } = spawnSync(this.#runtime, ['state', this.id], { encoding: 'utf8' })
    return status === 0 ? (JSON.parse(stdout) as { status: string; pid: number }) : undefined
  }

  #spawn(args: readonly string[]): ChildProcess {
    return spawn(this.#runtime, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  }

  #now(args: readonly string[], output: 'pipe' | 'inherit' = 'pipe'): void {
    const result = spawnSync(this.#runtime, args, { encoding: 'utf8', stdio: ['ignore', output, output] })
    if (result.status !== 0) throw new Error(`${this.#runtime} ${args.join(' ')} ended with ${result.status ?? result.signal}: ${result.stderr ?? ''}`)
  }
}

function ended(child: ChildProcess): Promise<Ended> {
  const chunks: Buffer[] = []
  child.stdout?.on('data', (chunk: Buffer) => chunks.push(chunk))
  child.stderr?.on('data', (chunk: Buffer) => chunks.push(chunk))
  return new Promise((resolve, reject) => {
    child.on('error', reject)
    child.on('close', (status) => resolve({ status: status ?? 128, output: Buffer.concat(chunks).toString('utf8') }))
  })
}

/** What the container writes goes to a tmpfs, and is gone with it. */
function mountRoot(bundle: string, root: Root): void {
  const [upper, work, rootfs] = ['upper', 'work', 'rootfs'].map((each) => join(bundle, each)) as [string, string, string]
  for (const each of [upper, work, rootfs]) mkdirSync(each, { recursive: true })
  const lower = `/var/lib/roots/${root}`
  const result = spawnSync('mount', ['-t', 'overlay', '-o', `lowerdir=${lower},upperdir=${upper},workdir=${work}`, 'container', rootfs], { encoding: 'utf8' })
  if (result.status !== 0) throw new Error(`Cannot mount a container's root: ${result.stderr}`)
}

function configuration(options: ContainerOptions, cgroupsPath: string): object {
  const namespaces = (['pid', 'network', 'ipc', 'uts', 'cgroup'] as const).filter((each) => !options.shared?.includes(each))
  const uid = options.uid ?? 0
  const environment = { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', ...options.env }
  const sets = ['bounding', 'effective', 'permitted'].map((each) => [each, [...CAPABILITIES, ...(options.capabilities ?? [])]])
  return {
    ociVersion: '1.0.2',
    process: {
      terminal: false, user: { uid, gid: uid }, args: options.args, cwd: options.cwd ?? '/', noNewPrivileges: false,
      env: Object.entries(environment).map(([name, value]) => `${name}=${value}`),
      capabilities: Object.fromEntries(sets),
    },
    root: { path: 'rootfs', readonly: false },
    hostname: 'container',
    mounts: mounts(options),
    annotations: options.annotations ?? {},
    linux: {
      cgroupsPath, namespaces: ['mount', ...namespaces].map((type) => ({ type })),
      maskedPaths: ['/proc/kcore', '/proc/keys'], readonlyPaths: ['/proc/sys', '/proc/sysrq-trigger'],
    },
  }
}

function mounts(options: ContainerOptions): object[] {
  const memory = (destination: string, ...flags: string[]): object => ({ destination, type: 'tmpfs', source: 'tmpfs', options: ['nosuid', ...flags] })
  const binds = (options.binds ?? []).map(({ source, destination, readOnly }) => ({
    destination, source, type: 'bind', options: ['rbind', readOnly === true ? 'ro' : 'rw'],
  }))
  return [
    { destination: '/proc', type: 'proc', source: 'proc' },
    memory('/dev', 'mode=755'),
    { destination: '/dev/pts', type: 'devpts', source: 'devpts', options: ['nosuid', 'noexec', 'newinstance', 'ptmxmode=0666', 'mode=0620'] },
    memory('/dev/shm', 'mode=1777'),
    { destination: '/sys', type: 'sysfs', source: 'sysfs', options: ['nosuid', 'noexec', 'nodev', 'ro'] },
    { destination: '/sys/fs/cgroup', type: 'cgroup', source: 'cgroup', options: ['nosuid', 'noexec', 'nodev', 'ro'] },
    memory('/tmp', 'mode=1777'),
    ...binds,
  ]
}
