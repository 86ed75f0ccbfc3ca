// SPDX-License-Identifier: Apache-2.0
// A thread that compiles plans, so that the operator's own thread answers agents meanwhile.
import { parentPort } from 'node:worker_threads'
import type { Plan } from '../policy/types.ts'
import { policyLibrary, type Compiled } from './library.ts'

parentPort?.on('message', ({ id, plan }: { readonly id: number; readonly plan: Plan }) => {
  let compiled: Compiled
  try {
    compiled = policyLibrary.compile(plan)
  } catch (error) {
    const message = `cannot compile the plan: ${(error as Error).message}`
    compiled = { ok: false, findings: [{ code: 'MERLON_OPERATOR_INTERNAL', severity: 'error', message, position: { file: '', line: 0, column: 0 }, text: '', hint: 'report this defect, with the policies that select the workload' }] }
  }
  parentPort?.postMessage({ id, compiled })
})
