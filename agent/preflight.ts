// SPDX-License-Identifier: Apache-2.0
// What this machine lacks, one sentence each, before anything is loaded.
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, statfsSync, statSync } from 'node:fs'
import { endianness } from 'node:os'
import { dirname, resolve } from 'node:path'
import { findCgroupRoot } from './containers/cgroups.ts'
import { reasonOf, type AgentErrorCode, type AgentProblem } from './errors.ts'

/** BPF_FS_MAGIC of linux/magic.h. */
const BPFFS_MAGIC = 0xcafe4a11
const LSM_LIST = '/sys/kernel/security/lsm'
const BTF = '/sys/kernel/btf/vmlinux'

export interface Machine {
  readonly isLittleEndian: boolean
  readonly isRoot: boolean
  readonly hasBtf: boolean
  /** Active LSMs; undefined where the list cannot be read. */
  readonly lsms: readonly string[] | undefined
  readonly cgroupRoot: string | undefined
  /** Undefined: a bpffs is there. Otherwise why there is none. */
  readonly bpffsProblem: string | undefined
}

export interface Preflight {
  readonly problems: readonly AgentProblem[]
  /** False: nothing can be enforced on this machine as it is. */
  readonly canEnforce: boolean
  readonly abilities: { readonly bpf_lsm: boolean; readonly btf: boolean; readonly cgroup_v2: boolean; readonly reasons: string[] }
}

export function judge(machine: Machine): Preflight {
  const problems: AgentProblem[] = []
  const demand = (isThere: boolean, code: AgentErrorCode, message: string): void => {
    if (!isThere) problems.push({ code, message })
  }
  const hasLsm = machine.lsms?.includes('bpf') === true
  demand(machine.isLittleEndian, 'MERLON_AGENT_BIG_ENDIAN', 'This machine is big-endian')
  demand(machine.isRoot, 'MERLON_AGENT_NOT_ROOT', 'The agent does not run as root')
  demand(machine.hasBtf, 'MERLON_AGENT_NO_BTF', `The kernel does not offer its types (${BTF} is not there)`)
  demand(hasLsm, 'MERLON_AGENT_NO_BPF_LSM', machine.lsms === undefined
    ? `The list of active LSMs cannot be read (${LSM_LIST}; mount securityfs)`
    : `bpf is not among the active LSMs (${machine.lsms.join(',')})`)
  demand(machine.cgroupRoot !== undefined, 'MERLON_AGENT_NO_CGROUP2', 'No cgroup v2 hierarchy is mounted on /sys/fs/cgroup')
  demand(machine.bpffsProblem === undefined, 'MERLON_AGENT_NO_BPFFS', `There is no bpffs for the pins: ${machine.bpffsProblem}`)
  return {
    problems,
    canEnforce: problems.length === 0,
    abilities: { bpf_lsm: hasLsm, btf: machine.hasBtf, cgroup_v2: machine.cgroupRoot !== undefined, reasons: problems.map((problem) => problem.message) },
  }
}

/** Looks at this machine. Mounts bpffs and securityfs where they are missing and it may. */
export function lookAround(bpffs: string): Machine {
  const isRoot = process.geteuid?.() === 0
  if (isRoot && !existsSync(LSM_LIST)) tryMount('securityfs', '/sys/kernel/security')
  return {
    isLittleEndian: endianness() === 'LE',
    isRoot,
    hasBtf: existsSync(BTF),
    lsms: readLsms(),
    cgroupRoot: findCgroupRoot(),
    bpffsProblem: isBpffs(resolve(bpffs)) ? undefined : mountBpffs(resolve(bpffs), isRoot),
  }
}

function readLsms(): string[] | undefined {
  try {
    return readFileSync(LSM_LIST, 'utf8').trim().split(',')
  } catch {
    return undefined
  }
}

/** Whether this directory is in a bpffs, or would be once it is made. */
export function isBpffs(path: string): boolean {
  try {
    return existsSync(path) ? statfsSync(path).type === BPFFS_MAGIC : dirname(path) !== path && isBpffs(dirname(path))
  } catch {
    return false
  }
}

/** Nothing is ever hidden under a mount: a directory that somebody uses is not taken for a mount point. */
export function mountBpffs(path: string, isRoot: boolean): string | undefined {
  if (!isRoot) return `${path} is not one, and only root can mount it`
  if (existsSync(path) && (!statSync(path).isDirectory() || readdirSync(path).length > 0)) return `${path} is not one, and not an empty directory that one could be mounted on`
  const problem = tryMount('bpf', path)
  return problem ?? (isBpffs(path) ? undefined : `${path} is still not one after mounting`)
}

function tryMount(type: string, path: string): string | undefined {
  try {
    // Not recursive: in /proc, where mkdir(2) says ENOENT for ever, Node's recursive form never ends.
    if (!existsSync(path)) mkdirSync(path)
    execFileSync('mount', ['-t', type, type, path], { stdio: ['ignore', 'ignore', 'pipe'] })
    return undefined
  } catch (error) {
    return `cannot mount ${path}: ${reasonOf(error).split('\n').at(-1)}`
  }
}
