// SPDX-License-Identifier: Apache-2.0
// The way of an event: from the kernel's rings, with the name of who did it and by which rule, to the relay.
import type { NativeBinding, RingBuffer } from '../native/types.ts'
import { EVENT_KIND, VERDICT } from './abi.ts'
import { alertEvent } from './alert.ts'
import type { BootClock } from './boottime.ts'
import { CANARY_WORKLOAD } from './canary.ts'
import type { Enforcement } from './enforcement.ts'
import type { Kernel } from './kernel.ts'
import { logEvent } from './log.ts'
import type { AgentMetrics } from './metrics.ts'
import type { Owners } from './owners.ts'
import { readRecords, type KernelEvent } from './records.ts'
import type { Events } from './relays.ts'

export interface ReporterOptions {
  readonly native: NativeBinding
  readonly node: { readonly name: string; readonly id: string; readonly cluster: string }
  /** The workload that stands for the node itself. */
  readonly hostWorkload: string
  readonly enforcement: Pick<Enforcement, 'workloadOf' | 'attribution'>
  readonly owners: Owners
  readonly sink: Pick<Events, 'push' | 'lose'>
  readonly boot: BootClock
  readonly metrics: AgentMetrics
  /** A container's first exec was stopped: nothing to report, something to do. */
  readonly onHeld: (cgroupId: bigint, hostPid: number) => void
}

export class Reporter {
  readonly #options: ReporterOptions
  readonly #rings: RingBuffer[] = []

  constructor(options: ReporterOptions) {
    this.#options = options
  }

  open({ denials, events }: Kernel['maps']): void {
    this.#rings.push(this.#openRing(denials), this.#openRing(events))
  }

  /** Takes what is there still. */
  close(): void {
    for (const ring of this.#rings) {
      ring.consume()
      ring.close()
    }
  }

  #openRing(map: Kernel['maps']['denials']): RingBuffer {
    return this.#options.native.openRingBuffer(map, (batch) => {
      const { events, malformed } = readRecords(batch)
      for (const event of events) this.#report(event)
      if (malformed > 0) this.#options.sink.lose('malformed', malformed)
    })
  }

  #report(event: KernelEvent): void {
    const { node, enforcement, owners, metrics, sink, boot, hostWorkload, onHeld } = this.#options
    if (event.kind === EVENT_KIND.HELD) return onHeld(event.cgroupId, event.hostPid)
    const workload = enforcement.workloadOf(event.boundId)
    if (workload === CANARY_WORKLOAD) return
    const context = { node, who: owners.who(event, workload === hostWorkload), unixNs: boot.unixNs(event.timeNs) }
    metrics.event(event.verdict, event.op)
    if (event.verdict === VERDICT.ALLOW) return sink.push(logEvent(event, context), 'log')
    const clause = enforcement.attribution(event.serial)?.clauses[event.clause - 1]
    sink.push(alertEvent(event, { ...context, clause }), event.verdict === VERDICT.BLOCK ? 'denial' : 'audit')
  }
}
