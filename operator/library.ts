// SPDX-License-Identifier: Apache-2.0
// What the operator needs of policy/: the pure functions, as one value that tests replace.
import { createHash } from 'node:crypto'
import { compile } from '../policy/compile.ts'
import { makePlan } from '../policy/plan.ts'
import { readManifests, readObject } from '../policy/read.ts'
import { selects, type SelectOptions } from '../policy/select.ts'
import { VERSION } from '../policy/table.ts'
import type { Finding, Kind, Plan, Policy, Position, Postures, Workload } from '../policy/types.ts'
import type { Visibility } from '../policy/visibility.ts'

/** Postures that are absent are the cluster's. */
export interface NamespaceManifest extends Partial<Postures> {
  readonly name: string
  /** Absent: that of the settings. */
  readonly visibility?: Visibility
  /** Where those of the whole source do not have them. */
  readonly findings?: readonly Finding[]
}

/** What the annotation kubearmor-policy says of a pod or node. */
export type PolicySwitch = NonNullable<Workload['policy']>

export interface NodeManifest {
  readonly name: string
  readonly labels: Readonly<Record<string, string>>
  /** Absent: enabled. */
  readonly policy?: PolicySwitch
  /** Absent: the settings' for hosts. */
  readonly visibility?: Visibility
  readonly findings?: readonly Finding[]
}

/** Of a KubeArmorConfig, or of the ConfigMap kubearmor-config. */
export interface SettingsManifest {
  readonly postures: Partial<Postures>
  readonly hostPostures: Partial<Postures>
  readonly visibility?: Visibility
  readonly hostVisibility?: Visibility
  readonly untrackedNamespaces?: readonly string[]
}

export interface Owner {
  readonly kind: string
  readonly name: string
}

export interface ContainerManifest {
  readonly name: string
  readonly image: string
  /** As its runtime calls it; absent while it is not known. Of the one before, where it was started again just now. */
  readonly id?: string
  /** It ends while the pod goes on: an init container that is no sidecar, or an ephemeral one. */
  readonly isPassing?: boolean
}

export interface PodManifest {
  readonly name: string
  readonly namespace: string
  /** Empty: unknown, as in a manifest that was never applied. */
  readonly uid: string
  readonly labels: Readonly<Record<string, string>>
  readonly containers: readonly ContainerManifest[]
  /** That it is bound to; absent or empty: none. */
  readonly node?: string
  /** Absent: enabled. */
  readonly policy?: PolicySwitch
  /** Narrows what is recorded of its namespace. Absent: all of it. */
  readonly visibility?: Visibility
  readonly owner?: Owner
  /** Its containers have ended and will not come back. */
  readonly ended?: boolean
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
  /** Absent where the reader knows none, like settings. */
  readonly nodes?: readonly NodeManifest[]
  readonly settings?: readonly SettingsManifest[]
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
  /** One object of an API; `name` is what positions call it. */
  readonly readObject: (value: unknown, name: string) => Manifests
  readonly selects: (policy: Policy, workload: Workload, options?: SelectOptions) => boolean
  readonly makePlan: (policies: readonly Policy[], workload: Workload, options: Postures & SelectOptions) => Plan
  readonly compile: (plan: Plan) => Compiled
}

const sha256 = (bytes: Uint8Array): Uint8Array => createHash('sha256').update(bytes).digest()

export const policyLibrary: PolicyLibrary = {
  tableVersion: VERSION,
  read: readManifests,
  readObject,
  selects,
  makePlan,
  compile: (plan) => compile(plan, { sha256 }),
}
