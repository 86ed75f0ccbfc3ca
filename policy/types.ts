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
export type Kind = 'KubeArmorPolicy' | 'KubeArmorClusterPolicy' | 'KubeArmorHostPolicy'
/** Process rules decide execs, file rules decide opens. Each has its own allow-list mode. */
export type Section = 'process' | 'file'

export type Match =
  | { readonly kind: 'path'; readonly path: string }
  /** The last component of a path, anywhere (`execname`). */
  | { readonly kind: 'name'; readonly name: string }
  | { readonly kind: 'pattern'; readonly pattern: string }
  /** `dir` ends in a slash. Matches the directory itself and its children, all descendants when recursive. */
  | { readonly kind: 'dir'; readonly dir: string; readonly recursive: boolean }

/** One rule as written, with severity, tags, message and action inherited (rule, section, spec). */
export interface Rule {
  readonly section: Section
  readonly match: Match
  readonly action: Action
  readonly readOnly: boolean
  readonly ownerOnly: boolean
  /** Exact executable paths; empty: any source. */
  readonly sources: readonly string[]
  readonly severity: number
  readonly tags: readonly string[]
  readonly message: string
  readonly position: Position
}

export interface LabelExpression {
  readonly key: 'label' | 'namespace'
  readonly operator: 'In' | 'NotIn'
  /** `key=value` for labels, names for namespaces. */
  readonly values: readonly string[]
}

export interface Selector {
  readonly matchLabels: Readonly<Record<string, string>>
  readonly matchExpressions: readonly LabelExpression[]
  /** From the reserved label kubearmor.io/container.name; empty: every container. */
  readonly containers: readonly string[]
}

export interface Policy {
  readonly kind: Kind
  readonly name: string
  /** Empty for the cluster-scoped kinds. */
  readonly namespace: string
  /** Pod selector; for a host policy the node selector. */
  readonly selector: Selector
  readonly rules: readonly Rule[]
  readonly position: Position
}

/** One container, or one host, that policies may select. */
export interface Workload {
  readonly host: boolean
  readonly namespace: string
  readonly pod: string
  readonly container: string
  readonly labels: Readonly<Record<string, string>>
}

/** What happens to an operation that no rule matches, in a section that is in allow-list mode. */
export type Posture = 'audit' | 'block'

/** The verdict words of tables and events, in their numeric order. */
export type Verdict = 'Allow' | 'Audit' | 'Block'
export const VERDICTS: readonly Verdict[] = ['Allow', 'Audit', 'Block']

/** Operations in the order of enum merlon_op. */
export type Operation = 'exec' | 'read' | 'write'
export const OPERATIONS: readonly Operation[] = ['exec', 'read', 'write']

/**
 * One clause of a plan: a condition and the verdict that it gives. A rule with readOnly or ownerOnly becomes up to two: what
 * satisfies its flags, and what does not (docs/semantics.md).
 */
export interface Clause {
  readonly section: Section
  readonly match: Match
  /** Aliases applied: every path, directory or pattern by which the kernel may see the object. At least one. */
  readonly matches: readonly Match[]
  /** Exact executable paths, aliases applied; empty: any source. */
  readonly sources: readonly string[]
  /** Bit `operation * 2 + owner` of each plane that the clause applies to (docs/table.md, "Decisions"). */
  readonly planes: number
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

/** Rules of one workload, normalised and in order of precedence: the first clause that applies decides. */
export interface Plan {
  readonly clauses: readonly Clause[]
  /** Default clauses for sections in allow-list mode; absent: unmatched operations are allowed and not counted. */
  readonly defaults: Readonly<Partial<Record<Section, { readonly verdict: Verdict; readonly origin: ClauseOrigin }>>>
  /** Verdicts for what cannot be decided. */
  readonly undecidable: Readonly<Record<Section, { readonly verdict: Verdict; readonly origin: ClauseOrigin }>>
}

/** One operation put to an evaluator or a table. Paths are bytes without NUL. */
export interface Question {
  readonly operation: Operation
  readonly owner: boolean
  readonly path: Uint8Array
  /** Executables that count as the source: one for file operations; for an exec the caller's and its parent's. */
  readonly sources: readonly Uint8Array[]
}

/** `clause` is 1-based in the order clauses, process default, file default, undecidable exec, undecidable file; 0: none. */
export interface Answer {
  readonly verdict: Verdict
  readonly clause: number
}
