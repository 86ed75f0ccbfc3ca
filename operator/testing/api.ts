// SPDX-License-Identifier: Apache-2.0
// A Kubernetes API that answers what a test tells it, one answer after another.
import type { Call, KubeApi, KubeObject, WatchCall, WatchEnd } from '../kube/api.ts'

interface OpenWatch {
  readonly call: WatchCall
  readonly end: (end: WatchEnd) => void
}

export class ScriptedApi implements KubeApi {
  readonly calls: Call[] = []
  readonly watches: OpenWatch[] = []
  /** Throws what the API would answer with. */
  answer: (call: Call) => KubeObject | Promise<KubeObject> = () => ({ metadata: { resourceVersion: '1' }, items: [] })

  async call(call: Call): Promise<KubeObject> {
    this.calls.push(call)
    return this.answer(call)
  }

  watch(call: WatchCall): Promise<WatchEnd> {
    return new Promise((resolve) => {
      this.watches.push({ call, end: resolve })
      call.signal.addEventListener('abort', () => resolve({ ok: true }), { once: true })
    })
  }

  /** The last one that was begun. */
  get watching(): OpenWatch {
    const last = this.watches.at(-1)
    if (!last) throw new Error('Nothing is watched')
    return last
  }
}

/** Lets promises go on that wait for nothing else. */
export async function turns(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve))
}
