// SPDX-License-Identifier: Apache-2.0
// Every code that this room can give, with what to do about it. A code is also the label of its metric and its place in the docs.

export const AGENT_ERRORS = {
  MERLON_AGENT_NOT_ROOT: 'Run the agent as root: BPF LSM programs and LSM attachment need CAP_BPF, CAP_PERFMON and CAP_SYS_ADMIN.',
  MERLON_AGENT_NO_BTF: 'Use a kernel with CONFIG_DEBUG_INFO_BTF=y: without its types no BPF LSM program can be attached.',
  MERLON_AGENT_NO_BPF_LSM: 'Add bpf to the lsm= parameter of the kernel and boot again: nothing can be blocked or audited before that.',
  MERLON_AGENT_NO_CGROUP2: 'Mount cgroup v2 (systemd.unified_cgroup_hierarchy=1): workloads are told apart by their cgroup.',
  MERLON_AGENT_NO_BPFFS: 'Mount bpffs (mount -t bpf bpf /sys/fs/bpf): enforcement that outlives the agent is pinned there.',
  MERLON_AGENT_BIG_ENDIAN: 'Use a little-endian machine: the tables are little-endian and are not converted.',
  MERLON_AGENT_NO_PROGRAMS: 'Build them (make build), or say with --bpf-object where they are.',
  MERLON_AGENT_LOAD_FAILED: 'Report this with the kernel version and the log of the verifier; what was in force stays in force.',
  MERLON_AGENT_NOT_PERMITTED: 'Run the agent where root may load BPF LSM programs: not in a container without privileges, nor in a sandbox that filters bpf(2).',
  MERLON_AGENT_ALREADY_RUNS: 'Stop it first (merlon up, where that started it); a second agent beside it needs a --pin-directory of its own.',
  MERLON_AGENT_PINS_DAMAGED: 'Nothing to do: what still enforces stays until its replacement is in force.',
  MERLON_AGENT_PINS_LOST: 'Nothing to do: the agent ends, and the next one loads everything anew. Find out who removes pins below --pin-directory.',
  MERLON_AGENT_NOT_ENFORCED: 'The policy asks what this agent has no program for; the rest of it is in force. See which words Hello says under enforced.',
  MERLON_AGENT_TABLE_INVALID: 'The operator and the agent disagree about the table format, or bytes were damaged on the way; the last good table stays.',
  MERLON_AGENT_TABLE_MISSING: 'The operator took the agent to hold a table that it does not hold, and sends it again; if this stays, restart the agent: enforcement goes on meanwhile.',
  MERLON_AGENT_PROFILE_UNKNOWN: 'The operator took the agent to know a profile that it does not know, and sends it again; the workload keeps what it had until then.',
  MERLON_AGENT_SLOTS_FULL: 'Too many distinct profiles on this node for the map tables; the workload keeps what it had.',
  MERLON_AGENT_COUNTERS_FULL: 'Too many rules on this node for the map counters; the workload keeps what it had.',
  MERLON_AGENT_MAP_WRITE: 'The kernel refused a map update; the workload keeps what it had.',
  MERLON_AGENT_INTERNAL: 'Report this defect with the log of the agent; what was in force stays in force.',
  MERLON_AGENT_CANARY: 'The probe that must be refused was not: enforcement on this node is not proven. Look at the message.',
} as const

export type AgentErrorCode = keyof typeof AGENT_ERRORS

/** Something that failed and is reported, not thrown. `message` says what failed; the table above says what to do. */
export interface AgentProblem {
  readonly code: AgentErrorCode
  readonly message: string
  /** Workload id; absent: the whole node. */
  readonly workload?: string
}

export function describe(problem: AgentProblem): string {
  return `${problem.message}. ${AGENT_ERRORS[problem.code]} [${problem.code}]`
}

/** What a caught value says, in one line. */
export function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

/** errno name of a failed call, such as ENOENT; empty where there is none. */
export function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : ''
}
