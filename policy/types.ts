// SPDX-License-Identifier: Apache-2.0
// The nouns of policy/: what a person wrote (Policy), what applies to one workload (Plan), what the kernel gets (Table).

/** 1-based position in a source file; `line` 0 where there is none (an object from an API). */
export interface Position {
  readonly file: string
  readonly line: number
  readonly column: number
}

export type Severity = 'error' | 'warning'

/** What the reader, validator or compiler has to say about one place of an input. */
export interface Finding {
  readonly code: string
  readonly severity: Severity
  readonly message: string
  readonly position: Position
  /** The offending text, as written, cut to 80 characters. */
  readonly text: string
  /** What to do about it. */
  readonly hint: string
}

export type Action = 'Allow' | 'Audit' | 'Block'
export type Kind = 'KubeArmorPolicy' | 'KubeArmorClusterPolicy' | 'KubeArmorHostPolicy' | 'KubeArmorNetworkPolicy'

/** What rules are about. Each section has its own allow-list mode (docs/semantics.md); ingress and egress are those of network policies. */
export type Section = 'process' | 'file' | 'network' | 'dns' | 'capabilities' | 'syscalls' | 'device' | 'preset' | 'ingress' | 'egress'
/** In the order of the reserved clauses (Answer). */
export const SECTIONS: readonly Section[] = ['process', 'file', 'network', 'dns', 'capabilities', 'syscalls', 'device', 'preset', 'ingress', 'egress']

export interface Directory {
  /** Ends in a slash. */
  readonly dir: string
  readonly recursive: boolean
}

/** What process and file rules match, and the path of a syscall rule. */
export type PathMatch =
  | { readonly kind: 'path'; readonly path: string }
  /** The last component of a path, anywhere (`execname`). */
  | { readonly kind: 'name'; readonly name: string }
  | { readonly kind: 'pattern'; readonly pattern: string }
  /** The directory itself and its children, all descendants when recursive. */
  | ({ readonly kind: 'dir' } & Directory)

/** Ports `first` to `last`, of one transport protocol or of every one that has ports. */
export interface PortRange {
  readonly first: number
  readonly last: number
  readonly protocol?: 'TCP' | 'UDP' | 'SCTP'
}

export type Match =
  | PathMatch
  /** An executable reached through a link: by the last component of the name it was executed by (design: multi-call binaries). Made by plan.ts, never read. */
  | { readonly kind: 'invoked'; readonly name: string; readonly path: string }
  /** Section network: a name of PROTOCOLS (names.ts), in lower case. */
  | { readonly kind: 'protocol'; readonly protocol: string }
  /** Section dns: the name and all names under it; as written, but for dots at its ends. */
  | { readonly kind: 'domain'; readonly domain: string }
  /** Section capabilities: a name of CAPABILITIES (names.ts), in lower case, without `cap_`. */
  | { readonly kind: 'capability'; readonly capability: string }
  /** Section syscalls: one name of SYSCALL_NUMBERS (syscalls.ts); with a path, calls that are about such an object. */
  | { readonly kind: 'syscall'; readonly syscall: string; readonly path?: Extract<PathMatch, { readonly kind: 'path' | 'dir' }> }
  /** Section device: numbers of USB; without `class`: ALL. */
  | { readonly kind: 'device'; readonly class?: number; readonly subClass?: number; readonly protocol?: number; readonly level?: number }
  /** Section preset: a name of PRESETS (names.ts). */
  | { readonly kind: 'preset'; readonly preset: string }
  /** Sections ingress and egress. An empty list restricts nothing. `cidrs` are of either family, in any valid spelling. */
  | { readonly kind: 'flow'; readonly cidrs: readonly string[]; readonly ports: readonly PortRange[]; readonly interfaces: readonly string[] }

export function isPathMatch(match: Match): match is PathMatch {
  return match.kind === 'path' || match.kind === 'name' || match.kind === 'pattern' || match.kind === 'dir'
}

/** What may pass: `limit` bytes in each `seconds`, counted for a pod or for a whole policy. */
export interface Quota {
  readonly limit: number
  readonly seconds: number
  readonly level: 'pod' | 'policy'
}

