// SPDX-License-Identifier: Apache-2.0
// What the operator needs of policy/: the pure functions, as one value that tests replace.
import { compile } from '../policy/compile.ts'
import { makePlan } from '../policy/plan.ts'
import { readManifests } from '../policy/read.ts'
import { selects } from '../policy/select.ts'
import { VERSION } from '../policy/table.ts'
import type { Finding, Kind, Plan, Policy, Position, Posture, Workload } from '../policy/types.ts'

export interface NamespaceManifest {
  readonly name: string
  /** Absent: the global default. */
  readonly filePosture?: Posture
}

export interface PodManifest {
  readonly name: string
  readonly namespace: string
  /** Empty: unknown, as in a manifest that was never applied. */
  readonly uid: string
  readonly labels: Readonly<Record<string, string>>
  readonly containers: readonly { readonly name: string; readonly image: string }[]
}

/** A policy with errors: none of its rules is used. */
export interface Refusal {
  readonly kind: Kind
  readonly namespace: string
  readonly name: string
  readonly position: Position
  readonly findings: readonly Finding[]
}

/** What one file says. Findings of severity error mean that something of it is not among the rest. */
export interface Manifests {
  readonly policies: readonly Policy[]
  readonly refused: readonly Refusal[]
  readonly namespaces: readonly NamespaceManifest[]
  readonly pods: readonly PodManifest[]
  readonly findings: readonly Finding[]
}

export type Compiled =
  /** `hash` in hexadecimal. */
  | { readonly ok: true; readonly table: Uint8Array; readonly hash: string }
  | { readonly ok: false; readonly findings: readonly Finding[] }

export interface PolicyLibrary {
  /** The version of the table format that compile() writes. */
  readonly tableVersion: number
  readonly read: (text: string, file: string) => Manifests
  readonly selects: (policy: Policy, workload: Workload) => boolean
  readonly makePlan: (policies: readonly Policy[], workload: Workload, options: { readonly filePosture: Posture }) => Plan
  readonly compile: (plan: Plan) => Compiled
}

export const policyLibrary: PolicyLibrary = { tableVersion: VERSION, read: readManifests, selects, makePlan, compile }
