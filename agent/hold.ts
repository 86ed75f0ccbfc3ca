// SPDX-License-Identifier: Apache-2.0
// Unknown containers whose first exec the kernel side has stopped (bpf/exec.bpf.h). Each is identified, bound and let go; where nobody
// claims it, or the operator is away, the --unbound setting decides, and that is said.
import { basename, join } from 'node:path'
import type { BpfMap } from '../native/types.ts'
import type { Clock } from '../runtime/clock.ts'
import { encodeHeld, HELD, u64 } from './abi.ts'
import { cgroupIdOf, processesIn } from './containers/cgroups.ts'
import type { Container } from './containers/source.ts'
import { heldPath, readHeld, release, type Resume } from './held.ts'

/** A runtime writes its state file before the first exec, but the file may come a moment after the event. */
export const CLAIM_MS = 1_500
/** The operator is given so long to answer while it is away ... */
export const AWAY_MS = 2_000
/** ... and so long while it is there. */
export const ANSWER_MS = 5_000
const CHECK_MS = 50

export type Unbound = 'allow' | 'audit' | 'block'

export interface HolderOptions {
  readonly held: BpfMap
  readonly unbound: Unbound
  readonly cgroupRoot: string
  readonly clock: Clock
  /** Containers that are known now, after a fresh look. */
  readonly containers: () => readonly Container[]
  /** Whether a binding of this cgroup decides for what is below it. */
  readonly covers: (cgroupId: bigint) => boolean
  readonly isAnswered: (workload: string) => boolean
  /** Asks the operator for this container first, or tells it that the container waits no longer. */
  readonly announce: (container: Container, isWaiting: boolean) => void
  /** Milliseconds that the operator has been away; 0 while it is there. */
  readonly awayMs: () => number
  readonly notify: (level: 'info' | 'warn', message: string) => void
  readonly resume: Resume
  readonly proc?: string
}

interface Waiting {
  readonly cgroupId: bigint
  readonly tgid: number
  readonly path: string
  readonly since: number
  container: Container | undefined
  isSaid: boolean
}

export class Holder {
  readonly #options: HolderOptions
  readonly #waiting = new Map<bigint, Waiting>()
  /** Paths of cgroups that were released, to forget them when they are gone. */
  readonly #released = new Map<bigint, string>()
  #isChecking = false

  constructor(options: HolderOptions) {
    this.#options = options
  }

  /** How many containers wait. */
  get size(): number {
    return this.#waiting.size
  }

