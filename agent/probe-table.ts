// SPDX-License-Identifier: Apache-2.0
// The canary's table: one rule that blocks the probe. The only table that does not come from the operator.
import { compile } from '../policy/compile.ts'
import { makePlan } from '../policy/plan.ts'
import type { Policy, Workload } from '../policy/types.ts'

const NOWHERE = { file: '', line: 0, column: 0 }

/** `program`: absolute path of the probe, as the kernel sees it. */
export function compileProbe(program: string): { readonly table: Uint8Array; readonly hash: string } {
  const workload: Workload = { host: false, namespace: 'merlon', pod: 'canary', container: 'canary', labels: {} }
  const policy: Policy = {
    kind: 'KubeArmorPolicy', name: 'merlon-canary', namespace: 'merlon', position: NOWHERE,
    selector: { matchLabels: {}, matchExpressions: [], containers: [] },
    rules: [{
      section: 'process', match: { kind: 'path', path: program }, action: 'Block', readOnly: false, ownerOnly: false, sources: [],
      severity: 1, tags: [], message: '', position: NOWHERE,
    }],
  }
  const compiled = compile(makePlan([policy], workload, { filePosture: 'audit' }))
  if (!compiled.ok) throw new Error(`Cannot compile the canary: ${compiled.findings[0]?.message}`)
  return compiled
}
