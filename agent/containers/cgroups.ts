// SPDX-License-Identifier: Apache-2.0
import { existsSync, readFileSync, readdirSync, statfsSync, statSync } from 'node:fs'
import { join } from 'node:path'

/** CGROUP2_SUPER_MAGIC of linux/magic.h. */
const CGROUP2_MAGIC = 0x63677270

/** Where cgroup v2 is mounted: /sys/fs/cgroup, or beside v1 in /sys/fs/cgroup/unified. */
export function findCgroupRoot(candidates: readonly string[] = ['/sys/fs/cgroup', '/sys/fs/cgroup/unified']): string | undefined {
  return candidates.find((path) => existsSync(path) && statfsSync(path).type === CGROUP2_MAGIC)
}

/** Id of a cgroup, undefined when it is gone. On 64-bit kernels it is the directory's inode number (kernfs, since Linux 5.5). */
export function cgroupIdOf(path: string): bigint | undefined {
  return statSync(path, { bigint: true, throwIfNoEntry: false })?.ino
}

/** Directories directly below. */
export function childrenOf(path: string): string[] {
  try {
    return readdirSync(path, { withFileTypes: true }).filter((entry) => entry.isDirectory()).map((entry) => entry.name)
  } catch {
    return []
  }
}

/** All processes of a cgroup and of those below it, in the reader's pid namespace. */
export function processesIn(path: string): number[] {
  return [...ownProcesses(path), ...childrenOf(path).flatMap((name) => processesIn(join(path, name)))]
}

function ownProcesses(path: string): number[] {
  try {
    return readFileSync(join(path, 'cgroup.procs'), 'utf8').split('\n').filter((line) => line !== '').map(Number)
  } catch {
    // Gone, or threaded (EOPNOTSUPP): a threaded cgroup's processes are listed in its domain, above.
    return []
  }
}

/** Path of a process's cgroup v2 below `root`; undefined when the process is gone. */
export function cgroupOfProcess(pid: number, root: string, proc = '/proc'): string | undefined {
  const shown = shownCgroup(pid, proc)
  return shown === undefined ? undefined : join(proc === '/proc' ? namespaceRoot(root) : root, shown)
}

/** This process's own cgroup; undefined: the hierarchy's root, or nowhere to be seen. `pid` is its id as cgroup.procs below `root` has it. */
export function ownCgroup(root: string, pid = process.pid, proc = '/proc'): string | undefined {
  const shown = shownCgroup(pid, proc)
  if (shown !== undefined && shown !== '/' && ownProcesses(join(root, shown)).includes(pid)) return join(root, shown)
  const search = (path: string): string | undefined => {
    for (const name of childrenOf(path)) {
      const below = join(path, name)
      const found = ownProcesses(below).includes(pid) ? below : search(below)
      if (found !== undefined) return found
    }
    return undefined
  }
  return search(root)
}

const namespaceRoots = new Map<string, string>()

/**
 * Where the paths in /proc/PID/cgroup begin for this process: at the root of its cgroup namespace, which for a container is the cgroup that it was started in
 * (cgroup_namespaces(7)); others' paths begin with /.. then. `root` shows all of the hierarchy.
 */
function namespaceRoot(root: string): string {
  let found = namespaceRoots.get(root)
  if (found === undefined) {
    const [shown, own] = [shownCgroup(process.pid, '/proc') ?? '/', ownCgroup(root)]
    const below = shown === '/' ? '' : shown
    found = own?.endsWith(below) ? own.slice(0, own.length - below.length) : root
    namespaceRoots.set(root, found)
  }
  return found
}

function shownCgroup(pid: number, proc: string): string | undefined {
  try {
    const line = readFileSync(`${proc}/${pid}/cgroup`, 'utf8').split('\n').find((entry) => entry.startsWith('0::'))
    return line?.slice('0::'.length)
  } catch {
    return undefined
  }
}