  /** An event of kind HELD. More than one may come for a cgroup: every further exec there is stopped too. */
  onHeld(cgroupId: bigint, tgid: number): void {
    if (this.#waiting.has(cgroupId)) return
    const { clock } = this.#options
    const path = heldPath(cgroupId, tgid, this.#options)
    if (path === undefined) {
      // The task was killed, or moved: others of its cgroup that stop from here on bring events of their own.
      this.#options.held.delete(u64(cgroupId))
      return
    }
    if (this.#released.get(cgroupId) === path) {
      // Its stop crossed with the release of the others.
      for (const pid of processesIn(path)) this.#options.resume(pid)
      return
    }
    this.#waiting.set(cgroupId, { cgroupId, tgid, path, since: clock.monotonic(), container: undefined, isSaid: false })
    this.check()
    this.#schedule()
  }

  /**
   * The agent's own cgroup, where it runs in a container: nothing is held there. Starting a process blocks until that has executed its program, so the
   * agent would wait for an exec that only the agent lets go.
   */
  exempt(path: string): void {
    const cgroupId = cgroupIdOf(path)
    if (cgroupId === undefined) return
    this.#options.held.update(u64(cgroupId), encodeHeld(HELD.RESUMED, process.pid))
    this.#released.set(cgroupId, path)
  }

  /** At start: what an earlier agent left stopped is taken up, what is gone is forgotten. */
  adopt(): void {
    const { held, resume } = this.#options
    for (const { cgroupId, tgid, state, path } of readHeld(held, this.#options)) {
      if (path === undefined) held.delete(u64(cgroupId))
      else if (state === HELD.WAITING) this.onHeld(cgroupId, tgid)
      else {
        // Decided, but the agent ended before it could wake them.
        if (state === HELD.RELEASED) release(held, { cgroupId, tgid, path }, resume)
        this.#released.set(cgroupId, path)
      }
    }
  }

  /** Looks at everything that waits: call it when containers or bindings changed. */
  check(): void {
    if (this.#waiting.size === 0 || this.#isChecking) return
    // Looking for containers brings changes, which bring us here again.
    this.#isChecking = true
    const containers = this.#options.containers()
    for (const entry of this.#waiting.values()) this.#checkOne(entry, containers)
    this.#isChecking = false
  }

  /** At the end of the agent nobody would let them go. With `block` they wait for the next agent. */
  stop(): void {
    for (const entry of this.#waiting.values()) if (this.#options.unbound !== 'block') this.#release(entry)
  }

  /** Forgets cgroups that are gone. Call it from time to time. */
  sweep(): void {
    for (const [cgroupId, path] of this.#released) {
      if (cgroupIdOf(path) === cgroupId) continue
      this.#released.delete(cgroupId)
      this.#options.held.delete(u64(cgroupId))
    }
  }

  #schedule(): void {
    this.#options.clock.after(CHECK_MS, () => {
      this.check()
      if (this.#waiting.size > 0) this.#schedule()
    })
  }

  #checkOne(entry: Waiting, containers: readonly Container[]): void {
    const { announce, isAnswered } = this.#options
    if (cgroupIdOf(entry.path) !== entry.cgroupId) return this.#forget(entry)
    if (this.#isCovered(entry.path)) return this.#release(entry)
    const found = nearest(containers, entry.path)
    const isNew = found !== undefined && found.id !== entry.container?.id
    if (isNew) {
      entry.container = found
      announce(found, true)
      // The answer may be here already, from before the container was held.
      if (this.#isCovered(entry.path)) return this.#release(entry)
    }
    // No policy selects it.
    if (found && isAnswered(found.id)) return this.#release(entry)
    if (!found && isUnit(entry.path)) return this.#release(entry)
    const why = this.#overdue(entry, found !== undefined)
    if (why !== undefined) this.#giveUp(entry, why)
  }

  /** Why nobody is waited for any longer. */
  #overdue(entry: Waiting, isClaimed: boolean): string | undefined {
    const waited = this.#options.clock.monotonic() - entry.since
    if (!isClaimed) return waited >= CLAIM_MS ? 'no container runtime claims it' : undefined
    if (waited >= AWAY_MS && this.#options.awayMs() > 0) return 'the operator is away'
    return waited >= ANSWER_MS ? 'no profile has come into force for it' : undefined
  }

  #giveUp(entry: Waiting, why: string): void {
    const { unbound, notify } = this.#options
    const what = entry.container ? `Container ${entry.container.id}` : `Cgroup ${entry.path}`
    if (unbound === 'block') {
      if (!entry.isSaid) notify('warn', `${what} waits before its first instruction: ${why}, and unbound containers are blocked`)
      entry.isSaid = true
      return
    }
    notify(unbound === 'audit' ? 'warn' : 'info', `${what} runs without a profile of its own: ${why}`)
    this.#release(entry)
  }

  #release(entry: Waiting): void {
    const { held, announce, resume } = this.#options
    this.#waiting.delete(entry.cgroupId)
    this.#released.set(entry.cgroupId, entry.path)
    release(held, entry, resume)
    if (entry.container) announce(entry.container, false)
  }

  #forget(entry: Waiting): void {
    this.#waiting.delete(entry.cgroupId)
    this.#options.held.delete(u64(entry.cgroupId))
  }

  /** Whether this cgroup is bound, or one above it for all that is below. The root is not asked: its binding is the host's. */
  #isCovered(path: string): boolean {
    const { cgroupRoot, covers } = this.#options
    for (let at = path; at !== cgroupRoot && at.length > cgroupRoot.length; at = join(at, '..')) {
      const id = cgroupIdOf(at)
      if (id !== undefined && covers(id)) return true
    }
    return false
  }
}

/**
 * Whether systemd made this cgroup for a service, a slice or a login of the node itself, whose processes may have a mount namespace of their
 * own (PrivateTmp= and the like): it is nobody's container. The scopes that container engines ask systemd for (docker-<id>.scope,
 * crun-<id>.scope) have other names, and a container that runs in its service's own cgroup is claimed by its runtime.
 */
export function isUnit(path: string): boolean {
  return /\.(service|slice)$|^(init|session-[^-]+|(app|run)-.+)\.scope$/.test(basename(path))
}

/** The container whose cgroup this is, or the innermost one around it: runtimes and containers make cgroups of their own below. */
function nearest(containers: readonly Container[], path: string): Container | undefined {
  let best: Container | undefined
  for (const container of containers) {
    const isAround = path === container.cgroupPath || path.startsWith(`${container.cgroupPath}/`)
    if (isAround && container.cgroupPath.length > (best?.cgroupPath.length ?? 0)) best = container
  }
  return best
}