/** One rule as written, with severity, tags, message and action inherited (rule, section, spec). A list in a manifest becomes several rules. */
export interface Rule {
  readonly section: Section
  /** Process and file: a PathMatch; every other section: the kind that names it. */
  readonly match: Match
  readonly action: Action
  readonly readOnly: boolean
  readonly ownerOnly: boolean
  /** Process, file and network; absent: it makes no difference. False: only processes without a terminal are what remains permitted, true: only those with one. */
  readonly pts?: boolean
  /** Process. Absent or empty: any. At most 20. */
  readonly allowedArgs?: readonly string[]
  /** Exact executable paths; with `sourceDirectories` empty too: any source. */
  readonly sources: readonly string[]
  /** Syscalls only. */
  readonly sourceDirectories?: readonly Directory[]
  /** Ingress and egress only. */
  readonly quota?: Quota
  readonly severity: number
  readonly tags: readonly string[]
  readonly message: string
  readonly position: Position
}

export interface LabelExpression {
  readonly key: 'label' | 'namespace'
  readonly operator: 'In' | 'NotIn' | 'Exists' | 'DoesNotExist'
  /** Labels as `key=value` for In and NotIn, as `key` for Exists and DoesNotExist; namespaces by name. */
  readonly values: readonly string[]
}

export interface Selector {
  readonly matchLabels: Readonly<Record<string, string>>
  readonly matchExpressions: readonly LabelExpression[]
  /** From the reserved label kubearmor.io/container.name; empty: every container. */
  readonly containers: readonly string[]
}

/** Enforce: as written. Audit: what it would block is audited. Off: as if it were not there. */
export type Mode = 'Enforce' | 'Audit' | 'Off'
/** The annotation of a policy that says its mode; it counts before `spec.mode`. */
export const MODE_ANNOTATION = 'merlon.io/mode'

export interface Policy {
  readonly kind: Kind
  readonly name: string
  /** Empty for the cluster-scoped kinds. */
  readonly namespace: string
  /** Pod selector; for a host policy, and a network policy without a pod selector, the node selector. */
  readonly selector: Selector
  /** Of a network policy with a pod selector: labels that the pod's node must have. */
  readonly nodeSelector?: Readonly<Record<string, string>>
  /** A network policy: whether it has a pod selector. Without one it is about hosts. */
  readonly selectsPods?: boolean
  /** Absent: Enforce. */
  readonly mode?: Mode
  readonly rules: readonly Rule[]
  readonly position: Position
}

/** What the agent found in a container's root (design: names and links). */
export interface Links {
  /** Links and what they lead to, both absolute and without further links: directories and files that rules name. */
  readonly targets: Readonly<Record<string, string>>
  /** Targets, among those, that do what the name says by which they are executed: `/bin/busybox`. */
  readonly multicall: readonly string[]
}

/** One container, or one host, that policies may select. */
export interface Workload {
  readonly host: boolean
  readonly namespace: string
  readonly pod: string
  readonly container: string
  readonly labels: Readonly<Record<string, string>>
  /** Of the node that a pod runs on: for network policies that select pods by node too. */
  readonly nodeLabels?: Readonly<Record<string, string>>
  /** The pod's, or node's, annotation kubearmor-policy. Absent: enabled. Audited: nothing is blocked, what would be is audited. */
  readonly policy?: 'enabled' | 'disabled' | 'audited'
  /** Absent: the root has not been seen yet, and the well-known links of images are assumed. */
  readonly links?: Links
}

/** What happens to an operation that no rule matches, in a section that is in allow-list mode. */
export type Posture = 'audit' | 'block'

/** Of one workload: each from its namespace's annotation, or else the default for containers or for hosts. Processes have that of files, dns that of the network. */
export interface Postures {
  readonly filePosture: Posture
  /** Absent, like the rest: audit. Ingress and egress have it too. */
  readonly networkPosture?: Posture
  readonly capabilitiesPosture?: Posture
  readonly devicePosture?: Posture
}

/** The verdict words of tables and events, in their numeric order. */
export type Verdict = 'Allow' | 'Audit' | 'Block'
export const VERDICTS: readonly Verdict[] = ['Allow', 'Audit', 'Block']

