// SPDX-License-Identifier: Apache-2.0
// Kubernetes Events (events.k8s.io/v1) of a policy's transitions. Pure.
import type { KubeObject } from './api.ts'
import type { Condition } from './conditions.ts'
import { GROUP, VERSION, type PolicyObject } from './policies.ts'

export interface Transition {
  readonly object: PolicyObject
  readonly condition: Condition
}

interface Words {
  readonly reason: string
  readonly action: string
}

const GOOD: Readonly<Partial<Record<Condition['type'], Words>>> = { Ready: { reason: 'PolicyReady', action: 'Program' } }
const BAD: Readonly<Record<Condition['type'], Words>> = {
  Accepted: { reason: 'PolicyRejected', action: 'Read' },
  Programmed: { reason: 'PolicyNotProgrammed', action: 'Program' },
  Ready: { reason: 'NodeDegraded', action: 'Probe' },
}
/** Reasons that are only a matter of moments, or that another condition's Event tells. */
const QUIET: readonly string[] = ['Pending', 'NotAccepted', 'SelectsNothing']
/** Kubernetes' limit of a note, in bytes. */
const NOTE_MAX = 1024

/** Undefined: nothing that people would want to hear of. */
export function eventOf({ object, condition }: Transition, identity: string, now: number): KubeObject | undefined {
  const words = condition.status === 'True' ? GOOD[condition.type] : BAD[condition.type]
  if (!words || QUIET.includes(condition.reason)) return undefined
  // A failure that keeps a policy from being programmed keeps it from being ready as well: once is enough.
  const { kind, namespace, name, uid } = object
  return {
    apiVersion: 'events.k8s.io/v1',
    kind: 'Event',
    // Events of what has no namespace are in `default`.
    metadata: { name: `${name.slice(0, 200).replace(/[^a-z0-9]+$/, '')}.${condition.type.toLowerCase()}.${now.toString(16)}`, namespace: namespace === '' ? 'default' : namespace },
    eventTime: new Date(now).toISOString().replace('Z', '000Z'),
    type: condition.status === 'True' ? 'Normal' : 'Warning',
    reason: words.reason,
    action: words.action,
    note: cutBytes(`${condition.reason}: ${condition.message}`, NOTE_MAX),
    regarding: { apiVersion: `${GROUP}/${VERSION}`, kind, name, uid, ...(namespace === '' ? {} : { namespace }) },
    reportingController: 'merlon.io/operator',
    reportingInstance: identity.slice(0, 128),
  }
}

/** Whole characters only. */
function cutBytes(text: string, most: number): string {
  const bytes = new TextEncoder().encodeInto(text, new Uint8Array(most))
  return text.slice(0, bytes.read)
}
