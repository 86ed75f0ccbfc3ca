// SPDX-License-Identifier: Apache-2.0
// A thread that compiles plans and examines policies, so that the operator's own thread answers agents meanwhile.
import { parentPort } from 'node:worker_threads'
import type { Answer, Task } from './compiler.ts'
import { policyLibrary } from './library.ts'

parentPort?.on('message', ({ id, task }: { readonly id: number; readonly task: Task }) => {
  void answerTo(task).then((answer) => parentPort?.postMessage({ id, answer }))
})

async function answerTo(task: Task): Promise<Answer> {
  try {
    if (task.kind === 'plan') return policyLibrary.compile(task.plan)
    // Not loaded where plans are all that is asked.
    const { shadowed } = await import('../policy/lint-rules.ts')
    return { ok: true, findings: shadowed(task.policy) }
  } catch (error) {
    const message = `cannot compile the ${task.kind}: ${(error as Error).message}`
    return { ok: false, findings: [{ code: 'MERLON_OPERATOR_INTERNAL', severity: 'error', message, position: { file: '', line: 0, column: 0 }, text: '', hint: 'report this defect, with the policies that select the workload' }] }
  }
}