/** What is asked of a table, in the order of its planes (table.ts) and of enum merlon_op. All that a task does to a path is exec, read or write. */
export type Operation = 'exec' | 'read' | 'write' | 'network' | 'dns' | 'capability' | 'syscall' | 'device' | 'preset' | 'ingress' | 'egress'
export const OPERATIONS: readonly Operation[] = ['exec', 'read', 'write', 'network', 'dns', 'capability', 'syscall', 'device', 'preset', 'ingress', 'egress']

/** What a clause asks beyond object, source, owner and terminal: arguments that are all among `allowed`, or a quota that is not used up. */
export type Condition =
  | { readonly kind: 'arguments'; readonly allowed: readonly string[] }
  /** Each rule has its own count. */
  | { readonly kind: 'quota'; readonly quota: Quota }

/**
 * One clause of a plan: what it applies to, and the verdict that it gives. A rule with readOnly, ownerOnly, pts, allowedArgs or a quota becomes
 * several: for what remains permitted, and for what does not (docs/semantics.md).
 */
export interface Clause {
  readonly section: Section
  readonly match: Match
  /** Aliases applied: every way in which the kernel may see the object. At least one. */
  readonly matches: readonly Match[]
  /** Keys of executables (paths, or as keys.ts writes invoked names), aliases applied. Without these and directories: any source. */
  readonly sources: readonly string[]
  readonly sourceDirectories: readonly Directory[]
  /** Bit `planeOf(operation, owner, tty)` of each plane that the clause applies to (planes.ts). */
  readonly planes: number
  /** An index into the plan's conditions, and whether it must hold or must not. */
  readonly condition?: { readonly index: number; readonly holds: boolean }
  readonly verdict: Verdict
  readonly origin: ClauseOrigin
}

/** Whom a decision is attributed to: what an event says about its policy. */
export interface ClauseOrigin {
  /** Policy name; `DefaultPosture` for a default, `Undecidable` for what could not be decided. */
  readonly policy: string
  readonly kind: Kind | ''
  readonly namespace: string
  /** The rule's action as written; for defaults the verdict. */
  readonly action: Action
  readonly severity: number
  readonly tags: readonly string[]
  readonly message: string
  /** The rule in one line, for people: `process path /bin/ls from /bin/sh`. */
  readonly text: string
  readonly position: Position
}

/** A verdict that no rule gives. */
export interface Reserved {
  readonly verdict: Verdict
  readonly origin: ClauseOrigin
}

/** Rules of one workload, normalised and in order of precedence: the first clause that applies decides. */
export interface Plan {
  readonly clauses: readonly Clause[]
  /** Argument sets first, then quotas. */
  readonly conditions: readonly Condition[]
  /** Default clauses for sections in allow-list mode; absent: unmatched operations are allowed and not counted. */
  readonly defaults: Readonly<Partial<Record<Section, Reserved>>>
  /** Verdicts for what cannot be decided. */
  readonly undecidable: Readonly<Record<Section, Reserved>>
}

/** One operation put to an evaluator or a table. */
export interface Question {
  readonly operation: Operation
  /** The object belongs to the process's user. Absent counts as false, as do the others. */
  readonly owner: boolean
  /** The process has a controlling terminal. */
  readonly tty?: boolean
  /** What it is about: for exec, read and write the path of the object, else its key (keys.ts). Bytes without NUL. */
  readonly path: Uint8Array
  /** For an exec: the last component of the name that was given to execve. */
  readonly invoked?: Uint8Array
  /** For an exec: its arguments, argv[0] first. Absent: not known, and no set of arguments holds. */
  readonly args?: readonly Uint8Array[]
  /** For ingress and egress: every quota that applies is used up. */
  readonly overQuota?: boolean
  /** Keys of the executables that count as the source: those of the process; for an exec the caller's and its parent's. */
  readonly sources: readonly Uint8Array[]
}

/** `clause` is 1-based: the plan's clauses, then the default of each section, then the undecidable verdict of each, in the order of SECTIONS; 0: none. */
export interface Answer {
  readonly verdict: Verdict
  readonly clause: number
}
